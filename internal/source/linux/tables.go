package linux

import (
	"bytes"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// heading recognises the first line of a table.
func (s *state) heading(b []byte) bool {
	f := strings.Fields(string(b))
	switch string(b) {
	case "Ip:", "Icmp:", "IcmpMsg:", "Tcp:", "Udp:", "UdpLite:", "TcpExt:", "IpExt:", "MPTcpExt:": // netstat -s
		s.r.table, s.r.sure = "counters", source.Possible
		return true
	case "#kernel": // nstat
		s.r.table, s.r.sure = "counters", source.Likely
		return true
	}
	if len(f) < 4 {
		return false
	}
	table := ""
	switch {
	case f[0] == "Transport" && f[1] == "Total", f[0] == "Limit" && f[1] == "Soft": // ss -s, /proc/PID/limits
		table = "counters"
	case f[0] == "Filesystem" && source.Has(b, "Mounted on"):
		if table = "df"; source.Has(b, "IUse%") {
			table = "df-i"
		}
	case f[0] == "total" && f[1] == "used" && f[2] == "free":
		table = "free"
	case source.Has(b, "Recv-Q") && source.Has(b, "Send-Q"):
		if table = "ss"; source.Has(b, "Proto") {
			table = "netstat"
		}
	}
	if table == "" {
		return false
	}
	s.r.table, s.r.sure = table, source.Sure
	return true
}

// row reads a row of a table; rows that cannot be mistaken need no heading.
func (s *state) row(b []byte) bool {
	f := strings.Fields(string(b))
	if len(f) < 4 {
		return false
	}
	switch {
	case f[0] == "LISTEN" || f[1] == "LISTEN" && (f[0] == "tcp" || f[0] == "u_str" || f[0] == "mptcp"):
		s.r.sure = source.Likely
		if f[1] == "LISTEN" {
			f = f[1:]
		}
		return s.listening(f)
	case (f[0] == "tcp" || f[0] == "tcp6") && len(f) > 5 && f[5] == "LISTEN":
		s.r.sure = source.Likely
		return s.netstatListening(f)
	case s.r.table == "ss" || s.r.table == "netstat":
		return socketRow(f[0])
	case s.r.table == "free" && f[0] == "Mem:":
		return s.memory(f)
	case s.r.table == "free" && f[0] == "Swap:":
		return true
	}
	return s.filesystem(f)
}

func socketRow(first string) bool {
	switch strings.ToUpper(first) {
	case "ESTAB", "TIME-WAIT", "CLOSE-WAIT", "SYN-SENT", "SYN-RECV", "FIN-WAIT-1", "FIN-WAIT-2", "LAST-ACK", "CLOSING", "UNCONN", "TCP", "TCP6", "UDP", "UDP6", "UNIX":
		return true
	}
	return false
}

// listening: LISTEN Recv-Q Send-Q Local Peer [Process]. On a listening socket
// Recv-Q is how many connections wait to be accepted and Send-Q how many may.
func (s *state) listening(f []string) bool {
	if len(f) < 4 {
		return false
	}
	waiting, most := source.Int([]byte(f[1])), source.Int([]byte(f[2]))
	if !waiting.Known || !most.Known {
		return false
	}
	who := host()
	who.Address = f[3]
	if strings.HasPrefix(f[3], "/") {
		who.Address = "unix:" + f[3]
	}
	if users, ok := source.Between(s.b, `users:(("`, `"`); ok {
		pid, _ := source.Between(s.b, "pid=", ",")
		who = process(string(users), source.PID(pid))
		who.Address = f[3]
	}
	if waiting.N > 0 && waiting.N >= most.N { // the queue holds one more than its limit
		e := s.event(fact.LimitReached, "accept queue")
		if waiting.N == most.N {
			e.Kind = fact.LimitNear
		}
		e.Party, e.Limit, e.Used, e.Max = who, fact.LimitQueue, waiting, most
		s.out.State(e)
	}
	x := s.setting(fact.ListenBacklog, "", "")
	x.Num, x.Party, x.Object = most, who, f[3]
	s.out.State(x)
	s.address(who, f[3])
	return true
}

// netstatListening: tcp Recv-Q Send-Q Local Foreign LISTEN [PID/Program].
func (s *state) netstatListening(f []string) bool {
	who := host()
	if len(f) > 6 {
		if pid, name, ok := strings.Cut(f[6], "/"); ok {
			who = process(strings.TrimRight(name, ":"), source.PID([]byte(pid)))
		}
	}
	who.Address = f[3]
	s.address(who, f[3])
	return true
}

// address states where somebody listens.
func (s *state) address(who fact.Party, addr string) {
	if !strings.Contains(addr, ":") {
		return
	}
	x := s.setting(fact.ListenAddress, "", "")
	x.Text, x.Party = addr, who
	s.out.State(x)
}

// nearFull is the share of a disk, in per cent, from which it may fill while
// people look on.
const nearFull = 97

// filesystem: device size used available use% mount point.
func (s *state) filesystem(f []string) bool {
	n := len(f)
	if n < 6 || !strings.HasSuffix(f[n-2], "%") || !strings.HasPrefix(f[n-1], "/") {
		return s.r.table == "df" || s.r.table == "df-i"
	}
	use := source.Int([]byte(strings.TrimSuffix(f[n-2], "%")))
	if !use.Known || use.N < 0 || use.N > 100 {
		return false
	}
	if s.r.table == "" {
		s.r.sure = source.Possible
	}
	// Images that are mounted are full by nature.
	if strings.HasPrefix(f[0], "/dev/loop") || strings.HasPrefix(f[n-1], "/snap/") || f[0] == "squashfs" || use.N < nearFull {
		return true
	}
	e := s.event(fact.DiskFull, "")
	if s.r.table == "df-i" {
		e.Reason = "inodes"
	}
	if use.N < 100 {
		e.Kind, e.Limit = fact.LimitNear, fact.LimitDisk
	}
	e.Used, e.Max = use, fact.Num(100)
	e.Attrs = map[string]string{fact.AttrPath: f[n-1]}
	s.out.State(e)
	return true
}

// memory: Mem: total used free shared buff/cache available, in any one unit.
func (s *state) memory(f []string) bool {
	if len(f) < 7 {
		return true
	}
	total, available := quantity(f[1]), quantity(f[6])
	if total <= 0 || available < 0 || available > total/50 { // 2 %: reclaim stalls everybody
		return true
	}
	e := s.event(fact.LimitNear, "memory")
	e.Limit = fact.LimitMemory
	s.out.State(e)
	return true
}

// quantity reads "123", "1.9Gi", "7976M"; -1 if it is none.
func quantity(v string) float64 {
	v = strings.TrimRight(v, "iB")
	unit := 1.0
	if v != "" {
		if i := strings.IndexByte("KMGT", v[len(v)-1]); i >= 0 {
			unit, v = float64(int64(1)<<(10*(i+1))), v[:len(v)-1]
		}
	}
	d := source.Secs(bytes.TrimSpace([]byte(v)))
	if !d.Known {
		return -1
	}
	return d.D.Seconds() * unit
}
