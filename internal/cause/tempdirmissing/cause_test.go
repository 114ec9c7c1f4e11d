package tempdirmissing_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/tempdirmissing"
)

func TestCause(t *testing.T) { causetest.Run(t, &tempdirmissing.Cause) }
