package headertoobig_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/headertoobig"
)

func TestCause(t *testing.T) { causetest.Run(t, &headertoobig.Cause) }
