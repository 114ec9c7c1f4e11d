package cpustarvation_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/cpustarvation"
)

func TestCause(t *testing.T) { causetest.Run(t, &cpustarvation.Cause) }
