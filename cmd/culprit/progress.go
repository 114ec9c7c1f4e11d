package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// meter shows on a terminal how far reading is: one line, from the second
// second on. Anywhere else it is silent.
type meter struct {
	w     io.Writer
	total int64

	mu    sync.Mutex
	read  int64
	begin time.Time
	shown time.Time
	width int // of the line that stands there
}

// The meter's pace.
const (
	meterAfter = time.Second
	meterEvery = 200 * time.Millisecond
)

// newMeter returns a meter for total bytes, as they lie packed on disk.
func newMeter(w io.Writer, total int64) *meter {
	if !isTerminal(w) {
		return &meter{}
	}
	return &meter{w: w, total: total, begin: time.Now()}
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// add counts bytes that were read.
func (m *meter) add(n int) {
	if m.w == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.read += int64(n)
	now := time.Now()
	if now.Sub(m.begin) < meterAfter || now.Sub(m.shown) < meterEvery {
		return
	}
	m.shown = now
	m.show(progressLine(m.read, m.total, now.Sub(m.begin)))
}

func (m *meter) show(s string) {
	fmt.Fprint(m.w, "\r"+s+strings.Repeat(" ", max(0, m.width-len(s))))
	m.width = len(s)
}

// end takes the line away.
func (m *meter) end() {
	if m.w == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.width > 0 {
		fmt.Fprint(m.w, "\r"+strings.Repeat(" ", m.width)+"\r")
	}
	m.w = nil
}

// progressLine says how much was read, how fast, and how long it will take.
func progressLine(read, total int64, took time.Duration) string {
	rate := float64(read) / took.Seconds()
	s := fmt.Sprintf("reading %s", size(float64(read)))
	if total > 0 {
		s += fmt.Sprintf(" of %s (%d %%)", size(float64(total)), min(100, read*100/total))
	}
	s += fmt.Sprintf(", %s/s", size(rate))
	if left := total - read; left > 0 && rate > 0 {
		s += ", " + (time.Duration(float64(left)/rate*float64(time.Second)) + time.Second).Truncate(time.Second).String() + " left"
	}
	return s
}

func size(n float64) string {
	for _, unit := range []string{"B", "KB", "MB"} {
		if n < 1000 {
			return fmt.Sprintf("%.3g %s", n, unit)
		}
		n /= 1000
	}
	return fmt.Sprintf("%.3g GB", n)
}
