//go:build !linux

package recorder

import "culprit/internal/wire"

// tap is of Linux only.
type tap struct{ link wire.LinkType }

func openTap(string, []uint16) (*tap, error) { return nil, ErrNoLinux }

func (t *tap) next() (captured, error) { return captured{}, ErrNoLinux }
func (t *tap) drops() int64            { return 0 }
func (t *tap) close()                  {}
