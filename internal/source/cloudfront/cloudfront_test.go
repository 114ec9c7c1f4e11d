package cloudfront

import (
	"testing"

	"culprit/internal/source/sourcetest"
)

func TestFormats(t *testing.T) { sourcetest.Run(t, Formats) }

func FuzzAccess(f *testing.F) {
	sourcetest.Fuzz(f, Formats[0], "#Fields: date time sc-status x-edge-result-type\n2026-03-09\t12:00:00\t502\tError")
}
func FuzzJSON(f *testing.F) { sourcetest.Fuzz(f, Formats[1]) }

func BenchmarkAccess(b *testing.B) {
	sourcetest.Bench(b, Formats[0], "2026-03-09\t12:00:00\tFRA60-P1\t1432\t198.51.100.7\tGET\td111111abcdef8.cloudfront.net\t/v1/items\t200\t-\tokhttp/4.12.0\tpage=2\t-\tMiss\treq-1==\tapi.example.org\thttps\t312\t0.012\t-\tTLSv1.3\tTLS_AES_128_GCM_SHA256\tMiss\tHTTP/2.0\t-\t-\t51022\t0.011\tMiss\tapplication/json\t1200\t-\t-")
}
