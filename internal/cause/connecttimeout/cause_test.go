package connecttimeout_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/connecttimeout"
)

func TestCause(t *testing.T) { causetest.Run(t, &connecttimeout.Cause) }
