package deadnotrestarted_test

import (
	"testing"

	"culprit/internal/cause/deadnotrestarted"
	"culprit/internal/cause/causetest"
)

func TestCause(t *testing.T) { causetest.Run(t, &deadnotrestarted.Cause) }
