package heroku

import (
	"testing"

	"culprit/internal/source/sourcetest"
)

func TestFormats(t *testing.T) { sourcetest.Run(t, Formats) }

func FuzzLog(f *testing.F) {
	sourcetest.Fuzz(f, Formats[0], `at=error code=H12 desc="x" dyno=web.1 status=503`, "<158>1 2026-03-09T12:00:00+00:00 host heroku web.1 - State changed from up to crashed")
}

func BenchmarkRouter(b *testing.B) {
	sourcetest.Bench(b, Formats[0], `2026-03-09T12:00:00.123456+00:00 heroku[router]: at=info method=GET path="/v1/items?page=2" host=api.example.org request_id=8601b555-6a83-4c12-8269-97c8e32cdb22 fwd="198.51.100.7" dyno=web.1 connect=0ms service=18ms status=200 bytes=975 protocol=https`)
}

func TestPair(t *testing.T) {
	f := func(in, key, value, rest string) {
		t.Helper()
		k, v, r := pair([]byte(in))
		if string(k) != key || string(v) != value || string(r) != rest {
			t.Errorf("pair(%q) = %q, %q, %q", in, k, v, r)
		}
	}
	f(`a=b c=d`, "a", "b", "c=d")
	f(`a="b c" d=e`, "a", "b c", "d=e")
	f(`a= b=c`, "a", "", "b=c")
	f(`word a=b`, "", "", "a=b")
	f(`word`, "", "", "")
}
