package socketpermission_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/socketpermission"
)

func TestCause(t *testing.T) { causetest.Run(t, &socketpermission.Cause) }
