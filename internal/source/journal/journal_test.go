package journal

import (
	"testing"

	"culprit/internal/source/sourcetest"
)

func TestFormats(t *testing.T) { sourcetest.Run(t, Formats, Wrappers...) }

func FuzzSystemd(f *testing.F) { sourcetest.Fuzz(f, systemd) }
func FuzzExport(f *testing.F) {
	sourcetest.Fuzz(f, export, "__CURSOR=s=1\nMESSAGE\n\x05\x00\x00\x00\x00\x00\x00\x00a\nb=c\n\n")
}
func FuzzCron(f *testing.F)       { sourcetest.Fuzz(f, cron) }
func FuzzUnit(f *testing.F)       { sourcetest.Fuzz(f, unitFile) }
func FuzzSupervisor(f *testing.F) { sourcetest.Fuzz(f, supervisor) }
