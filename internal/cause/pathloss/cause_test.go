package pathloss_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/pathloss"
)

func TestCause(t *testing.T) { causetest.Run(t, &pathloss.Cause) }
