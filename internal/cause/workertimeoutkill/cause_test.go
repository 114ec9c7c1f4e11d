package workertimeoutkill_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/workertimeoutkill"
)

func TestCause(t *testing.T) { causetest.Run(t, &workertimeoutkill.Cause) }
