package packet

import (
	"fmt"
	"io"
	"time"

	"seawall/internal/kit/pcapng"
	"seawall/internal/packet/filter"
)

// standEvery is how often a capture's file is told how the capture stands, so that
// one that is cut short says it as well, and a reader who is gone is noticed.
const standEvery = time.Second

// What stands at the beginning of every file.
const (
	captureComment = "One packet in so many is sampled, and the packet's comment says in how many. " +
		"Packets are cut behind their TCP, UDP or ICMP header: nothing of what they carried is in here. " +
		"They hold addresses of visitors, or of whoever took their place: delete this file within seven days."
	captureInterface = "packets for protected ports, later fragments and ICMP, as Seawall's packet filter sampled them"
)

// WriteTo writes a pcapng file until the capture ends or its bytes are full, which
// is no error. It writes whole blocks only, never more than Want.Most bytes, and at
// least once a second. For one call.
func (c *Capture) WriteTo(w io.Writer) (int64, error) {
	f := capFile{capture: c, w: w}
	f.b = pcapng.AppendHead(f.b, "Seawall", captureComment, captureInterface, mostHeaders)
	if !f.fits(pcapng.StatisticsLen) {
		return 0, fmt.Errorf("a capture of %d bytes has no room for a packet", c.want.Most)
	}
	stand := time.NewTicker(standEvery)
	defer stand.Stop()
	if err := f.flush(); err != nil {
		return f.written, err
	}
	for {
		select {
		case r, ok := <-c.records:
			if !ok || !f.packet(&r) {
				f.stand(0) // there always is room
				err := f.flush()
				return f.written, err
			}
			if len(c.records) > 0 && len(f.b) < 32<<10 {
				continue // more of the same window
			}
		case <-stand.C:
			f.stand(pcapng.StatisticsLen)
		}
		if err := f.flush(); err != nil {
			return f.written, err
		}
	}
}

// capFile is a capture on its way into a file.
type capFile struct {
	capture *Capture
	w       io.Writer
	b       []byte // not written yet; whole blocks
	written int64
	packets uint64
}

// fits says whether what waits may be written, with so many bytes behind it.
func (f *capFile) fits(behind int) bool {
	return f.written+int64(len(f.b)+behind) <= f.capture.want.Most
}

// packet adds a packet; false if it and the last statistics have no room.
func (f *capFile) packet(r *Record) bool {
	before := len(f.b)
	what, verdict := "passed", pcapng.Passed
	switch {
	case r.Reason == filter.StopCookie:
		what, verdict = "stopped", pcapng.Answered
	case r.Stopped():
		what, verdict = "stopped", pcapng.Dropped
	}
	f.b = pcapng.AppendPacket(f.b, &pcapng.Packet{
		At: r.At, Length: r.Length, Bytes: r.Headers(), Verdict: verdict,
		Comment: fmt.Sprintf("%s: %s; one of %d", what, r.Reason, r.Every),
	})
	if !f.fits(pcapng.StatisticsLen) {
		f.b = f.b[:before]
		return false
	}
	f.packets++
	return true
}

// stand adds how the capture stands, if that leaves so many bytes.
func (f *capFile) stand(leave int) {
	before := len(f.b)
	c, sampled := f.capture, f.capture.sampled.Load()
	f.b = pcapng.AppendStatistics(f.b, &pcapng.Totals{
		// The first window of all has samples, and no counts to compare with.
		From: c.began, Till: time.Now(), Received: max(c.counted.Load(), sampled), Accepted: sampled,
		Lost: c.lost.Load(), Delivered: f.packets,
	})
	if !f.fits(leave) {
		f.b = f.b[:before]
	}
}

func (f *capFile) flush() error {
	if len(f.b) == 0 {
		return nil
	}
	n, err := f.w.Write(f.b)
	f.written += int64(n)
	f.b = f.b[:0]
	return err
}
