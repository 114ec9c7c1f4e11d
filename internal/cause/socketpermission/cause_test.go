package socketpermission_test

import (
	"testing"

	"culprit/internal/cause/socketpermission"
	"culprit/internal/cause/causetest"
)

func TestCause(t *testing.T) { causetest.Run(t, &socketpermission.Cause) }
