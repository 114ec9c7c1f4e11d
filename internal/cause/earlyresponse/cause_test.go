package earlyresponse_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/earlyresponse"
)

func TestCause(t *testing.T) { causetest.Run(t, &earlyresponse.Cause) }
