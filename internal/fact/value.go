package fact

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Dur is a duration that may be unknown; its zero value is unknown. In JSON it
// is a number of seconds, or absent.
type Dur struct {
	D     time.Duration
	Known bool
}

// Lasting makes a known duration.
func Lasting(d time.Duration) Dur { return Dur{d, true} }

// Seconds makes a known duration out of seconds. A value that is not finite or
// beyond 290 years is unknown.
func Seconds(s float64) Dur {
	if math.IsNaN(s) || math.Abs(s) > math.MaxInt64/1e9-1 {
		return Dur{}
	}
	return Dur{time.Duration(math.Round(s * 1e9)), true}
}

// Millis makes a known duration out of milliseconds.
func Millis(ms int64) Dur {
	if most := int64(math.MaxInt64 / 1_000_000); ms > most || ms < -most {
		return Dur{}
	}
	return Dur{time.Duration(ms) * time.Millisecond, true}
}

// IsZero reports whether d is unknown, so that `omitzero` leaves it out.
func (d Dur) IsZero() bool { return !d.Known }

// Or is the duration, or other if it is unknown.
func (d Dur) Or(other time.Duration) time.Duration {
	if d.Known {
		return d.D
	}
	return other
}

// MarshalJSON writes seconds.
func (d Dur) MarshalJSON() ([]byte, error) {
	if !d.Known {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, d.D.Seconds(), 'f', -1, 64), nil
}

// UnmarshalJSON reads seconds, or null.
func (d *Dur) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte("null")) {
		*d = Dur{}
		return nil
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return fmt.Errorf("read seconds %q: %w", b, err)
	}
	*d = Seconds(f)
	return nil
}

// Int is a whole number that may be unknown; its zero value is unknown.
type Int struct {
	N     int64
	Known bool
}

// Num makes a known number.
func Num[T ~int | ~int64 | ~int32 | ~uint16 | ~uint32](n T) Int { return Int{int64(n), true} }

// IsZero reports whether i is unknown, so that `omitzero` leaves it out.
func (i Int) IsZero() bool { return !i.Known }

// Or is the number, or other if it is unknown.
func (i Int) Or(other int64) int64 {
	if i.Known {
		return i.N
	}
	return other
}

// Is reports whether the number is known and equal to n.
func (i Int) Is(n int64) bool { return i.Known && i.N == n }

// MarshalJSON writes the number, or null.
func (i Int) MarshalJSON() ([]byte, error) {
	if !i.Known {
		return []byte("null"), nil
	}
	return strconv.AppendInt(nil, i.N, 10), nil
}

// UnmarshalJSON reads a number, or null.
func (i *Int) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte("null")) {
		*i = Int{}
		return nil
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return fmt.Errorf("read number %q: %w", b, err)
	}
	*i = Int{n, true}
	return nil
}
