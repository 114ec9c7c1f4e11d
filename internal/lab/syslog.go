package lab

import (
	"bytes"
	"net"
	"os"
)

// maxDatagram is more than any syslog sender puts in one message.
const maxDatagram = 64 << 10

// rfc3164Stamp is the length of "Nov 21 14:30:00 ", with which a message begins.
const rfc3164Stamp = 16

// startSyslog plays a syslog daemon: it listens on a datagram socket and writes
// each message to a file, the priority removed and the host's name added, as
// rsyslog's traditional format has it.
func startSyslog(st *Stage, socket, file, host string) error {
	out, err := st.create(file)
	if err != nil {
		return err
	}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: st.Path(socket), Net: "unixgram"})
	if err != nil {
		return err
	}
	if err := os.Chmod(st.Path(socket), 0o666); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, maxDatagram)
		for {
			n, _, err := c.ReadFromUnix(buf)
			if err != nil {
				return
			}
			out.Write(syslogLine(buf[:n], host)) // a full disk shows in the evidence
		}
	}()
	st.onClose(func() { c.Close(); <-done })
	return nil
}

func syslogLine(msg []byte, host string) []byte {
	if _, rest, ok := bytes.Cut(msg, []byte(">")); ok && msg[0] == '<' {
		msg = rest
	}
	msg = bytes.TrimRight(msg, "\n\x00")
	line := make([]byte, 0, len(msg)+len(host)+2)
	if len(msg) > rfc3164Stamp {
		line = append(line, msg[:rfc3164Stamp]...)
		line = append(line, host...)
		line = append(line, ' ')
		msg = msg[rfc3164Stamp:]
	}
	return append(append(line, msg...), '\n')
}
