package source

import (
	"math/rand/v2"
	"strings"
	"testing"

	"culprit/internal/fact"
)

// TestRedactHidesSecrets: a text holds its secret, spelt S3CR3T, in a place
// where logs and configurations have one; what is around it stays.
func TestRedactHidesSecrets(t *testing.T) {
	for _, c := range [][2]string{ // a text and what must stay of it
		{`{"Cookie":["sessionid=abc; b=S3CR3T"],"Host":["shop"]}`, `"Host":["shop"]`},
		{`"Set-Cookie": [ "a=1; Path=/", "b=S3CR3T" ], "x": 1`, `], "x": 1`},
		{`"X-Api-Key":["S3CR3T"],"Accept":["*/*"]`, `"Accept":["*/*"]`},
		{`"Authorization":["Basic S3CR3T=="],"n":["1"]`, `"n":["1"]`},
		{`"Authorization":["Digest username=\"a\", response=\"S3CR3T\""],"n":1`, `"n":1`},
		{`"Authorization":"Digest username=\"a\", response=\"S3CR3T\"","n":1`, `"n":1`},
		{`{\"password\":\"S3CR3T\"}`, `password`},
		{`headers map[Authorization:[Bearer S3CR3T.abc] Host:[shop]]`, `Host:[shop]`},
		{`{'password': 'a S3CR3T b', 'user': 'bob'}`, `'user': 'bob'`},
		{`"password": "a S3CR3T b", "user": "bob"`, `"user": "bob"`},
		{`:password=>"S3CR3T", :a=>1`, `:a=>1`},
		{`http://admin:S3CR3T@host/x`, `@host/x`},
		{`http://admin:p@S3CR3T@host/x`, `@host/x`},
		{`redis://:S3CR3T@cache:6379`, `@cache:6379`},
		{`GET /a?pass=S3CR3T&b=1`, `&b=1`},
		{`/a?x=1&passwd=S3CR3T`, `x=1`},
		{`/a?auth=S3CR3T&b=1`, `&b=1`},
		{`/cb?code=S3CR3T&b=1`, `&b=1`},
		{`/cb?x=1&code=S3CR3T`, `x=1`},
		{`/a?jwt=S3CR3T x`, ` x`},
		{`/a?session=S3CR3T x`, ` x`},
		{`/a?access_key=S3CR3T x`, ` x`},
		{`secret_key=S3CR3T x`, ` x`},
		{`aws_secret_access_key = S3CR3T x`, ` x`},
		{`?X-Amz-Security-Token=S3CR3T&b=1`, `&b=1`},
		{`?sig=S3CR3T&b=1`, `&b=1`},
		{`sid=S3CR3T; a=1`, `a=1`},
		{`/login?next=%2Fa%3Ftoken%3DS3CR3T x`, ` x`},
		{`DB_PASSWORD=S3CR3T node app.js`, `node app.js`},
		{`JSESSIONID=S3CR3T x`, ` x`},
		{`{PHPSESSID=S3CR3T|curl} x`, ` x`},
		{`{Basic S3CR3TS3CR3T|curl}`, `{Basic `},
		{`user eyJhbGciOiJI.eyJzdWIiOi.S3CR3T came`, ` came`},
		{`key ghp_S3CR3T0123456789abcdef end`, ` end`},
		{`key gho_S3CR3T0123456789abcdef end`, ` end`},
		{`key github_pat_S3CR3T0123456789abcdef end`, ` end`},
		{`key xoxb-12345-S3CR3T end`, ` end`},
		{`key AKIAS3CR3T0123456789 end`, ` end`},
		{`key sk_live_S3CR3T0123 end`, ` end`},
		{`mysql -u root -pS3CR3T shop`, `mysql -u root -p`},
		{`mysqldump --password=S3CR3T shop`, ` shop`},
		{`tool --password S3CR3T shop`, ` shop`},
		{`curl -sS -u a:S3CR3T http://x/`, ` http://x/`},
		{`curl --user a:S3CR3T http://x/`, ` http://x/`},
		{`curl -ua:S3CR3T http://x/`, ` http://x/`},
	} {
		got := Redact(c[0])
		if strings.Contains(got, "S3CR3T") || !strings.Contains(got, c[1]) || !strings.Contains(got, mask) {
			t.Errorf("Redact(%q) = %q", c[0], got)
		}
		if again := Redact(got); again != got {
			t.Errorf("Redact(%q) = %q, and of that %q", c[0], got, again)
		}
	}
}

func TestRedactLeavesOrdinaryText(t *testing.T) {
	for _, s := range []string{
		"at=error code=H12 desc=\"Request timeout\" method=GET path=\"/x\" status=503",
		"Stopping process with SIGKILL; Error code=H13", "code=502 status_code=502 statusCode: 502",
		`auth_basic "Restricted area";`, "GET /auth/login HTTP/1.1", "GET /session/new HTTP/1.1", "inside: 5, aside=7, resid=1, design=2",
		"auth request unexpected status: 404 while sending to client", "docker run --user 1000:1000 shop",
		"http://host:8080/a?b=c@d", "unix:/run/app@1.sock", "curl/8.5.0", "zone asia-east1-b",
		"ssl_session_timeout=5m ssl_certificate_key /etc/x.pem;", "proxy_pass http://app;", "pass: the probe", "mysql.service: Main process exited",
		"keys: 5, cache_key=ab", "Basic authentication failed", "exit code: 137", "--max-tokens 5",
	} {
		if got := Redact(s); got != s {
			t.Errorf("Redact(%q) = %q", s, got)
		}
	}
}

// TestRedactFact: no field of a fact that is shown keeps a secret.
func TestRedactFact(t *testing.T) {
	const url = "http://admin:S3CR3T@host/"
	head := fact.Header{Party: fact.Party{Name: url, Address: "admin:S3CR3T@10.0.0.5:80"}, Origin: fact.Origin{Text: url}}
	attrs := func() map[string]string { return map[string]string{"a": url} }
	for _, f := range []fact.Fact{
		&fact.Request{Header: head, Host: url, Path: url, Detail: url, Upstream: url, Client: url, UserAgent: url, Attempts: []fact.Attempt{{Address: url}, {Address: "admin:S3CR3T@10.0.0.5:80"}}, Attrs: attrs()},
		&fact.Conn{Header: head, Client: url, Server: url},
		&fact.Event{Header: head, Detail: url, Path: url, Reason: url, Client: url, Attrs: attrs()},
		&fact.Sample{Header: head, Labels: attrs()},
		&fact.Setting{Header: head, Text: url, Object: url, Where: url},
	} {
		redactFact(f)
		var b strings.Builder
		if err := fact.Encode(&b, f); err != nil {
			t.Fatal(err)
		}
		if s := b.String(); strings.Contains(s, "S3CR3T") {
			t.Errorf("%s", s)
		}
	}
	socket := &fact.Request{Attempts: []fact.Attempt{{Address: "unix:/run/app@1.sock"}, {Address: "unix:@app"}}}
	redactFact(socket)
	if a := socket.Attempts; a[0].Address != "unix:/run/app@1.sock" || a[1].Address != "unix:@app" {
		t.Errorf("%+v", a)
	}
}

// TestFurtherSecretsAreMetBySearch does for names in brackets, escapes, tokens
// and commands what TestSecretsAreMetBySearch does for those of headers.
func TestFurtherSecretsAreMetBySearch(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	parts := strings.Split(`pass|passphrase|auth|session|jwt|code|key|otp|connect.sid|access_key_id|aws_secret_access_key|_session|credentials|cookie|Authorization|[|]|\"|\u0026|&amp;|%3D|=>|=|:| |'|"|?|&|{|,|`+
		`eyJhbGciOi.eyJzdWI.abc|ghp_0123456789abcdefghij|xoxb-0123456789|AKIA0123456789ABCDEF|sk_live_0123456789|mysql |mysqldump|curl |wget |sshpass |redis-cli |-p|-u|-a|--user|--password|--|a:b|://|@|basic |Bearer |0123456789|[redacted]`, "|")
	for range 20_000 {
		var b strings.Builder
		for range 1 + rnd.IntN(8) {
			b.WriteString(parts[rnd.IntN(len(parts))])
		}
		in, want := b.String(), b.String()
		for i, re := range secretShapes {
			repl := "${1}" + mask
			if i == shapeURL {
				repl += "@"
			}
			want = re.ReplaceAllString(want, repl)
		}
		if got := Redact(in); got != want {
			t.Fatalf("Redact(%q) = %q, want %q", in, got, want)
		}
	}
}
