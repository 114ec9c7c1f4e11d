package oomkill_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/oomkill"
)

func TestCause(t *testing.T) { causetest.Run(t, &oomkill.Cause) }
