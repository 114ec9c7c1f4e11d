package traefik

import (
	"testing"

	"culprit/internal/fact"
	"culprit/internal/source"
	"culprit/internal/source/sourcetest"
)

func TestFormats(t *testing.T) { sourcetest.Run(t, Formats) }

const ordinaryLine = `10.20.0.9 - - [09/Mar/2026:14:00:00 +0100] "GET /cart HTTP/2.0" 200 414 "-" "curl/8.5.0" 500 "shop@docker" "http://10.0.1.7:8080" 12ms`

const ordinaryRecord = `{"ClientAddr":"10.20.0.9:4000","DownstreamContentSize":512,"DownstreamStatus":200,"Duration":15000000,"OriginContentSize":512,"OriginDuration":14000000,"OriginStatus":200,"RequestHost":"shop.example.com","RequestMethod":"GET","RequestPath":"/cart","RequestProtocol":"HTTP/2.0","RouterName":"shop@docker","ServiceAddr":"10.0.1.7:8080","ServiceName":"shop@docker","StartUTC":"2026-03-09T14:00:00.123456789Z","level":"info","msg":"","time":"2026-03-09T14:00:00Z"}`

func FuzzCommon(f *testing.F)     { sourcetest.Fuzz(f, common, ordinaryLine) }
func FuzzRecords(f *testing.F)    { sourcetest.Fuzz(f, records, ordinaryRecord) }
func FuzzProcessLog(f *testing.F) { sourcetest.Fuzz(f, processLog) }
func FuzzSettings(f *testing.F)   { sourcetest.Fuzz(f, settings) }

func BenchmarkCommon(b *testing.B)  { sourcetest.Bench(b, common, ordinaryLine) }
func BenchmarkRecords(b *testing.B) { sourcetest.Bench(b, records, ordinaryRecord) }

func TestOrdinaryLinesCostNoMemory(t *testing.T) {
	for x, line := range map[*source.Format]string{&common: ordinaryLine, &records: ordinaryRecord} {
		r := x.NewReader(&source.Env{})
		l := &source.Line{Text: []byte(line)}
		var out source.Sink = &last{}
		if n := testing.AllocsPerRun(100, func() { r.Line(l, out) }); n > 0 {
			t.Errorf("%s: %v allocations a line, want 0", x.ID, n)
		}
	}
}

func TestJudge(t *testing.T) {
	for _, tt := range []struct {
		status, size int64
		asked        bool
		writer       fact.Writer
		ended        fact.Mechanism
	}{
		{200, 5, true, fact.WriterBackend, ""},
		{404, 19, false, fact.WriterSelf, ""},
		{502, 11, true, fact.WriterSelf, ""},
		{502, 12, true, fact.WriterBackend, fact.AppAnswered},
		{504, 15, true, fact.WriterSelf, ""},
		{500, 21, true, fact.WriterSelf, ""},
		{500, 9, true, fact.WriterBackend, fact.AppAnswered},
		{503, 20, false, fact.WriterSelf, fact.NoBackend},
		{503, 20, true, fact.WriterBackend, fact.AppAnswered},
		{499, 21, true, fact.WriterSelf, fact.ClientGone},
		{0, 0, true, "", fact.ClientGone},
	} {
		q := &fact.Request{Status: fact.Num(tt.status)}
		if tt.asked {
			q.Attempts = []fact.Attempt{{Address: "a"}}
		}
		judge(q, fact.Num(tt.size), tt.asked)
		if q.Writer != tt.writer || q.Ended != tt.ended {
			t.Errorf("%+v: writer %q, ended %q", tt, q.Writer, q.Ended)
		}
	}
}
