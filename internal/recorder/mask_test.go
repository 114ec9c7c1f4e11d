package recorder

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// masked runs a stream through a masker in pieces, and gives what is written.
func masked(pieces ...string) string {
	var m masker
	var out []byte
	seq := uint32(1<<32 - 40) // it wraps around
	m.begin(seq)
	for _, p := range pieces {
		b := []byte(p)
		m.mask(b, seq, len(b))
		out = append(out, b...)
		seq += uint32(len(p))
	}
	return string(out)
}

var maskCases = []struct{ in, want string }{
	{"GET /a?b=1 HTTP/1.1\r\nHost: shop\r\nX-Request-Id: 4f\r\nContent-Length: 3\r\n\r\nabc",
		"GET /a?b=1 HTTP/1.1\r\nHost: shop\r\nX-Request-Id: 4f\r\nContent-Length: 3\r\n\r\nabc"},
	{"GET /a?token=S3CR3T&b=1 HTTP/1.1\r\nHost: shop\r\n\r\n", "GET /a?token=xxxxxx&b=1 HTTP/1.1\r\nHost: shop\r\n\r\n"},
	{"GET / HTTP/1.1\r\nAuthorization: Bearer S3CR3T\r\nA: 1\r\n\r\n", "GET / HTTP/1.1\r\nAuthorization: Bearer xxxxxx\r\nA: 1\r\n\r\n"},
	{"GET / HTTP/1.1\r\nauthorization: Digest username=\"S3\", response=\"CR3T\"\r\nA: 1\r\n\r\n", "GET / HTTP/1.1\r\nauthorization: Digest xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\nA: 1\r\n\r\n"},
	{"GET / HTTP/1.1\r\nProxy-Authorization: S3CR3T\r\nX-Api-Key:S3CR3T\r\n\r\n", "GET / HTTP/1.1\r\nProxy-Authorization: xxxxxx\r\nX-Api-Key:xxxxxx\r\n\r\n"},
	{"HTTP/1.1 200 OK\r\nSet-Cookie: sid=S3CR3T; Path=/\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nSet-Cookie: xxxxxxxxxxxxxxxxxx\r\nContent-Length: 0\r\n\r\n"},
	{"POST / HTTP/1.1\r\nContent-Length: 31\r\n\r\nuser=bob&password=S3CR3T&n=1\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: 31\r\n\r\nuser=bob&password=xxxxxx&n=1\r\n\r\n"},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n12\r\n{\"token\":\"S3CR3T\"}\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n12\r\n{\"token\":\"xxxxxx\"}\r\n0\r\n\r\n"},
}

func TestMaskOverwritesSecretsInPlace(t *testing.T) {
	for _, c := range maskCases {
		if got := masked(c.in); got != c.want {
			t.Errorf("%q\nbecame %q\nwant   %q", c.in, got, c.want)
		}
	}
}

// TestMaskFollowsTheStream: however a message is cut into segments, no three
// letters of the secret remain, and no byte of the head's frame is lost.
func TestMaskFollowsTheStream(t *testing.T) {
	for _, c := range maskCases {
		for i := range c.in {
			got := masked(c.in[:i], c.in[i:])
			if len(got) != len(c.in) {
				t.Fatalf("%q cut at %d: %d bytes", c.in, i, len(got))
			}
			if strings.Contains(got, "CR3T") || strings.Contains(got, "S3CR") {
				t.Errorf("cut at %d, %q holds the secret", i, got)
			}
			for _, stays := range []string{"HTTP/1.1", "\r\n\r\n"} {
				if strings.Count(got, stays) != strings.Count(c.in, stays) {
					t.Errorf("cut at %d, %q lost %q", i, got, stays)
				}
			}
		}
	}
}

// TestMaskKnowsWhatIsSentAgain: a retransmission, whole or in part, is masked
// as the first was; what follows a gap shows no secret whose beginning is
// missing.
func TestMaskKnowsWhatIsSentAgain(t *testing.T) {
	var m masker
	first := "GET / HTTP/1.1\r\nCookie: a=S3CR3T; b=S3C"
	m.mask([]byte(first), 100, len(first))
	again := []byte("=S3CR3T; b=S3CR3T\r\nA: 1\r\n")
	m.mask(again, 100+26, len(again))
	if want := "xxxxxxxxxxxxxxxxx\r\nA: 1\r\n"; string(again) != want {
		t.Errorf("sent again in part: %q, want %q", again, want)
	}
	gap := []byte("CR3T\r\nB: 2\r\n\r\n")
	m.mask(gap, 5000, len(gap))
	if want := "xxxxx\nB: 2\r\n\r\n"; string(gap) != want {
		t.Errorf("behind a gap: %q, want %q", gap, want)
	}
	late := []byte("POST /?token=S3CR3T HTTP/1.1\r\n")
	m.mask(late, 90, len(late))
	if bytes.Contains(late, []byte("S3CR3T")) {
		t.Errorf("from long ago: %q", late)
	}
	cut := []byte("GET / HTTP/1.1\r\nCookie: a=S3")
	var c masker
	c.mask(cut, 1, len(cut)+4) // its end was not captured
	rest := []byte("T; b=1\r\nHost: shop\r\n")
	c.mask(rest, 1+uint32(len(cut))+4, len(rest))
	if want := "xxxxxxx\nHost: shop\r\n"; string(rest) != want {
		t.Errorf("behind a cut frame: %q, want %q", rest, want)
	}
}

// TestSecretsOfTheWire: where the text has its secret, spelt S3CR3T, it goes,
// and what is around it stays.
func TestSecretsOfTheWire(t *testing.T) {
	for _, c := range [][2]string{ // a text and what must stay of it
		{`GET /a?pass=S3CR3T&b=1 HTTP/1.1`, `&b=1 HTTP/1.1`},
		{`GET /a?x=1&passwd=S3CR3T HTTP/1.1`, `?x=1&passwd=`},
		{`GET /cb?code=S3CR3T&b=1 HTTP/1.1`, `&b=1 HTTP/1.1`},
		{`GET /a?jwt=S3CR3T HTTP/1.1`, ` HTTP/1.1`},
		{`GET /a?session=S3CR3T HTTP/1.1`, ` HTTP/1.1`},
		{`GET /a?access_key=S3CR3T HTTP/1.1`, ` HTTP/1.1`},
		{`GET /?X-Amz-Security-Token=S3CR3T&b=1 HTTP/1.1`, `&b=1 HTTP/1.1`},
		{`GET /?X-Amz-Signature=S3CR3T&b=1 HTTP/1.1`, `&b=1 HTTP/1.1`},
		{`GET /?sig=S3CR3T&b=1 HTTP/1.1`, `&b=1 HTTP/1.1`},
		{`GET /login?next=%2Fa%3Ftoken%3DS3CR3T HTTP/1.1`, ` HTTP/1.1`},
		{`GET /a;JSESSIONID=S3CR3T HTTP/1.1`, ` HTTP/1.1`},
		{`Referer: http://admin:S3CR3T@host/x`, `@host/x`},
		{`Referer: http://admin:p@S3CR3T@host/x`, `@host/x`},
		{`Location: https://host:8443/x?token=S3CR3T`, `https://host:8443/x?token=`},
		{`X-Forwarded-Client-Cert: S3CR3T`, `X-Forwarded-Client-Cert: `},
		{`X-Amz-Security-Token: S3CR3T`, `X-Amz-Security-Token: `},
		{`X-Auth: S3CR3T`, `X-Auth: `},
		{`My-Session-Id:  S3CR3T`, `My-Session-Id:  `},
		{`{"password":"a S3CR3T b","user":"bob"}`, `","user":"bob"}`},
		{`{"password": "S3CR3T", "user": "bob"}`, `", "user": "bob"}`},
		{`{'password': 'a S3CR3T b', 'user': 'bob'}`, `', 'user': 'bob'}`},
		{`{\"password\":\"S3CR3T\"}`, `{\"password\":\"`},
		{`{"token":["S3CR3T"],"n":1}`, `],"n":1}`},
		{`{"accessToken":"S3CR3T","n":1}`, `","n":1}`},
		{`{"aws_secret_access_key" : "S3CR3T","n":1}`, `","n":1}`},
		{`{"pass":"S3CR3T","n":1}`, `","n":1}`},
		{`user=bob&password=S3CR3T&n=1`, `&n=1`},
		{`it is Bearer S3CR3TS3CR3T now`, ` now`},
		{`user eyJhbGciOiJI.eyJzdWIiOi.S3CR3T came`, ` came`},
		{`key ghp_S3CR3T0123456789abcdef end`, ` end`},
		{`key github_pat_S3CR3T0123456789abcdef end`, ` end`},
		{`key xoxb-12345-S3CR3T end`, ` end`},
		{`key AKIAS3CR3T0123456789 end`, ` end`},
		{`key sk_live_S3CR3T0123 end`, ` end`},
		// These hold none.
		{`GET /tokens?page=2&key_count=3&design=a HTTP/1.1`, `GET /tokens?page=2&key_count=3&design=a HTTP/1.1`},
		{`X-Request-Id: 4f-eyes ghp_short`, `X-Request-Id: 4f-eyes ghp_short`},
		{`Sec-WebSocket-Key: dGhlIHNhbXBsZQ==`, `Sec-WebSocket-Key: dGhlIHNhbXBsZQ==`},
		{`{"author":"bob","session":3,"monkey":"m"}`, `{"author":"bob"`},
		{`Keep-Alive: timeout=5, max=1000`, `Keep-Alive: timeout=5, max=1000`},
		{`WWW-Authenticate: Basic realm="shop"`, `WWW-Authenticate: Basic realm="shop"`},
		{`Transfer-Encoding: chunked`, `Transfer-Encoding: chunked`},
		{`Origin: http://shop.example:8080`, `Origin: http://shop.example:8080`},
	} {
		text := c[0] + "\r\nHost: shop\r\n\r\n"
		got := masked(text)
		if strings.Contains(got, "S3CR3T") || !strings.Contains(got, c[1]) || !strings.HasSuffix(got, "\r\nHost: shop\r\n\r\n") {
			t.Errorf("%q became %q", c[0], got)
		}
	}
}

func FuzzMask(f *testing.F) {
	for i, c := range maskCases {
		f.Add([]byte(c.in), uint64(i))
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var m masker
		seq := rnd.Uint32()
		for len(data) > 0 {
			n := 1 + rnd.IntN(len(data))
			b := bytes.Clone(data[:n])
			m.mask(b, seq+uint32(rnd.IntN(5)-2), n+rnd.IntN(3))
			for i, x := range b {
				if x != data[i] && x != 'x' {
					t.Fatalf("byte %d became %q", i, x)
				}
			}
			if len(m.carry) > maxCarry+1 || len(m.spans) > maxSpans {
				t.Fatalf("it remembers %d bytes, %d places", len(m.carry), len(m.spans))
			}
			data, seq = data[n:], seq+uint32(n)
		}
	})
}
