package journal

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// The file, all numbers little-endian:
//
//	head   magic "SWJOURN1", mark (4 bytes), CRC32C of both
//	record mark (4 bytes), length (4), CRC32C of length and bytes (4), bytes
//
// The mark is random, one for each file. A reader that meets damage looks for
// the next mark; since nobody outside knows it, no text that a stranger sent and
// that ended up inside a record can pass for a record.
const (
	magic     = "SWJOURN1"
	markSize  = 4
	headSize  = len(magic) + markSize + 4
	frameSize = markSize + 4 + 4
)

// MaxRecord is the longest record, in bytes.
const MaxRecord = 1 << 20

// ErrDamaged says that a file is no journal, or that its head is damaged.
var ErrDamaged = errors.New("no journal, or its head is damaged")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type mark [markSize]byte

func appendHead(dst []byte, m mark) []byte {
	start := len(dst)
	dst = append(append(dst, magic...), m[:]...)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

func parseHead(b []byte) (m mark, err error) {
	if len(b) < headSize {
		return m, ErrDamaged
	}
	copy(m[:], b[len(magic):])
	if !bytes.Equal(b[:headSize], appendHead(nil, m)) {
		return m, ErrDamaged
	}
	return m, nil
}

func appendFrame(dst []byte, m mark, rec []byte) []byte {
	start := len(dst)
	dst = append(dst, m[:]...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(rec)))
	dst = binary.LittleEndian.AppendUint32(dst, checksum(dst[start+markSize:], rec))
	return append(dst, rec...)
}

// remark gives whole frames another file's mark.
func remark(frames []byte, m mark) {
	for len(frames) > 0 {
		copy(frames, m[:])
		frames = frames[frameSize+int(binary.LittleEndian.Uint32(frames[markSize:])):]
	}
}

func checksum(length, rec []byte) uint32 {
	return crc32.Update(crc32.Checksum(length, castagnoli), castagnoli, rec)
}

// Recovery tells what Open found.
type Recovery struct {
	Records int   // whole ones
	Cut     int64 // bytes cut off at the end: a write that a crash interrupted
	Skipped int64 // damaged bytes before whole records, passed over until Compact
}

// Whole says that nothing was lost.
func (r Recovery) Whole() bool { return r.Cut == 0 && r.Skipped == 0 }

func (r Recovery) String() string {
	if r.Whole() {
		return fmt.Sprintf("%d records", r.Records)
	}
	return fmt.Sprintf("%d records; cut %d bytes of an unfinished write, passed over %d damaged bytes",
		r.Records, r.Cut, r.Skipped)
}

// read calls each for every whole record of r, which begins after the head.
// The record is valid during the call. Damage is counted, not an error; errors
// are those of r and of each.
func read(r io.Reader, m mark, each func(rec []byte) error) (Recovery, error) {
	var (
		found Recovery
		lost  int64 // bytes since the last whole record
		br    = bufio.NewReaderSize(r, frameSize+MaxRecord)
	)
	for {
		frame, err := peekFrame(br, m)
		if err != nil {
			return found, err
		}
		if frame == nil {
			n, err := skipToMark(br, m)
			lost += int64(n)
			switch {
			case err == io.EOF:
				found.Cut = lost
				return found, nil
			case err != nil:
				return found, err
			}
			continue
		}
		found.Records++
		found.Skipped += lost
		lost = 0
		if err := each(frame[frameSize:]); err != nil {
			return found, err
		}
		if _, err := br.Discard(len(frame)); err != nil {
			return found, err
		}
	}
}

// peekFrame returns the whole frame that stands at the beginning of br, nil
// where there is none.
func peekFrame(br *bufio.Reader, m mark) ([]byte, error) {
	h, err := br.Peek(frameSize)
	if err != nil {
		return nil, notEOF(err)
	}
	n := binary.LittleEndian.Uint32(h[markSize:])
	if [markSize]byte(h) != m || n > MaxRecord {
		return nil, nil
	}
	frame, err := br.Peek(frameSize + int(n))
	if err != nil {
		return nil, notEOF(err)
	}
	if checksum(frame[markSize:markSize+4], frame[frameSize:]) != binary.LittleEndian.Uint32(frame[markSize+4:]) {
		return nil, nil
	}
	return frame, nil
}

// skipToMark discards at least one byte and stops before the next mark. At the
// end it discards everything and returns io.EOF.
func skipToMark(br *bufio.Reader, m mark) (skipped int, err error) {
	n, err := br.Discard(1)
	if err != nil {
		return n, err
	}
	for {
		if _, err := br.Peek(markSize); err != nil {
			k, _ := br.Discard(br.Buffered())
			return n + k, err
		}
		b, _ := br.Peek(br.Buffered())
		i := bytes.Index(b, m[:])
		if i < 0 {
			k, _ := br.Discard(len(b) - markSize + 1)
			n += k
			continue
		}
		k, _ := br.Discard(i)
		return n + k, nil
	}
}

func notEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}
