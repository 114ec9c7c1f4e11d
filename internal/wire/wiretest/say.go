package wiretest

import (
	"bytes"
	"fmt"
	"strings"

	"golang.org/x/net/http2/hpack"
)

// Get is a request.
func Get(target string, fields ...string) string {
	return message("GET "+target+" HTTP/1.1\r\nHost: shop.test\r\n", "", fields)
}

// Post is a request with a body.
func Post(target, body string, fields ...string) string {
	return message(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: shop.test\r\nContent-Length: %d\r\n", target, len(body)), body, fields)
}

// OK is an answer with a body.
func OK(body string, fields ...string) string { return Answer(200, body, fields...) }

// Answer is an answer with a body.
func Answer(status int, body string, fields ...string) string {
	return message(fmt.Sprintf("HTTP/1.1 %d Text\r\nContent-Length: %d\r\n", status, len(body)), body, fields)
}

func message(head, body string, fields []string) string {
	for _, f := range fields {
		head += f + "\r\n"
	}
	return head + "\r\n" + body
}

// Chunked is an answer in chunks.
func Chunked(chunks ...string) string {
	return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + Chunks(chunks...)
}

// Chunks is a chunked body, with an extension and a trailer.
func Chunks(chunks ...string) string {
	var b strings.Builder
	for i, c := range chunks {
		ext := ""
		if i%2 == 1 {
			ext = ";name=\"abcdef\" ; b=2"
		}
		fmt.Fprintf(&b, "%X%s\r\n%s\r\n", len(c), ext, c)
	}
	b.WriteString("0\r\nDigest: abc\r\n\r\n")
	return b.String()
}

// Record is a TLS record.
func Record(kind byte, body string) string {
	return string(be.AppendUint16([]byte{kind, 3, 3}, uint16(len(body)))) + body
}

// Sealed is a record of application data, n bytes long.
func Sealed(n int) string { return Record(23, strings.Repeat("\xa5", n)) }

// Alert is an alert in clear.
func Alert(code byte) string { return Record(21, "\x02"+string([]byte{code})) }

func sized(width int, s string) string {
	n := len(s)
	b := []byte{byte(n >> 16), byte(n >> 8), byte(n)}
	return string(b[3-width:]) + s
}

// Hello is a ClientHello for a server name, with so many bytes of key share:
// a post-quantum one has over a thousand, and needs two packets.
func Hello(name, alpn string, share int) string {
	ext := func(kind uint16, body string) string {
		return string(be.AppendUint16(nil, kind)) + sized(2, body)
	}
	exts := ext(51, sized(2, strings.Repeat("k", share)))
	if name != "" {
		exts += ext(0, sized(2, "\x00"+sized(2, name)))
	}
	if alpn != "" {
		exts += ext(16, sized(2, sized(1, alpn)))
	}
	body := "\x03\x03" + strings.Repeat("r", 32) + sized(1, strings.Repeat("s", 32)) + sized(2, "\x13\x01\x13\x02") + sized(1, "\x00") + sized(2, exts)
	return Record(22, "\x01"+sized(3, body))
}

// ServerHello answers a hello.
func ServerHello() string {
	body := "\x03\x03" + strings.Repeat("R", 32) + sized(1, strings.Repeat("s", 32)) + "\x13\x01\x00" + sized(2, "")
	return Record(22, "\x02"+sized(3, body))
}

// TLS13 shakes hands as TLS 1.3 does.
func (c *Conn) TLS13(name string) {
	c.Client(Hello(name, "http/1.1", 1216), 1200)
	c.Server(ServerHello() + Record(20, "\x01") + Sealed(900))
	c.Client(Record(20, "\x01") + Sealed(69))
}

// TLS12 shakes hands as TLS 1.2 does.
func (c *Conn) TLS12(name string) {
	c.Client(Hello(name, "http/1.1", 32))
	c.Server(ServerHello() + Record(22, "\x0b\x00\x00\x01x") + Record(22, "\x0e\x00\x00\x00"))
	c.Client(Record(22, "\x10\x00\x00\x01x") + Record(20, "\x01") + Record(22, strings.Repeat("f", 40)))
	c.Server(Record(20, "\x01") + Record(22, strings.Repeat("f", 40)))
}

// Preface begins HTTP/2 in clear.
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// The frames of HTTP/2.
const (
	FrameData         = 0
	FrameHeaders      = 1
	FrameReset        = 3
	FrameSettings     = 4
	FrameGoAway       = 7
	FrameWindow       = 8
	FrameContinuation = 9

	EndStream  = 1
	EndHeaders = 4
)

// Frame is a frame of HTTP/2.
func Frame(kind, flags byte, stream uint32, body string) string {
	return string([]byte{byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body)), kind, flags}) + string(be.AppendUint32(nil, stream)) + body
}

// Coder encodes the heads of one side.
type Coder struct {
	b bytes.Buffer
	e *hpack.Encoder
}

// Block encodes fields: name, value, name, value.
func (x *Coder) Block(fields ...string) string {
	if x.e == nil {
		x.e = hpack.NewEncoder(&x.b)
	}
	x.b.Reset()
	for i := 0; i < len(fields); i += 2 {
		x.e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}) // into memory: no error
	}
	return x.b.String()
}

// Number is a number as the payload of RST_STREAM or WINDOW_UPDATE has it.
func Number(n uint32) string { return string(be.AppendUint32(nil, n)) }
