package staleupstreamip_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/staleupstreamip"
)

func TestCause(t *testing.T) { causetest.Run(t, &staleupstreamip.Cause) }
