package connectionlimit_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/connectionlimit"
)

func TestCause(t *testing.T) { causetest.Run(t, &connectionlimit.Cause) }
