package source

import (
	"strings"
	"testing"
)

// TestSecretsSpansHoldTheSecret: what Secrets points at holds the secret, and
// nothing of the text's frame.
func TestSecretsSpansHoldTheSecret(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"GET /a?token=S3CR3T&b=1 HTTP/1.1\r\n", "GET /a?token=xxxxxx&b=1 HTTP/1.1\r\n"},
		{"Authorization: Bearer S3CR3T\r\nHost: shop\r\n", "Authorization: Bearer xxxxxx\r\nHost: shop\r\n"},
		{"Cookie: a=S3CR3T; b=2\r\nHost: shop\r\n", "Cookie: xxxxxxxxxxxxx\r\nHost: shop\r\n"},
		{`{"password":"S3CR3T","n":1}`, `{"password":"xxxxxx","n":1}`},
		{"http://bob:S3CR3T@host/x", "http://bob:xxxxxx@host/x"},
		{"GET /shop HTTP/1.1\r\n", "GET /shop HTTP/1.1\r\n"},
	} {
		b := []byte(c.text)
		for _, s := range Secrets(c.text) {
			copy(b[s[0]:s[1]], strings.Repeat("x", s[1]-s[0]))
		}
		if string(b) != c.want {
			t.Errorf("%q became %q, want %q", c.text, b, c.want)
		}
	}
}
