package linux

import (
	"testing"

	"culprit/internal/source"
	"culprit/internal/source/sourcetest"
)

// syslog stands in for the frame that another folder takes off.
var syslog = source.Wrapper{ID: "syslog", Unwrap: func(env *source.Env, l *source.Line) bool {
	t, _, rest, ok := source.SyslogTime(env, l.Text)
	if !ok {
		return false
	}
	host, rest := source.Field(rest[1:])
	msg, ok := source.Between(rest, "kernel: ", "")
	if !ok {
		return false
	}
	l.Time, l.Host, l.Program, l.Text = t, string(host), "kernel", msg
	return true
}}

func TestFormats(t *testing.T) { sourcetest.Run(t, Formats, syslog) }

func FuzzKernel(f *testing.F) { sourcetest.Fuzz(f, kernel) }
func FuzzAudit(f *testing.F)  { sourcetest.Fuzz(f, audit) }
func FuzzTools(f *testing.F)  { sourcetest.Fuzz(f, tools) }

func BenchmarkKernel(b *testing.B) {
	sourcetest.Bench(b, kernel, "[90211.100001] eth0: some driver says something of no interest here")
}

// Words that kernel and tools share with others.
func TestSniffLeavesOthers(t *testing.T) {
	for _, text := range []string{
		"[   299.092239s]  INFO ThreadId(01) inbound: Request failed",
		"WORKER TIMEOUT (pid:31)",
		"LISTEN for the bell",
		"10.0.0.1 - - [09/Mar/2026:14:00:00 +0000] \"GET /ulimit HTTP/1.1\" 200 5",
		"somaxconn should be raised",
		"app[12]: started",
	} {
		l := source.Line{Text: []byte(text), N: 1}
		for _, x := range Formats {
			if c := x.Sniff(&l); c != source.No {
				t.Errorf("%s claims %q with %d", x.ID, text, c)
			}
		}
	}
}
