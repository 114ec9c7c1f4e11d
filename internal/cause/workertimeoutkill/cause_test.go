package workertimeoutkill_test

import (
	"testing"

	"culprit/internal/cause/workertimeoutkill"
	"culprit/internal/cause/causetest"
)

func TestCause(t *testing.T) { causetest.Run(t, &workertimeoutkill.Cause) }
