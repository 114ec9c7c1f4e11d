package resetmidresponse_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/resetmidresponse"
)

func TestCause(t *testing.T) { causetest.Run(t, &resetmidresponse.Cause) }
