package slowstart_test

import (
	"testing"

	"culprit/internal/cause/slowstart"
	"culprit/internal/cause/causetest"
)

func TestCause(t *testing.T) { causetest.Run(t, &slowstart.Cause) }
