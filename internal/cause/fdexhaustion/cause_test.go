package fdexhaustion_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/fdexhaustion"
)

func TestCause(t *testing.T) { causetest.Run(t, &fdexhaustion.Cause) }
