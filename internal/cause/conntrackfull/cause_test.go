package conntrackfull_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/conntrackfull"
)

func TestCause(t *testing.T) { causetest.Run(t, &conntrackfull.Cause) }
