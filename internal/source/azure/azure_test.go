package azure

import (
	"testing"

	"culprit/internal/source/sourcetest"
)

func TestFormats(t *testing.T) { sourcetest.Run(t, Formats) }

func FuzzLine(f *testing.F) {
	sourcetest.Fuzz(f, Formats[0], `{"category":"ApplicationGatewayAccessLog","properties":{"httpStatus":502}}`)
}
func FuzzRecords(f *testing.F) {
	sourcetest.Fuzz(f, Formats[1], "{\n\"records\":[\n{\"category\":\"FrontDoorAccessLog\"}]}")
}
func FuzzWords(f *testing.F) { sourcetest.Fuzz(f, Formats[2], "ErrorInfo: OriginTimeout") }

func BenchmarkLine(b *testing.B) {
	sourcetest.Bench(b, Formats[0], `{"timeStamp":"2026-03-09T12:00:00+00:00","resourceId":"/SUBSCRIPTIONS/S/RESOURCEGROUPS/RG/PROVIDERS/MICROSOFT.NETWORK/APPLICATIONGATEWAYS/GW","category":"ApplicationGatewayAccessLog","properties":{"clientIP":"198.51.100.7","clientPort":45057,"httpMethod":"GET","requestUri":"/v1/items","httpStatus":200,"httpVersion":"HTTP/1.1","receivedBytes":184,"sentBytes":466,"timeTaken":0.034,"serverRouted":"10.8.1.14:8080","serverStatus":"200","serverResponseLatency":"0.028"}}`)
}

func TestMillis(t *testing.T) {
	f := func(in string, wantMicros int64) {
		t.Helper()
		if got := millis([]byte(in)); got.D.Microseconds() != wantMicros {
			t.Errorf("millis(%q) = %v", in, got)
		}
	}
	f("205", 205000)
	f("0.5", 500)
	f("-", 0)
}

func TestNoRecords(t *testing.T) {
	_, rep, err := sourcetest.Read(Formats, nil, "x.json", []byte("{\n\"records\": [\n{\"category\":\"FrontDoorAccessLog\", \"x\":\n"))
	if err != nil {
		t.Fatal(err)
	}
	if rep.Err == nil {
		t.Error("want an error where no record can be read")
	}
}
