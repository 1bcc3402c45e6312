package packets

import (
	"errors"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// mark is how many packets there had been at a moment of the wall clock, which
// all processes of a test share.
type mark struct {
	At time.Time `json:"at"`
	N  uint64    `json:"n"`
}

// marks are in order.
type marks []mark

// add keeps one mark for each hundredth of a second.
func (m marks) add(at time.Time, n uint64) marks {
	if len(m) > 0 && at.Sub(m[len(m)-1].At) < 10*time.Millisecond {
		return m
	}
	return append(m, mark{at, n})
}

// until is how many there had been at a moment.
func (m marks) until(at time.Time) (n uint64) {
	for _, one := range m {
		if one.At.After(at) {
			return n
		}
		n = one.N
	}
	return n
}

// replayed is what was sent of a capture.
type replayed struct {
	Frames int           `json:"frames"` // that the capture has of the flood
	Sent   int           `json:"sent"`
	Took   time.Duration `json:"took"`
	Marks  marks         `json:"marks"`
}

// replay sends frames into an interface, over and over, at a rate a second. What
// could not be sent in time is not made up for, as with the gun.
func replay(name string, frames [][]byte, rate int, lasts time.Duration) (r replayed, err error) {
	end, err := net.InterfaceByName(name)
	if err != nil {
		return r, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) // 0: receives nothing
	if err != nil {
		return r, err
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: end.Index}); err != nil {
		return r, err
	}
	r.Frames = len(frames)
	begin := time.Now()
	r.Marks = r.Marks.add(begin, 0)
	for forgone := 0; ; {
		r.Took = time.Since(begin)
		if r.Took >= lasts {
			r.Marks = append(r.Marks, mark{time.Now(), uint64(r.Sent)})
			return r, nil
		}
		due := int(float64(rate)*r.Took.Seconds()) - r.Sent - forgone
		if most := rate / 50; due > most {
			forgone += due - most
			due = most
		}
		for range due {
			if _, err := unix.Write(fd, frames[r.Sent%len(frames)]); err != nil && !errors.Is(err, unix.ENOBUFS) {
				return r, err
			}
			r.Sent++
		}
		r.Marks = r.Marks.add(time.Now(), uint64(r.Sent))
		time.Sleep(time.Millisecond)
	}
}
