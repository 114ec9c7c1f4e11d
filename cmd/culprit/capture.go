package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"culprit/internal/recorder"
)

// captureFlags are the flags of capture as they are typed.
type captureFlags struct {
	opt      recorder.Options
	ports    []string
	headers  []string
	ids      []string
	ring     string
	maxDisk  string
	duration time.Duration
}

func captureCommand(io stdio) *cobra.Command {
	var f captureFlags
	cmd := &cobra.Command{
		Use:   "capture -i IF -o DIR [flags]",
		Short: "record an interface, and keep only the connections that failed",
		Long: `capture is a flight recorder. It watches an interface, holds the last seconds
of it in memory, and writes to DIR, as pcapng, only connections that failed
and their twin on the gateway's other side: refused, unanswered, reset or
closed with a request open, answered with 5xx, and what --slow and --header
ask for. culprit diagnose reads the files, and so does Wireshark.

It runs for weeks in flat memory: --ring, and at most 200 MB. Credentials in
headers and queries are overwritten before anything is written. What the
kernel had to drop is counted, told each minute and kept in DIR/capture.json.
It ends on SIGINT or SIGTERM, and writes what it holds.

It needs Linux and CAP_NET_RAW; --kernel needs CAP_BPF and CAP_PERFMON too.

Exit status: 0 done; 2 wrong usage; 3 nothing could be recorded.`,
		Example: "  culprit capture -i eth0 --port 80 --port 8080 -o /var/lib/culprit\n" +
			"  culprit capture -i any --slow 10s --header 'X-Debug=on' -o slices",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.parse(); err != nil {
				return err
			}
			return f.record(cmd.Context(), io)
		},
	}
	o, fs := &f.opt, cmd.Flags()
	fs.SortFlags = false
	fs.StringVarP(&o.Interface, "interface", "i", "", "record interface `IF`, or \"any\"")
	fs.StringVarP(&o.Dir, "output", "o", "", "write what is kept to `DIR`; it is made if need be")
	fs.StringSliceVarP(&f.ports, "port", "p", nil, "a server's `PORT`, on either side of the gateway; may be repeated (default all)")
	fs.StringVar(&f.ring, "ring", sizeText(recorder.DefaultRing), "hold `SIZE` of frames in memory")
	fs.DurationVar(&o.Before, "before", recorder.DefaultBefore, "how much of a connection is kept before it failed")
	fs.DurationVar(&o.After, "after", recorder.DefaultAfter, "and after")
	fs.DurationVar(&o.Slow, "slow", 0, "keep what is not answered for so long too")
	fs.StringArrayVar(&f.headers, "header", nil, "keep connections with a header `NAME=TEXT` too, or NAME alone; may be repeated")
	fs.StringSliceVar(&f.ids, "id-header", nil, "further header `NAME` that identifies a request; may be repeated")
	fs.StringVar(&f.maxDisk, "max-disk", sizeText(recorder.DefaultMaxDisk), "delete the oldest files when DIR grows over `SIZE`")
	fs.IntVar(&o.Snaplen, "snaplen", recorder.DefaultSnaplen, "keep `BYTES` of a frame")
	fs.BoolVar(&o.ShowSecrets, "show-secrets", false, "leave credentials in what is written")
	fs.BoolVar(&o.Kernel, "kernel", false, "add the kernel's own reason to resets it sent")
	fs.DurationVar(&f.duration, "duration", 0, "end after so long (default never)")
	cmd.MarkFlagDirname("output")
	return cmd
}

// parse reads the flags' texts.
func (f *captureFlags) parse() error {
	o := &f.opt
	if o.Interface == "" {
		return &plight{exitUsage, "no interface was given", []string{"culprit capture -i any -o slices", "ip -brief link"}}
	}
	if o.Dir == "" {
		return usage("culprit capture -i "+o.Interface+" -o slices", "no folder was given")
	}
	for _, p := range f.ports {
		n, err := strconv.ParseUint(strings.TrimSpace(p), 10, 16)
		if err != nil || n == 0 {
			return usage("--port 8080", "no port: %q", p)
		}
		o.Ports = append(o.Ports, uint16(n))
	}
	if len(o.Ports) > recorder.MaxPorts {
		return usage("leave --port out, to record all TCP", "%d ports, and the kernel's filter takes %d", len(o.Ports), recorder.MaxPorts)
	}
	for _, h := range f.headers {
		name, text, _ := strings.Cut(h, "=")
		if name = strings.ToLower(strings.TrimSpace(name)); name == "" || strings.ContainsAny(name, " \t:") {
			return usage("--header 'X-Debug=on'", "no header: %q", h)
		}
		o.Headers = append(o.Headers, recorder.HeaderMatch{Name: name, Text: strings.ToLower(text)})
	}
	for _, h := range f.ids {
		o.IDHeaders = append(o.IDHeaders, strings.ToLower(strings.TrimSpace(h)))
	}
	var err error
	if o.Ring, err = parseSize("--ring", f.ring, recorder.MinRing, recorder.MaxRing); err != nil {
		return err
	}
	if o.MaxDisk, err = parseSize("--max-disk", f.maxDisk, recorder.MinMaxDisk, 1<<60); err != nil {
		return err
	}
	switch {
	case o.Snaplen < recorder.MinSnaplen:
		return usage(fmt.Sprintf("--snaplen %d", recorder.MinSnaplen), "--snaplen %d would cut the headers", o.Snaplen)
	case o.Before <= 0 || o.After <= 0 || o.Slow < 0 || f.duration < 0:
		return usage("--before 30s --after 5s", "a time is not above 0")
	}
	o.Version = strings.TrimPrefix(version(), "culprit ")
	return nil
}

// captureGC is how much garbage may lie around beside the ring, in percent: what
// a recorder holds hardly changes, and memory is worth more than its time.
const captureGC = 20

// record runs the recorder.
func (f *captureFlags) record(ctx context.Context, io stdio) error {
	if f.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.duration)
		defer cancel()
	}
	debug.SetGCPercent(captureGC)
	o := f.opt
	o.OnNotice = func(s string) { fmt.Fprintln(io.err, "culprit: "+s) }
	o.OnKept = func(k *recorder.Kept) { fmt.Fprintln(io.out, k) }
	o.OnStart = func() { fmt.Fprintln(io.err, "culprit: "+f.starts()) }
	s, err := recorder.Run(ctx, o)
	if err != nil {
		return f.refused(err)
	}
	fmt.Fprintf(io.err, "culprit: recorded %d frames of %d connections in %s, %d dropped by the kernel; kept %d slices in %s\n",
		s.Frames, s.Connections, s.Updated.Sub(s.Started).Round(time.Second), s.KernelDrops, s.Slices, o.Dir)
	return nil
}

// starts says what is recorded and where.
func (f *captureFlags) starts() string {
	o := &f.opt
	what := "all TCP"
	if len(o.Ports) > 0 {
		what = "port " + strings.Join(f.ports, ", ")
	}
	secrets := "secrets overwritten"
	if o.ShowSecrets {
		secrets = "secrets left in"
	}
	return fmt.Sprintf("recording %s on %s; what fails goes to %s (at most %s, %s)", what, o.Interface, o.Dir, sizeText(o.MaxDisk), secrets)
}

// refused says what the system does not grant, and how it does.
func (f *captureFlags) refused(err error) error {
	p := &plight{status: exitUnread, says: err.Error()}
	var missing *recorder.MissingError
	switch {
	case errors.As(err, &missing):
		self := "$(command -v culprit)"
		if exe, err := os.Executable(); err == nil {
			if self, err = filepath.EvalSymlinks(exe); err != nil {
				self = exe
			}
		}
		caps := "cap_net_raw"
		if f.opt.Kernel {
			caps = "cap_net_raw,cap_bpf,cap_perfmon"
		}
		p.try = []string{"sudo setcap " + caps + "+ep " + self, "or sudo " + self + " capture -i " + f.opt.Interface + " -o " + f.opt.Dir}
	case errors.Is(err, recorder.ErrNoInterface):
		p.try = []string{"culprit capture -i any -o " + f.opt.Dir, "ip -brief link"}
	case errors.Is(err, recorder.ErrNoLinux):
		p.try = []string{"culprit capture on the Linux host or in the container where the gateway runs", "tcpdump -w here.pcap here, and culprit diagnose here.pcap"}
	case errors.As(err, new(*fs.PathError)):
		p.try = []string{"a folder you may write to: -o ./slices"}
	}
	return p
}

// sizes are the units of parseSize, the longest first.
var sizes = []struct {
	unit string
	n    int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12},
	{"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"T", 1 << 40}, {"B", 1},
}

// parseSize reads "64MiB", "1G" or a number of bytes.
func parseSize(flag, text string, least, most int64) (int64, error) {
	number, unit := strings.TrimSpace(text), int64(1)
	for _, s := range sizes {
		if n := len(number) - len(s.unit); n > 0 && strings.EqualFold(number[n:], s.unit) {
			number, unit = strings.TrimSpace(number[:n]), s.n
			break
		}
	}
	x, err := strconv.ParseFloat(number, 64)
	size := x * float64(unit)
	switch {
	case err != nil || !(x > 0):
		return 0, usage(flag+" 64MiB", "%s %q is no size", flag, text)
	case size < float64(least):
		return 0, usage(flag+" "+sizeText(least), "%s %s is too little", flag, text)
	case size > float64(most):
		return 0, usage(flag+" "+sizeText(most), "%s %s is too much", flag, text)
	}
	return int64(size), nil
}

// sizeText writes a size as parseSize reads it.
func sizeText(n int64) string {
	for _, s := range []struct {
		unit string
		n    int64
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n%s.n == 0 && n > 0 {
			return strconv.FormatInt(n/s.n, 10) + s.unit
		}
	}
	return strconv.FormatInt(n, 10)
}
