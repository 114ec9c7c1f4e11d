package dnsfailure_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/dnsfailure"
)

func TestCause(t *testing.T) { causetest.Run(t, &dnsfailure.Cause) }
