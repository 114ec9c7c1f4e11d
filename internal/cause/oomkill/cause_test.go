package oomkill_test

import (
	"testing"

	"culprit/internal/cause/oomkill"
	"culprit/internal/cause/causetest"
)

func TestCause(t *testing.T) { causetest.Run(t, &oomkill.Cause) }
