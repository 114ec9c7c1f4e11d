// Package recorder is the flight recorder of culprit capture: it watches an
// interface, keeps the last seconds of it in memory, and writes to disk only
// the connections that failed and their twin on the gateway's other side.
//
//	Tap       frames from the kernel (AF_PACKET), through a port filter
//	ring      the last frames, bounded in bytes and age, findable by connection
//	tracker   says which connection failed and how (package wire follows them)
//	twins     which other connection carried the same request
//	slice     the frames of one failure, or of a few at once, as a pcapng file
//	shelf     the folder of slices, within a number of bytes
//	reasons   why the kernel itself sent a reset (eBPF)
//	masker    overwrites secrets before a frame is written
//
// One goroutine does all of it, in the order of the packets; the kernel's
// buffer takes what comes while it writes, and what did not fit there is
// counted and told. A recorder runs for weeks: all that grows with traffic has
// a bound with a name, in the file of what it bounds.
package recorder
