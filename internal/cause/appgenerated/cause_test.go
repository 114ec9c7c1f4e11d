package appgenerated_test

import (
	"testing"

	"culprit/internal/cause/appgenerated"
	"culprit/internal/cause/causetest"
)

func TestCause(t *testing.T) { causetest.Run(t, &appgenerated.Cause) }
