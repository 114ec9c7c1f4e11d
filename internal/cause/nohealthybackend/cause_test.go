package nohealthybackend_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/nohealthybackend"
)

func TestCause(t *testing.T) { causetest.Run(t, &nohealthybackend.Cause) }
