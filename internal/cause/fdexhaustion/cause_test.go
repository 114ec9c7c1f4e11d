package fdexhaustion_test

import (
	"testing"

	"culprit/internal/cause/fdexhaustion"
	"culprit/internal/cause/causetest"
)

func TestCause(t *testing.T) { causetest.Run(t, &fdexhaustion.Cause) }
