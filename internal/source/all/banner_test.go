package all_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"culprit/internal/fact"
	"culprit/internal/source"
	"culprit/internal/source/all"
)

// recorded is an answer in a folder's testdata/answers: its head with plain
// line ends, and the beginning of its body. Comments before it name who wrote
// and who relayed it; "?" behind a name says that the answer alone makes it
// possible and no more, "-" that it tells nobody.
type recorded struct {
	source.Answer
	wrote, passed, version string
}

func readAnswer(data []byte) (recorded, bool) {
	r := recorded{wrote: "-", passed: "-"}
	for bytes.HasPrefix(data, []byte("# ")) {
		var line []byte
		line, data, _ = bytes.Cut(data, []byte("\n"))
		key, value, _ := strings.Cut(string(line[2:]), ": ")
		switch key {
		case "wrote":
			r.wrote = value
		case "passed":
			r.passed = value
		case "version":
			r.version = value
		}
	}
	head, body, _ := bytes.Cut(data, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	proto, rest, ok := strings.Cut(lines[0], " ")
	code, reason, _ := strings.Cut(rest, " ")
	status := source.Int([]byte(code))
	if !ok || !status.Known {
		return r, false
	}
	fields := map[string]string{}
	for _, l := range lines[1:] {
		name, value, _ := strings.Cut(l, ":")
		name = strings.ToLower(name)
		if _, again := fields[name]; !again {
			fields[name] = strings.TrimSpace(value)
		}
	}
	r.Answer = source.Answer{
		Proto: proto, Status: int(status.N), Reason: reason, Body: body,
		Header: func(name string) string { return fields[name] },
		Has:    func(name string) bool { _, ok := fields[name]; return ok },
	}
	return r, true
}

func answers(t testing.TB) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("../*/testdata/answers/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no recorded answers: %v", err)
	}
	out := map[string][]byte{}
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimPrefix(filepath.ToSlash(p), "../")] = data
	}
	return out
}

// Every recorded answer names who wrote and who relayed it, and nobody else
// claims it.
func TestAnswers(t *testing.T) {
	banners := all.Banners()
	for name, data := range answers(t) {
		t.Run(name, func(t *testing.T) {
			r, ok := readAnswer(data)
			if !ok {
				t.Fatal("no status line")
			}
			b := source.Recognise(banners, &r.Answer)
			claim(t, "wrote", r.wrote, b, banners, func(b *source.Banner) source.Confidence { return b.Wrote(&r.Answer) })
			claim(t, "passed", r.passed, source.Relayer(banners, &r.Answer), banners, func(b *source.Banner) source.Confidence {
				if b.Passed == nil {
					return source.No
				}
				return b.Passed(&r.Answer)
			})
			if r.version != "" && (b == nil || b.Version == nil || b.Version(&r.Answer) != r.version) {
				t.Errorf("version %s is not told", r.version)
			}
		})
	}
}

func claim(t *testing.T, what, want string, got *source.Banner, banners []source.Banner, of func(*source.Banner) source.Confidence) {
	t.Helper()
	tech, unsure := strings.CutSuffix(want, "?")
	switch {
	case want == "-" && got != nil:
		t.Errorf("%s: %s with %d, want nobody", what, got.Tech, of(got))
	case want == "-":
	case got == nil || got.Tech != tech:
		t.Errorf("%s: %v, want %s", what, got, want)
	case unsure != (of(got) < source.Likely):
		t.Errorf("%s: %s with %d, want %s", what, got.Tech, of(got), want)
	}
	for i := range banners {
		if c := of(&banners[i]); c >= source.Likely && banners[i].Tech != tech {
			t.Errorf("%s: %s claims it, too, with %d", what, banners[i].Tech, c)
		}
	}
}

// Every folder with a banner is listed and has answers that were recorded or
// documented.
func TestBannersAreListed(t *testing.T) {
	files, err := filepath.Glob("../*/banner.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no banners: %v", err)
	}
	listed := map[string]bool{}
	for _, b := range all.Banners() {
		listed[b.Tech] = true
	}
	for _, f := range files {
		folder := filepath.Base(filepath.Dir(f))
		if !listed[folder] {
			t.Errorf("banners of %s are not in all.Banners", folder)
		}
		if some, _ := filepath.Glob("../" + folder + "/testdata/answers/*.txt"); len(some) == 0 {
			t.Errorf("%s has no answers in testdata/answers", folder)
		}
	}
}

// Defaults are those of the party asked for, with their source; a backend has
// none of a gateway's.
func TestBannerDefaults(t *testing.T) {
	for _, b := range all.Banners() {
		if b.Defaults == nil {
			continue
		}
		for _, role := range []fact.Role{fact.RoleGateway, fact.RoleBackend} {
			p := fact.Party{Role: role, Tech: b.Tech, Address: "10.8.0.5:8080"}
			n := 0
			b.Defaults(p, "", func(s *fact.Setting) {
				n++
				if s.Basis != fact.Default || s.Party.Address != p.Address || s.Party.Role != role || s.Origin.URL == "" || s.Origin.Line != 0 {
					t.Errorf("%s: %+v", b.Tech, s)
				}
				if role == fact.RoleBackend && s.Knob == fact.PoolIdle {
					t.Errorf("%s: a backend has %s", b.Tech, s.Knob)
				}
			})
			if role == fact.RoleGateway && n == 0 {
				t.Errorf("%s states no defaults", b.Tech)
			}
		}
	}
}

// FuzzBanners: no answer panics a banner.
func FuzzBanners(f *testing.F) {
	for _, data := range answers(f) {
		f.Add(data)
	}
	banners := all.Banners()
	f.Fuzz(func(_ *testing.T, data []byte) {
		r, ok := readAnswer(data)
		if !ok {
			return
		}
		for i := range banners {
			b := &banners[i]
			b.Wrote(&r.Answer)
			if b.Passed != nil {
				b.Passed(&r.Answer)
			}
			if b.Version != nil {
				b.Version(&r.Answer)
			}
		}
	})
}
