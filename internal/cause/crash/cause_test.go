package crash_test

import (
	"testing"

	"culprit/internal/cause/crash"
	"culprit/internal/cause/causetest"
)

func TestCause(t *testing.T) { causetest.Run(t, &crash.Cause) }
