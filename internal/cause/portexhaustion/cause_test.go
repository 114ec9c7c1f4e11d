package portexhaustion_test

import (
	"testing"

	"culprit/internal/cause/portexhaustion"
	"culprit/internal/cause/causetest"
)

func TestCause(t *testing.T) { causetest.Run(t, &portexhaustion.Cause) }
