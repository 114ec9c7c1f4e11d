package linkerd

import (
	"testing"

	"culprit/internal/fact"
	"culprit/internal/source/sourcetest"
)

func TestFormats(t *testing.T) { sourcetest.Run(t, Formats) }

func FuzzProxyLog(f *testing.F) { sourcetest.Fuzz(f, proxyLog) }

func BenchmarkProxyLog(b *testing.B) {
	sourcetest.Bench(b, proxyLog, `[     0.003570s]  INFO ThreadId(01) linkerd2_proxy: Admin interface on 0.0.0.0:4191`)
}

func TestMechanism(t *testing.T) {
	for in, want := range map[string]fact.Mechanism{
		"connection closed before message completed":         fact.ClosedBeforeReply,
		"operation was canceled: connection closed":          fact.ClosedBeforeReply,
		"Connection refused (os error 111)":                  fact.Refused,
		"Connection reset by peer (os error 104)":            fact.ResetBeforeReply,
		"connect timed out after 1s":                         fact.ConnectTimedOut,
		"HTTP response timeout":                              fact.ReplyTimedOut,
		"service in fail-fast":                               fact.NoBackend,
		"Transport endpoint is not connected (os error 107)": fact.ClientGone,
		"something new":                                      "",
	} {
		if got, _, _ := mechanism([]byte(in)); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}
