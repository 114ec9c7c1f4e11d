package cdncachederror_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/cdncachederror"
)

func TestCause(t *testing.T) { causetest.Run(t, &cdncachederror.Cause) }
