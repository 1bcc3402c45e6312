package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Errors that a caller decides on.
var (
	// ErrFull says that the record does not fit until Compact has made room.
	ErrFull = errors.New("the journal is full")
	// ErrTooLong says that the record is longer than MaxRecord.
	ErrTooLong = errors.New("the record is too long")
	// ErrInUse says that another process, or this one, has the file open.
	ErrInUse = errors.New("the journal is in use")
	// ErrClosed says that Close was called.
	ErrClosed = errors.New("the journal is closed")
)

// Limits of Options.
const (
	DefaultMaxBytes = 16 << 20
	LongestFlush    = 100 * time.Millisecond
)

// Options says how large the file may become and how soon records are on disk.
type Options struct {
	MaxBytes   int64         // of the file; 0 means DefaultMaxBytes
	FlushEvery time.Duration // 0, or more than LongestFlush, means LongestFlush
}

// file is what a Journal needs of *os.File.
type file interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
	Truncate(size int64) error
	Close() error
}

// Journal is an open journal; see the package.
type Journal struct {
	path      string
	max       int64
	every     time.Duration
	recovered Recovery

	// mu guards what Append touches. It is never held over disk work.
	mu      sync.Mutex
	pending []byte // frames that wait for the next commit
	mark    mark   // of f
	used    int64  // bytes of the file once all appended frames are in it
	err     error  // the disk's; nil again after a Compact
	closed  bool

	// disk serialises all work on the file. It is taken before mu.
	disk  sync.Mutex
	f     file
	size  int64  // bytes of f that are known to be whole and on disk
	spare []byte // the buffer that pending takes turns with

	wake chan struct{} // there is something to commit
	stop chan struct{}
	done chan struct{}
}

// Open opens the journal at path, or begins an empty one. The folder must
// exist. What a crash left unfinished is mended first; see Recovered.
func Open(path string, o Options) (*Journal, error) {
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.FlushEvery <= 0 || o.FlushEvery > LongestFlush {
		o.FlushEvery = LongestFlush
	}
	j := &Journal{
		path: path, max: o.MaxBytes, every: o.FlushEvery,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	if err := j.recover(); err != nil {
		if j.f != nil {
			j.f.Close()
		}
		return nil, fmt.Errorf("open journal %s: %w", path, err)
	}
	go j.commitLoop()
	return j, nil
}

// recover finds, or makes, the file and brings it into order. Nobody else has
// the journal yet, so it takes no lock.
func (j *Journal) recover() error {
	f, err := openLocked(j.path, 0)
	if errors.Is(err, os.ErrNotExist) {
		return j.replace(empty)
	}
	if err != nil {
		return err
	}
	j.f = f
	// A crash in the middle of Compact leaves an unfinished file behind.
	os.Remove(j.path + newSuffix)
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if st.Size() == 0 {
		return j.replace(empty)
	}
	head := make([]byte, headSize)
	if _, err := f.ReadAt(head, 0); err != nil && err != io.EOF {
		return err
	}
	if j.mark, err = parseHead(head); err != nil {
		return err
	}
	none := func([]byte) error { return nil }
	if j.recovered, err = read(section(f, st.Size()), j.mark, none); err != nil {
		return err
	}
	j.size = st.Size() - j.recovered.Cut
	j.used = j.size
	if j.recovered.Cut > 0 {
		if err := f.Truncate(j.size); err != nil {
			return err
		}
		return f.Sync()
	}
	return nil
}

// empty is the snapshot of nothing.
func empty(func([]byte) error) error { return nil }

// section is the part of a file of so many bytes that holds records.
func section(f io.ReaderAt, size int64) io.Reader {
	return io.NewSectionReader(f, int64(headSize), size-int64(headSize))
}

// Recovered tells what Open found.
func (j *Journal) Recovered() Recovery { return j.recovered }

// Size returns the bytes that the file has, or will have within FlushEvery, and
// the most that it may have.
func (j *Journal) Size() (used, limit int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.used, j.max
}

// Append adds a copy of rec. It is on the disk within FlushEvery, or after the
// next Sync. It fails with ErrFull, ErrTooLong, ErrClosed, or the error that
// the disk gave last.
func (j *Journal) Append(rec []byte) error {
	if len(rec) > MaxRecord {
		return ErrTooLong
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.closed:
		return ErrClosed
	case j.err != nil:
		return j.err
	case j.used+int64(frameSize+len(rec)) > j.max:
		return ErrFull
	}
	j.pending = appendFrame(j.pending, j.mark, rec)
	j.used += int64(frameSize + len(rec))
	select {
	case j.wake <- struct{}{}:
	default: // the commit that is due takes this record along
	}
	return nil
}

// Sync returns once all that was appended before is on the disk.
func (j *Journal) Sync() error {
	j.disk.Lock()
	defer j.disk.Unlock()
	if j.f == nil {
		return ErrClosed
	}
	return j.commit()
}

// Each calls fn for every record, oldest first, after a commit of what is
// pending. Inside fn only Append may be called. It stops at fn's first error
// and returns it.
func (j *Journal) Each(fn func(rec []byte) error) error {
	j.disk.Lock()
	defer j.disk.Unlock()
	if j.f == nil {
		return ErrClosed
	}
	// After a disk error what stands on the disk can still be read.
	_ = j.commit()
	_, err := read(section(j.f, j.size), j.mark, fn)
	return err
}

// Close commits what is pending, ends the journal's goroutine and closes the
// file. Closing twice is harmless.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil
	}
	j.closed = true
	j.mu.Unlock()
	close(j.stop)
	<-j.done

	j.disk.Lock()
	defer j.disk.Unlock()
	err := j.commit()
	if e := j.f.Close(); err == nil {
		err = e
	}
	j.f = nil
	return err
}

// commitLoop commits half a FlushEvery after the first record that waits; the
// other half is the disk's.
func (j *Journal) commitLoop() {
	defer close(j.done)
	for {
		select {
		case <-j.wake:
		case <-j.stop:
			return
		}
		select {
		case <-time.After(j.every / 2):
		case <-j.stop:
			return
		}
		j.disk.Lock()
		_ = j.commit() // kept in j.err for the next Append
		j.disk.Unlock()
	}
}

// commit writes what is pending and waits for the disk. The caller holds disk.
func (j *Journal) commit() error {
	j.mu.Lock()
	frames, err := j.pending, j.err
	j.pending = j.spare[:0]
	j.mu.Unlock()
	j.spare = frames[:0]
	if cap(j.spare) > 2*MaxRecord {
		j.spare = nil // one burst shall not hold its memory for ever
	}
	if err != nil || len(frames) == 0 {
		return err
	}
	if _, err = j.f.WriteAt(frames, j.size); err == nil {
		err = j.f.Sync()
	}
	if err != nil {
		// Whether any of it is on the disk is unknown, and after a failed fsync
		// a second one may lie. Only a new file helps; see Compact.
		err = fmt.Errorf("write journal %s: %w", j.path, err)
		_ = j.f.Truncate(j.size)
		j.mu.Lock()
		j.err = err
		j.mu.Unlock()
		return err
	}
	j.size += int64(len(frames))
	return nil
}
