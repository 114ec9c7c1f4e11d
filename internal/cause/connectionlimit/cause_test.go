package connectionlimit_test

import (
	"testing"

	"culprit/internal/cause/connectionlimit"
	"culprit/internal/cause/causetest"
)

func TestCause(t *testing.T) { causetest.Run(t, &connectionlimit.Cause) }
