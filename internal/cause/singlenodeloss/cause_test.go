package singlenodeloss_test

import (
	"testing"

	"culprit/internal/cause/singlenodeloss"
	"culprit/internal/cause/causetest"
)

func TestCause(t *testing.T) { causetest.Run(t, &singlenodeloss.Cause) }
