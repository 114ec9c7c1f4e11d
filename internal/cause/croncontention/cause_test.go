package croncontention_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/croncontention"
)

func TestCause(t *testing.T) { causetest.Run(t, &croncontention.Cause) }
