package rolloutnodrain_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/rolloutnodrain"
)

func TestCause(t *testing.T) { causetest.Run(t, &rolloutnodrain.Cause) }
