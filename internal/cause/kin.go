package cause

import (
	"net/netip"
	"slices"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Kin says how the party of an event stands to the server that failed requests
// asked.
type Kin int

// The three answers.
const (
	Stranger Kin = iota - 1 // somebody else: its troubles fail no request here
	Unclear                 // nothing tells
	Own                     // that very server, or the gateway that reports
)

// Asked is what the evidence tells of the servers that an episode's failed
// requests asked: whether an OOM kill on the host hit them or a database
// beside them.
type Asked struct {
	gateway string
	heard   map[string]bool   // addresses and names that were looked at
	ips     map[string]bool   // of the members that failed
	ipOf    map[string]string // by the name of a pod or container
	known   bool              // every failing member is a pod or container the evidence names
	hosts   map[string]bool   // machines the failing members run on
	words   [][]string        // names of the groups and members asked, cut into words
	owners  bool              // one of the workloads in the evidence bears such a name
	family  map[string]bool   // run times of the servers
	names   map[string]bool   // of all processes and workloads that events speak of
	listens map[string]string // by input: the one address that the server listens on whose log it is
}

// Ask gathers it.
func Ask(e *failure.Episode) *Asked {
	a := &Asked{gateway: e.Gateway.Tech, ips: map[string]bool{}, ipOf: map[string]string{}, hosts: map[string]bool{}, family: map[string]bool{}, names: map[string]bool{}, heard: map[string]bool{}, listens: map[string]string{}}
	for _, f := range e.Failures {
		a.ip(f.Backend.Address)
		a.ip(f.Try.Address)
		a.name(f.Upstream)
		a.name(f.Backend.Name)
		for _, r := range f.Seen {
			if fam := protocolFamily[r.Attrs[fact.AttrProtocol]]; fam != "" {
				a.family[fam] = true
			}
		}
	}
	a.name(e.Upstream)
	for _, t := range e.World.Techs(fact.RoleBackend) {
		if fam := families[t]; fam != "" {
			a.family[fam] = true
		}
	}
	for _, s := range e.World.Settings {
		if s.Knob == fact.ListenAddress && s.Party.Role == fact.RoleBackend {
			a.listens[s.Origin.Path] = listenIP(s.Text)
		}
	}
	named := map[string]bool{}
	for _, x := range e.World.Events {
		ip := host(x.Party.Address)
		if ip != "" && x.Party.Name != "" && x.Party.Role == fact.RoleBackend {
			a.ipOf[x.Party.Name] = ip
			named[ip] = true
		}
		if x.Party.Host != "" && a.ips[ip] {
			a.hosts[x.Party.Host] = true
		}
		if x.Party.Role == fact.RoleBackend || x.Party.Role == "" {
			n := x.Party.Name
			if owner := x.Attrs[fact.AttrOwner]; owner != "" {
				n = owner
			}
			if n != "" {
				a.names[strings.TrimSuffix(n, ".service")] = true
			}
		}
		for _, n := range namesOf(x) {
			a.owners = a.owners || a.bears(n)
		}
	}
	a.known = len(a.ips) > 0
	for ip := range a.ips {
		a.known = a.known && named[ip]
	}
	for _, x := range e.World.Events {
		if x.Party.Host != "" && x.Party.Role == fact.RoleBackend && a.ips[a.ipOf[x.Party.Name]] {
			a.hosts[x.Party.Host] = true
		}
	}
	return a
}

func (a *Asked) ip(address string) {
	if a.heard[address] {
		return
	}
	a.heard[address] = true
	if ip := host(address); ip != "" {
		a.ips[ip] = true
	}
}

// minName is the shortest name that says something.
const minName = 3

func (a *Asked) name(s string) {
	if a.heard["name "+s] {
		return
	}
	a.heard["name "+s] = true
	if w := words(s); len(s) >= minName && len(w) > 0 && host(s) == "" {
		a.words = append(a.words, w)
	}
}

// Kin tells how the event's party stands to the servers asked.
func (a *Asked) Kin(x *fact.Event) Kin {
	p := x.Party
	switch {
	case p.Role == fact.RoleGateway && p.Tech == a.gateway && p.Tech != "":
		return Own
	case p.Role == fact.RoleHost:
		return a.machine(p.Host)
	}
	ip := host(p.Address)
	if ip == "" {
		ip = a.ipOf[p.Name]
	}
	if at := a.listens[x.Origin.Path]; at != "" && len(a.ips) > 0 && p.Role != fact.RoleOrchestrator {
		if a.ips[at] {
			return Own
		}
		return Stranger // it listens on another machine's address than was asked
	}
	if ip != "" && len(a.ips) > 0 {
		if a.ips[ip] {
			return Own
		}
		if a.known {
			return Stranger
		}
	}
	for _, n := range namesOf(x) {
		if a.bears(n) {
			return Own
		}
	}
	if a.owners && (x.Attrs[fact.AttrOwner] != "" || strings.HasSuffix(p.Name, ".service")) {
		return Stranger // another workload bears the name that was asked for
	}
	return a.program(p)
}

// machine: an event of a whole machine concerns its servers.
func (a *Asked) machine(name string) Kin {
	switch {
	case name == "" || len(a.hosts) == 0:
		return Unclear
	case a.hosts[name]:
		return Own
	}
	return Stranger
}

// program judges a process by its name: whether it is of the run time that the
// servers are known to have.
func (a *Asked) program(p fact.Party) Kin {
	name := strings.TrimSuffix(strings.ToLower(p.Name), ".service")
	fam := familyOf(name)
	if f := families[p.Tech]; f != "" {
		fam = f
	}
	switch {
	case fam == "stranger":
		return Stranger
	case fam != "" && len(a.family) > 0 && a.family[fam]:
		return Own
	case fam != "" && len(a.family) > 0:
		if fam == families[a.gateway] || a.family["other"] {
			return Unclear
		}
		return Stranger
	}
	return Unclear
}

// Kindred returns the events that are not a stranger's, and whether one of
// them is the very server's.
func (a *Asked) Kindred(events []*fact.Event) (kindred []*fact.Event, own bool) {
	for _, x := range events {
		switch a.Kin(x) {
		case Own:
			own = true
			kindred = append(kindred, x)
		case Unclear:
			kindred = append(kindred, x)
		}
	}
	return kindred, own
}

// The weights of kinship, in decibans.
const (
	// kinWeight: on a machine with a handful of services an event that is
	// surely the server's own is that much likelier to be the reason.
	kinWeight = 4
	// strayWeight: of several services whose troubles are told, one of unknown
	// kin is another in three cases of four; and each of them had its chance to
	// lie near the failures.
	strayWeight = 6
	// crowd is from how many names of processes on the evidence is that of a
	// whole machine rather than of one server.
	crowd = 3
)

// Relation weighs whether the events that lie near the failures are the
// server's own. what says so in the words of the cause: "what died is the
// server that was asked".
func (a *Asked) Relation(near []fact.Fact, what string) (Signal, bool) {
	own, all := 0, 0
	for _, f := range near {
		if x, ok := f.(*fact.Event); ok {
			all++
			if a.Kin(x) == Own {
				own++
			}
		}
	}
	switch {
	case all == 0:
	case own*2 >= all:
		return For(kinWeight, "on a machine that runs many things, it hits another one more often than not", what, near[0]), true
	case len(a.names) >= crowd:
		return Against(strayWeight, "of several services on a machine most answer nobody of these", "nothing tells that it is the server that was asked"), true
	}
	return Signal{}, false
}

// bears reports whether a name that was asked for holds n, word by word:
// "shop-web-80" holds "web"; or n begins with it: "shop-3" with "shop".
func (a *Asked) bears(n string) bool {
	w := words(n)
	if len(n) < minName || len(w) == 0 {
		return false
	}
	for _, have := range a.words {
		for i := 0; i+len(w) <= len(have); i++ {
			if slices.Equal(have[i:i+len(w)], w) {
				return true
			}
		}
		if len(have) < len(w) && !(len(have) == 1 && generic(have[0])) && slices.Equal(w[:len(have)], have) {
			return true
		}
	}
	return false
}

// generic are names that say nothing about whose they are.
func generic(word string) bool {
	switch word {
	case "app", "web", "www", "api", "backend", "backends", "server", "servers", "default", "http", "https", "main", "upstream", "service", "php", "node", "python":
		return true
	}
	return false
}

// namesOf are the names an event's party may be asked by.
func namesOf(x *fact.Event) []string {
	var out []string
	for _, n := range [...]string{x.Party.Name, x.Attrs[fact.AttrContainer]} {
		if n = strings.TrimSuffix(n, ".service"); n != "" {
			out = append(out, n)
		}
	}
	if _, n, ok := strings.Cut(x.Attrs[fact.AttrOwner], "/"); ok {
		out = append(out, n)
	}
	return out
}

// listenIP is the IP address in what a server says it listens on
// ("http://10.0.0.5:8000"); empty where it is every address, a loopback or a
// socket.
func listenIP(text string) string {
	if i := strings.Index(text, "://"); i >= 0 {
		text = text[i+3:]
	}
	ip := host(strings.TrimRight(text, "/"))
	if a, err := netip.ParseAddr(ip); err != nil || a.IsUnspecified() {
		return ""
	}
	return ip
}

func words(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
}

// host is the IP address in "10.0.0.1:80"; empty for names, sockets and the
// loopback, which every machine has.
func host(address string) string {
	if ap, err := netip.ParseAddrPort(address); err == nil {
		address = ap.Addr().String()
	}
	ip, err := netip.ParseAddr(strings.Trim(address, "[]"))
	if err != nil || ip.IsLoopback() {
		return ""
	}
	return ip.Unmap().String()
}

// families names the run time of each technology that serves.
var families = map[string]string{
	"node": "node", "gunicorn": "python", "uvicorn": "python", "uwsgi": "python", "python": "python", "hypercorn": "python", "phpfpm": "php", "php": "php",
	"puma": "ruby", "unicorn": "ruby", "ruby": "ruby", "jvm": "java", "golang": "other", "apache": "apache", "nginx": "nginx", "haproxy": "haproxy", "caddy": "caddy", "varnish": "varnish", "traefik": "traefik", "envoy": "envoy",
}

var protocolFamily = map[string]string{"fastcgi": "php", "uwsgi": "python"}

// programs names the run time by the front of a process's name; the kernel
// cuts names at 15 bytes.
var programs = []struct{ front, family string }{
	{"node", "node"}, {"npm", "node"}, {"bun", "node"}, {"deno", "node"}, {"next-server", "node"},
	{"gunicorn", "python"}, {"uvicorn", "python"}, {"uwsgi", "python"}, {"python", "python"}, {"hypercorn", "python"}, {"daphne", "python"},
	{"php", "php"}, {"puma", "ruby"}, {"ruby", "ruby"}, {"unicorn", "ruby"}, {"bundle", "ruby"}, {"rails", "ruby"}, {"passenger", "ruby"},
	{"java", "java"}, {"tomcat", "java"}, {"catalina", "java"}, {"apache2", "apache"}, {"httpd", "apache"}, {"nginx", "nginx"}, {"haproxy", "haproxy"}, {"caddy", "caddy"},
	{"varnish", "varnish"}, {"traefik", "traefik"}, {"envoy", "envoy"},
	// Databases, agents, tools and jobs: they answer no request of a proxy.
	{"mysqld", "stranger"}, {"mariadbd", "stranger"}, {"postgres", "stranger"}, {"mongod", "stranger"}, {"redis-server", "stranger"}, {"memcached", "stranger"}, {"clickhouse", "stranger"},
	{"mysqldump", "stranger"}, {"pg_dump", "stranger"}, {"rsync", "stranger"}, {"tar", "stranger"}, {"gzip", "stranger"}, {"restic", "stranger"}, {"borg", "stranger"}, {"backup", "stranger"},
	{"apt", "stranger"}, {"dpkg", "stranger"}, {"dnf", "stranger"}, {"yum", "stranger"}, {"clamd", "stranger"}, {"freshclam", "stranger"}, {"chrome", "stranger"}, {"chromium", "stranger"},
	{"ffmpeg", "stranger"}, {"prometheus", "stranger"}, {"grafana", "stranger"}, {"fluent", "stranger"}, {"logrotate", "stranger"}, {"updatedb", "stranger"}, {"stress", "stranger"}, {"gcc", "stranger"}, {"cc1", "stranger"},
	{"cron", "stranger"}, {"sshd", "stranger"}, {"dockerd", "stranger"}, {"containerd", "stranger"}, {"kubelet", "stranger"},
}

func familyOf(name string) string {
	for _, p := range programs {
		if rest, ok := strings.CutPrefix(name, p.front); ok {
			// "tar" is no "target", "php8.2-fpm" is "php".
			if rest == "" || p.family != "stranger" || strings.IndexAny(rest[:1], "-_.:@0123456789") == 0 {
				return p.family
			}
		}
	}
	return ""
}

// Owned is the best-founded setting of a knob for whom an event is about: a
// unit, container or workload of that name. x may be nil. Where none bears the
// name it is the one of the only server, nil if there are several.
func Owned(w *failure.World, x *fact.Event, knob fact.Knob) *fact.Setting {
	var all []*fact.Setting
	for _, role := range [...]fact.Role{fact.RoleBackend, "", fact.RoleOrchestrator} {
		all = append(all, w.AllSettings(role, knob)...)
	}
	var best *fact.Setting
	names := map[string]bool{}
	for _, s := range all {
		if x != nil && belongs(s, x) {
			if best == nil || s.Basis.Outranks(best.Basis) {
				best = s
			}
		}
		names[s.Party.Name] = true
	}
	if best != nil || len(names) != 1 {
		return best
	}
	best = all[0]
	for _, s := range all {
		if s.Basis.Outranks(best.Basis) {
			best = s
		}
	}
	return best
}

// belongs reports whether a setting is of whom the event is about.
func belongs(s *fact.Setting, x *fact.Event) bool {
	bare := func(n string) string { return strings.TrimSuffix(n, ".service") }
	have := bare(s.Party.Name)
	if have == "" {
		return false
	}
	for _, n := range namesOf(x) {
		if n = bare(n); n == have || strings.HasPrefix(n, have+"-") && x.Party.Tech == s.Party.Tech && x.Party.Tech == "kube" {
			return true
		}
	}
	return false
}
