package maxrequestsrecycle_test

import (
	"testing"

	"culprit/internal/cause/maxrequestsrecycle"
	"culprit/internal/cause/causetest"
)

func TestCause(t *testing.T) { causetest.Run(t, &maxrequestsrecycle.Cause) }
