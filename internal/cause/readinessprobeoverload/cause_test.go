package readinessprobeoverload_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/readinessprobeoverload"
)

func TestCause(t *testing.T) { causetest.Run(t, &readinessprobeoverload.Cause) }
