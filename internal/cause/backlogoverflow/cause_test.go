package backlogoverflow_test

import (
	"testing"

	"culprit/internal/cause/backlogoverflow"
	"culprit/internal/cause/causetest"
)

func TestCause(t *testing.T) { causetest.Run(t, &backlogoverflow.Cause) }
