package tcpdump_test

import (
	"testing"

	"culprit/internal/source/sourcetest"
	"culprit/internal/source/tcpdump"
)

func TestFormats(t *testing.T) { sourcetest.Run(t, tcpdump.Formats) }

func FuzzPackets(f *testing.F) { sourcetest.Fuzz(f, tcpdump.Formats[0]) }
