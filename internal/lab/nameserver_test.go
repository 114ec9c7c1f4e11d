package lab

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"
)

func TestNameServer(t *testing.T) {
	s, err := NewNameServer("127.0.0.1:0", map[string]string{"shop.internal.": "127.0.0.11"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", s.Addr())
	}}
	lookup := func(name string) ([]net.IP, *net.DNSError) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		ips, err := r.LookupIP(ctx, "ip4", name)
		var dns *net.DNSError
		if err != nil && !errors.As(err, &dns) {
			t.Fatal(err)
		}
		return ips, dns
	}

	if ips, err := lookup("Shop.internal."); err != nil || len(ips) != 1 || !ips[0].Equal(net.IPv4(127, 0, 0, 11)) {
		t.Errorf("known name: got %v, %v", ips, err)
	}
	if err := s.Move("shop.internal.", "127.0.0.12"); err != nil {
		t.Fatal(err)
	}
	if ips, err := lookup("shop.internal."); err != nil || len(ips) != 1 || !ips[0].Equal(net.IPv4(127, 0, 0, 12)) {
		t.Errorf("moved name: got %v, %v", ips, err)
	}
	if _, err := lookup("other.internal."); err == nil || !err.IsNotFound {
		t.Errorf("unknown name: got %v, want not found", err)
	}
	s.Set(NoSuchName)
	if _, err := lookup("shop.internal."); err == nil || !err.IsNotFound {
		t.Errorf("NoSuchName: got %v, want not found", err)
	}
	s.Set(ServerFailure)
	if _, err := lookup("shop.internal."); err == nil || err.IsNotFound || !err.IsTemporary {
		t.Errorf("ServerFailure: got %v, want a temporary error", err)
	}
	s.Set(Silence)
	if _, err := lookup("shop.internal."); err == nil || !err.IsTimeout {
		t.Errorf("Silence: got %v, want a time-out", err)
	}
}

func FuzzQuestionName(f *testing.F) {
	f.Add([]byte("\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04shop\x08internal\x00\x00\x01\x00\x01"))
	f.Add([]byte{})
	s := &NameServer{}
	f.Fuzz(func(t *testing.T, query []byte) {
		reply, err := s.reply(query, Address)
		if err == nil && len(reply) < dnsHeader {
			t.Errorf("a reply of %d bytes to %q", len(reply), query)
		}
	})
}
