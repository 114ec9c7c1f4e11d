package keepaliverace_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/keepaliverace"
)

func TestCause(t *testing.T) { causetest.Run(t, &keepaliverace.Cause) }
