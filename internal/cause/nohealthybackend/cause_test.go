package nohealthybackend_test

import (
	"testing"

	"culprit/internal/cause/nohealthybackend"
	"culprit/internal/cause/causetest"
)

func TestCause(t *testing.T) { causetest.Run(t, &nohealthybackend.Cause) }
