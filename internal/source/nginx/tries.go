package nginx

import (
	"bytes"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// upFields are the kinds that hold one value for each try.
const upFields = 1<<kUpAddr | 1<<kUpStatus | 1<<kUpConnect | 1<<kUpHeader | 1<<kUpTime | 1<<kUpTimeMS

// tries reads the lists of upstream fields. nginx parts the tries of one pass
// by ", " and passes (after an internal redirect) by " : ".
func (f *filler) tries(v *values) {
	if v.has&upFields == 0 {
		return
	}
	q := &f.req
	for _, k := range [...]kind{kUpAddr, kUpStatus, kUpConnect, kUpHeader, kUpTime, kUpTimeMS} {
		b := v.get(k)
		if len(b) == 0 || len(b) == 1 && b[0] == '-' {
			continue
		}
		if single(b) {
			set(try(q, 0), k, b)
			continue
		}
		for i, x := range split(b, &f.inSplit) {
			if len(known(x)) > 0 {
				set(try(q, i), k, x)
			} else {
				try(q, i)
			}
		}
	}
}

// try returns attempt i of q, made where it is not there.
func try(q *fact.Request, i int) *fact.Attempt {
	for len(q.Attempts) <= i {
		q.Attempts = append(q.Attempts, fact.Attempt{})
	}
	return &q.Attempts[i]
}

func set(a *fact.Attempt, k kind, b []byte) {
	switch k {
	case kUpAddr:
		a.Address = source.View(address(b))
	case kUpStatus:
		if n := status(b); n > 0 {
			a.Status = fact.Num(n)
		}
	case kUpConnect:
		a.Connect = source.Secs(b)
	case kUpHeader:
		a.Header = source.Secs(b)
	case kUpTime:
		a.Took = source.Secs(b)
	case kUpTimeMS:
		a.Took = milliseconds(b)
	}
}

// split parts a list of tries, at most [maxTries] of them.
func split(b []byte, into *[maxTries][]byte) [][]byte {
	n := 0
	for len(b) > 0 && n < maxTries {
		end := len(b)
		for i := range b {
			if b[i] == ',' || b[i] == ' ' && i+2 < len(b) && b[i+1] == ':' && b[i+2] == ' ' {
				end = i
				break
			}
		}
		into[n] = bytes.TrimSpace(b[:end])
		n++
		if end == len(b) {
			break
		}
		if b[end] == ',' {
			b = b[end+1:]
		} else {
			b = b[end+3:]
		}
		for len(b) > 0 && b[0] == ' ' && !source.HasPrefix(b, " : ") {
			b = b[1:]
		}
	}
	return into[:n]
}

// address takes from an upstream address what is not one: a scheme, a path,
// needless slashes.
func address(b []byte) []byte {
	if len(b) > 0 && b[0] <= '9' && bytes.IndexByte(b, '/') < 0 {
		return b
	}
	if i := bytes.Index(b, []byte("://")); i > 0 && i < 8 && !source.HasPrefix(b, "unix:") {
		b = b[i+3:]
	}
	if source.HasPrefix(b, "unix:") {
		if source.HasPrefix(b, "unix:///") {
			b = b[len("unix://"):]
			// The prefix moves to the front of the path: "unix:" + "/run/x".
			return unixPath(b)
		}
		if i := bytes.IndexByte(b[5:], ':'); i >= 0 {
			return b[:5+i]
		}
		return b
	}
	if i := bytes.IndexByte(b, '/'); i >= 0 {
		b = b[:i]
	}
	return b
}

// unixPath spells "unix:///run/x:" as nginx's other places do. The copy is
// made only for this rare form.
func unixPath(b []byte) []byte {
	if i := bytes.IndexByte(b, ':'); i >= 0 {
		b = b[:i]
	}
	return append([]byte("unix:"), b...)
}

// groupName reports whether an upstream address is a group's name rather than
// a member: nginx logs it where no member was left to ask.
func groupName(b []byte) bool {
	return len(b) > 0 && bytes.IndexByte(b, ':') < 0
}

// The times by which a time-out is told from an answer that happened to be
// slow: nginx's timers fire up to this late.
const timerSlack = 60 * time.Millisecond

// ingressConnect is ingress-nginx's default proxy-connect-timeout.
const ingressConnect = 5 * time.Second

// judge says who made the status and how each try ended, as far as the line
// shows it. What nginx itself puts into $upstream_status when a member did not
// answer (502, 504) is not kept as a member's status.
func (f *filler) judge(v *values, l *layout) {
	q := &f.req
	n := len(q.Attempts)
	if n == 0 && q.Status.Or(0) < 429 && !q.Status.Is(0) {
		return
	}
	if n > 0 {
		last := &q.Attempts[n-1]
		if n == 1 && q.Status.Known && q.Status.N < 400 && q.Status.N >= 100 && last.Status.Or(0) < 500 {
			if last.Header.Known && last.Status.Known && last.Status.N == q.Status.N {
				q.Writer = fact.WriterBackend
			}
			return
		}
		silent := f.judgeTries(v, l)
		f.judgeStatus(v, l, silent)
	} else {
		f.judgeStatus(v, l, false)
	}
	if b := known(v.get(kCache)); len(b) > 0 && q.Status.Or(0) >= 400 {
		if f.attrs == nil {
			f.attrs = map[string]string{}
		}
		f.attrs[fact.AttrCacheStatus] = source.View(b)
		q.Attrs = f.attrs
	}
}

// judgeTries says how each try ended, and whether the last one brought no
// answer.
func (f *filler) judgeTries(v *values, l *layout) (silent bool) {
	q := &f.req
	lengths, received := column(v, kUpLength), column(v, kUpReceived)
	for i := range q.Attempts {
		a := &q.Attempts[i]
		s := a.Status.Or(0)
		if !a.Status.Known && v.has&(1<<kUpStatus) == 0 && i == len(q.Attempts)-1 {
			s = q.Status.Or(0)
		}
		if s < 500 {
			continue
		}
		size, got := at(lengths, i), at(received, i)
		answered := a.Header.Known || size.Or(0) > 0
		silent = !answered && (v.has&(1<<kUpHeader) != 0 || got.Is(0) || size.Is(0) && q.Method != "HEAD")
		switch {
		case answered:
			a.Ended = fact.AppAnswered
		case groupName([]byte(a.Address)):
			a.Ended, a.Status, silent = fact.NoBackend, fact.Int{}, true
		case silent:
			a.Status = fact.Int{}
			a.Ended = silence(a, v, l, s)
		case s == 504 && a.Took.Known && nearTimer(a.Took.D):
			a.Ended = silence(a, v, l, s)
		}
	}
	return silent
}

// column reads a list of numbers of one kind; nil if the line has none.
func column(v *values, k kind) [][]byte {
	b := v.get(k)
	if len(b) == 0 {
		return nil
	}
	return split(b, new([maxTries][]byte))
}

func at(list [][]byte, i int) fact.Int {
	if i >= len(list) {
		return fact.Int{}
	}
	return source.Int(list[i])
}

// silence says how a try ended that brought no answer, and s instead of one.
func silence(a *fact.Attempt, v *values, l *layout, s int64) fact.Mechanism {
	if s != 504 {
		return fact.MechanismUnknown
	}
	switch {
	case v.has&(1<<kUpConnect) != 0 && a.Connect.Known:
		return fact.ReplyTimedOut
	case v.has&(1<<kUpConnect) != 0:
		return fact.ConnectTimedOut
	case l.flavour == ingress && a.Took.Known && (a.Took.D-ingressConnect).Abs() <= timerSlack:
		return fact.ConnectTimedOut
	case a.Took.Known && a.Took.D >= time.Second:
		return fact.ReplyTimedOut
	}
	return fact.MechanismUnknown
}

// nearTimer reports whether d is what a timer of whole seconds leaves behind.
func nearTimer(d time.Duration) bool {
	return d >= time.Second && d%time.Second <= timerSlack
}

// judgeStatus says who made the request's status. silent: the last try brought
// no answer.
func (f *filler) judgeStatus(v *values, l *layout, silent bool) {
	q := &f.req
	st := q.Status.Or(-1)
	switch {
	case st == 499:
		q.Writer, q.Ended = fact.WriterSelf, fact.ClientGone
		return
	case st == 0:
		q.Ended = fact.ClientGone
		return
	case st == 9:
		// "009": what came was not HTTP, and was passed on as it came.
		q.Ended, q.Phase = fact.BadReply, fact.PhaseWaiting
		if n := len(q.Attempts); n > 0 {
			q.Attempts[n-1].Ended, q.Attempts[n-1].Status = fact.BadReply, fact.Int{}
		}
		return
	case source.HasPrefix(v.get(kLimit), "REJECTED") && !source.Has(v.get(kLimit), "DRY_RUN"):
		q.Writer, q.Ended = fact.WriterSelf, fact.Denied
		return
	}
	if len(q.Attempts) == 0 {
		if st >= 500 && v.has&(1<<kUpAddr|1<<kUpStatus) != 0 {
			q.Writer = fact.WriterSelf
			if st == 503 && l.flavour == ingress && q.Upstream != "" {
				q.Ended = fact.NoBackend // the balancer found no endpoint to hand the request to
			}
		}
		return
	}
	a := &q.Attempts[len(q.Attempts)-1]
	switch {
	case a.Ended == fact.AppAnswered || a.Header.Known && a.Status.Known:
		if a.Status.Is(st) || !a.Status.Known {
			q.Writer, q.Ended = fact.WriterBackend, a.Ended
		}
		return
	case st < 500:
		return
	case silent:
		q.Writer = fact.WriterSelf
		if a.Ended == fact.NoBackend && q.Upstream == "" {
			q.Upstream = a.Address
		}
	}
	q.Ended, q.Phase = a.Ended, phaseOf(a.Ended)
	if q.Phase == "" && silent && v.has&(1<<kUpConnect) != 0 {
		q.Phase = fact.PhaseConnecting
		if a.Connect.Known {
			q.Phase = fact.PhaseWaiting
		}
	}
}

// phaseOf is where nginx is when a try ends so.
func phaseOf(m fact.Mechanism) fact.Phase {
	switch m {
	case fact.NoBackend, fact.ConnectTimedOut:
		return fact.PhaseConnecting
	case fact.ReplyTimedOut, fact.BadReply:
		return fact.PhaseWaiting
	}
	return ""
}
