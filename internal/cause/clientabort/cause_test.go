package clientabort_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/clientabort"
)

func TestCause(t *testing.T) { causetest.Run(t, &clientabort.Cause) }
