package nginx

import (
	"testing"

	"culprit/internal/source/sourcetest"
)

func FuzzAccess(f *testing.F) { sourcetest.Fuzz(f, format("nginx-access")) }
func FuzzError(f *testing.F)  { sourcetest.Fuzz(f, format("nginx-error")) }
func FuzzConf(f *testing.F)   { sourcetest.Fuzz(f, format("nginx-conf")) }
