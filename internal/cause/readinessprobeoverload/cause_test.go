package readinessprobeoverload_test

import (
	"testing"

	"culprit/internal/cause/readinessprobeoverload"
	"culprit/internal/cause/causetest"
)

func TestCause(t *testing.T) { causetest.Run(t, &readinessprobeoverload.Cause) }
