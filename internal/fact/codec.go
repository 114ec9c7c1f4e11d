package fact

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// envelope is a fact's JSON object: exactly one field is set.
type envelope struct {
	Request *Request `json:"request,omitempty"`
	Conn    *Conn    `json:"conn,omitempty"`
	Event   *Event   `json:"event,omitempty"`
	Sample  *Sample  `json:"sample,omitempty"`
	Setting *Setting `json:"setting,omitempty"`
}

// Encode writes f as one JSON line.
func Encode(w io.Writer, f Fact) error {
	var e envelope
	switch f := f.(type) {
	case *Request:
		e.Request = f
	case *Conn:
		e.Conn = f
	case *Event:
		e.Event = f
	case *Sample:
		e.Sample = f
	case *Setting:
		e.Setting = f
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return fmt.Errorf("encode fact: %w", err)
	}
	return nil
}

// maxEncoded bounds one encoded fact, in bytes.
const maxEncoded = 1 << 20

// ErrNotFact is returned for a line that is JSON but holds no fact.
var ErrNotFact = errors.New("not a fact: none of request, conn, event, sample, setting")

// DecodeLine reads one line that [Encode] wrote.
func DecodeLine(line []byte) (Fact, error) {
	var e envelope
	if err := json.Unmarshal(line, &e); err != nil {
		return nil, fmt.Errorf("decode fact: %w", err)
	}
	if !isEnvelope(line) {
		return nil, ErrNotFact
	}
	switch {
	case e.Request != nil:
		return e.Request, nil
	case e.Conn != nil:
		return e.Conn, nil
	case e.Event != nil:
		return e.Event, nil
	case e.Sample != nil:
		return e.Sample, nil
	case e.Setting != nil:
		return e.Setting, nil
	}
	return nil, ErrNotFact
}

// isEnvelope reports whether the first member of a JSON object is a kind of
// fact: others' records, too, have a member called "request" or "event".
func isEnvelope(line []byte) bool {
	line = bytes.TrimLeft(line, " \t\r\n{")
	for _, kind := range [...]string{"request", "conn", "event", "sample", "setting"} {
		if bytes.HasPrefix(line, []byte(`"`+kind+`"`)) {
			return true
		}
	}
	return false
}

// Decode calls add for each fact in r. It stops at the first line that is no
// fact and names it.
func Decode(r io.Reader, add func(Fact)) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 64<<10), maxEncoded)
	for n := 1; sc.Scan(); n++ {
		if len(sc.Bytes()) == 0 {
			continue
		}
		f, err := DecodeLine(sc.Bytes())
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		add(f)
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("read facts: %w", err)
	}
	return nil
}
