package tempdirmissing_test

import (
	"testing"

	"culprit/internal/cause/tempdirmissing"
	"culprit/internal/cause/causetest"
)

func TestCause(t *testing.T) { causetest.Run(t, &tempdirmissing.Cause) }
