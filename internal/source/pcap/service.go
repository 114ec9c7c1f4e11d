package pcap

import (
	"fmt"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/wire"
)

// services are ports at which something else than HTTP answers (IANA's service
// names). A connection to one that fails is no failed request; it may be why
// one failed.
var services = map[uint16]string{
	21: "ftp", 22: "ssh", 23: "telnet", 25: "smtp", 53: "dns", 110: "pop3", 143: "imap", 179: "bgp", 389: "ldap", 465: "smtps", 587: "submission", 636: "ldaps", 853: "dns over TLS",
	873: "rsync", 993: "imaps", 995: "pop3s", 1433: "SQL Server", 1521: "Oracle", 1883: "mqtt", 2181: "ZooKeeper", 3306: "MySQL", 3389: "rdp", 4222: "NATS", 5222: "xmpp", 5432: "PostgreSQL",
	5671: "amqps", 5672: "amqp", 6379: "Redis", 6432: "PgBouncer", 8883: "mqtts", 9042: "Cassandra", 9092: "Kafka", 11211: "memcached", 26379: "Redis Sentinel", 27017: "MongoDB",
}

// service names what answers at an address; empty if it may be HTTP.
func service(e wire.Endpoint) string { return services[e.Port] }

// elsewhere: a TLS connection that carries something else than HTTP.
func elsewhere(c *wire.Conn) bool {
	alpn := c.TLS.ALPN
	return service(c.Server) != "" || alpn != "" && alpn != "h2" && !strings.HasPrefix(alpn, "http/")
}

// dependency states that a service which is not HTTP could not be reached by
// the machine that asked it.
func (r *reader) dependency(d *dial, name string) {
	e := &fact.Event{Kind: fact.DependencyDown, Reason: string(d.try.Ended), Detail: fmt.Sprintf("%s at %s: %s", name, d.server, strings.ReplaceAll(string(d.try.Ended), "-", " "))}
	e.Attrs = map[string]string{fact.AttrDependency: name + " at " + d.server.String()}
	e.Time = at(d.to)
	e.Party = fact.Party{Role: fact.RoleBackend, Address: d.client.Addr().String()}
	e.Origin.Line, e.Origin.Text = d.n, d.text+r.noted(d.n)
	r.in.At(d.n)
	r.out.State(e)
}
