package slowstart_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/slowstart"
)

func TestCause(t *testing.T) { causetest.Run(t, &slowstart.Cause) }
