package responsetimeout_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/responsetimeout"
)

func TestCause(t *testing.T) { causetest.Run(t, &responsetimeout.Cause) }
