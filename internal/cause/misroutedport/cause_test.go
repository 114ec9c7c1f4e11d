package misroutedport_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/misroutedport"
)

func TestCause(t *testing.T) { causetest.Run(t, &misroutedport.Cause) }
