package maxrequestsrecycle_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/maxrequestsrecycle"
)

func TestCause(t *testing.T) { causetest.Run(t, &maxrequestsrecycle.Cause) }
