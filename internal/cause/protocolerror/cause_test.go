package protocolerror_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/protocolerror"
)

func TestCause(t *testing.T) { causetest.Run(t, &protocolerror.Cause) }
