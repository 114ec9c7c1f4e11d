package crash_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/crash"
)

func TestCause(t *testing.T) { causetest.Run(t, &crash.Cause) }
