package nodetermination_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/nodetermination"
)

func TestCause(t *testing.T) { causetest.Run(t, &nodetermination.Cause) }
