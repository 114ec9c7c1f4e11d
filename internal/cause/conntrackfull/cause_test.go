package conntrackfull_test

import (
	"testing"

	"culprit/internal/cause/conntrackfull"
	"culprit/internal/cause/causetest"
)

func TestCause(t *testing.T) { causetest.Run(t, &conntrackfull.Cause) }
