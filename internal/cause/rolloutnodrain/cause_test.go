package rolloutnodrain_test

import (
	"testing"

	"culprit/internal/cause/rolloutnodrain"
	"culprit/internal/cause/causetest"
)

func TestCause(t *testing.T) { causetest.Run(t, &rolloutnodrain.Cause) }
