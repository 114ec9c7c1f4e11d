package nodetermination_test

import (
	"testing"

	"culprit/internal/cause/nodetermination"
	"culprit/internal/cause/causetest"
)

func TestCause(t *testing.T) { causetest.Run(t, &nodetermination.Cause) }
