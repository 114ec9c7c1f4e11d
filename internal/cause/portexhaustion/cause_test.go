package portexhaustion_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/portexhaustion"
)

func TestCause(t *testing.T) { causetest.Run(t, &portexhaustion.Cause) }
