package connectrefused_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/connectrefused"
)

func TestCause(t *testing.T) { causetest.Run(t, &connectrefused.Cause) }
