package diskfull_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/diskfull"
)

func TestCause(t *testing.T) { causetest.Run(t, &diskfull.Cause) }
