package wafratelimit_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/wafratelimit"
)

func TestCause(t *testing.T) { causetest.Run(t, &wafratelimit.Cause) }
