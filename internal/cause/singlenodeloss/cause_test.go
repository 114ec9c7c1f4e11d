package singlenodeloss_test

import (
	"testing"

	"culprit/internal/cause/causetest"
	"culprit/internal/cause/singlenodeloss"
)

func TestCause(t *testing.T) { causetest.Run(t, &singlenodeloss.Cause) }
