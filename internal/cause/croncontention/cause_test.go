package croncontention_test

import (
	"testing"

	"culprit/internal/cause/croncontention"
	"culprit/internal/cause/causetest"
)

func TestCause(t *testing.T) { causetest.Run(t, &croncontention.Cause) }
