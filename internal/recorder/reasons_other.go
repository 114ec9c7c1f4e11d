//go:build !linux

package recorder

// resets is of Linux only.
type resets struct{}

func watchResets([]uint16, *reasons) (*resets, error) { return nil, ErrNoLinux }

func (*resets) close() {}
