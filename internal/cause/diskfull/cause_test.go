package diskfull_test

import (
	"testing"

	"culprit/internal/cause/diskfull"
	"culprit/internal/cause/causetest"
)

func TestCause(t *testing.T) { causetest.Run(t, &diskfull.Cause) }
