package bydesigntimeout_test

import (
	"testing"

	"culprit/internal/cause/bydesigntimeout"
	"culprit/internal/cause/causetest"
)

func TestCause(t *testing.T) { causetest.Run(t, &bydesigntimeout.Cause) }
