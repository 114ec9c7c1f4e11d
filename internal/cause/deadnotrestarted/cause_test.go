package deadnotrestarted_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/deadnotrestarted"
)

func TestCause(t *testing.T) { causetest.Run(t, &deadnotrestarted.Cause) }
