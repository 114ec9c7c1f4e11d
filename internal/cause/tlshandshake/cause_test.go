package tlshandshake_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/tlshandshake"
)

func TestCause(t *testing.T) { causetest.Run(t, &tlshandshake.Cause) }
