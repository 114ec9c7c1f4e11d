package journal

import (
	"strings"

	"culprit/internal/fact"
)

// jobUnit is the unit of "app.service - My App." or its description.
func jobUnit(b []byte) string {
	text := strings.TrimSpace(string(b))
	text = strings.TrimSuffix(strings.TrimSuffix(text, "..."), "…")
	text = strings.TrimSuffix(text, ".")
	if unit, _, ok := strings.Cut(text, " - "); ok && unitLike([]byte(unit)) {
		return unit
	}
	return text
}

// login reports whether a unit belongs to somebody's session.
func login(unit string) bool {
	for _, pre := range [...]string{"Session ", "session-", "User ", "user@", "user-", "/"} {
		if strings.HasPrefix(unit, pre) {
			return true
		}
	}
	return false
}

// scheduled reports whether a unit's description is that of a job. Before
// version 246 systemd said "Started" at the end of a job, too.
func scheduled(unit string) bool {
	low := strings.ToLower(unit)
	for _, w := range [...]string{"daily", "weekly", "hourly", "rotate", "cleanup", "clean up", "backup", "apt-", "fstrim", "periodic", "man-db", "mdcheck"} {
		if strings.Contains(low, w) {
			return true
		}
	}
	return false
}

func (s *said) take() (unit string, ok bool) {
	s.unit = jobUnit(s.h[0])
	return s.unit, s.unit != "" && !login(s.unit)
}

func (s *said) starting() {
	unit, ok := s.take()
	if !ok || len(s.r.pending) >= maxPending {
		return
	}
	if s.r.pending == nil {
		s.r.pending = map[string]begun{}
	}
	s.r.pending[unit] = begun{s.l.Time, s.l.N}
}

func (s *said) started() {
	unit, ok := s.take()
	if !ok {
		return
	}
	delete(s.r.pending, unit)
	if scheduled(unit) {
		s.job(fact.JobStarted, unit)
		return
	}
	s.state(fact.ProcessStarted, "")
}

// finished: a unit of type oneshot has done its work.
func (s *said) finished() {
	unit, ok := s.take()
	if !ok {
		return
	}
	if b, known := s.r.pending[unit]; known {
		delete(s.r.pending, unit)
		start := s.event(fact.JobStarted)
		start.Time, start.Origin.Line, start.Detail = b.at, b.line, "Starting "+unit
		start.Attrs = map[string]string{fact.AttrJob: unit}
		s.out.State(start)
		if !b.at.IsZero() && !s.l.Time.Before(b.at) {
			end := s.event(fact.JobEnded)
			end.Lasted, end.Attrs = fact.Lasting(s.l.Time.Sub(b.at)), map[string]string{fact.AttrJob: unit}
			s.out.State(end)
			return
		}
	}
	s.job(fact.JobEnded, unit)
}

func (s *said) job(kind fact.EventKind, unit string) {
	e := s.event(kind)
	e.Attrs = map[string]string{fact.AttrJob: unit}
	s.out.State(e)
}

func (s *said) stopping() {
	if _, ok := s.take(); ok {
		s.state(fact.ProcessStopping, "stop")
	}
}

func (s *said) stopped() {
	if unit, ok := s.take(); ok {
		delete(s.r.pending, unit)
		s.state(fact.ProcessExited, "stopped")
	}
}

func (s *said) failedStart() { s.failedStartOf(s.h[0]) }

func (s *said) failedStartOf(b []byte) {
	s.unit = jobUnit(b)
	delete(s.r.pending, s.unit)
	s.state(fact.BootFailed, "start")
}

func (s *said) reloaded() {
	if _, ok := s.take(); ok {
		s.state(fact.ConfigReloaded, "")
	}
}
