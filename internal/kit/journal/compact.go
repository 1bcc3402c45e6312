package journal

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// newSuffix names the file that Compact writes beside the journal.
const newSuffix = ".new"

// Compact replaces all records by those that snapshot adds. A crash at any
// moment leaves the old records or the new ones. Records appended while it runs
// are kept, after the snapshot, which may already hold what they say: replaying
// a journal has to bear that. Inside snapshot only Append may be called.
//
// When snapshot fails, or adds more than fits (ErrFull), the old records stay
// and its error is returned. A Compact that succeeds also clears a disk error.
func (j *Journal) Compact(snapshot func(add func(rec []byte) error) error) error {
	j.disk.Lock()
	defer j.disk.Unlock()
	if j.f == nil {
		return ErrClosed
	}
	// What was appended so far belongs to the old file, should this fail. If it
	// cannot be written, a new file is all the more needed.
	_ = j.commit()
	if err := j.replace(snapshot); err != nil {
		return fmt.Errorf("compact journal %s: %w", j.path, err)
	}
	return nil
}

// replace writes a new file, has it on the disk, and only then gives it the
// journal's name. The caller holds disk.
func (j *Journal) replace(snapshot func(add func(rec []byte) error) error) (err error) {
	f, err := openLocked(j.path+newSuffix, os.O_CREATE)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(j.path + newSuffix)
		}
	}()
	if err := f.Truncate(0); err != nil {
		return err
	}
	var m mark
	rand.Read(m[:])
	w := bufio.NewWriterSize(f, 64<<10)
	if _, err := w.Write(appendHead(nil, m)); err != nil {
		return err
	}
	size := int64(headSize)
	var frame []byte
	err = snapshot(func(rec []byte) error {
		if len(rec) > MaxRecord {
			return ErrTooLong
		}
		if size+int64(frameSize+len(rec)) > j.max {
			return ErrFull
		}
		frame = appendFrame(frame[:0], m, rec)
		size += int64(len(frame))
		_, err := w.Write(frame)
		return err
	})
	if err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(j.path+newSuffix, j.path); err != nil {
		return err
	}
	j.adopt(f, m, size)
	// The new file is in place, whether or not the folder's entry is on the
	// disk yet: it is the one to go on with.
	if err := syncDir(filepath.Dir(j.path)); err != nil {
		j.mu.Lock()
		j.err = fmt.Errorf("write journal %s: %w", j.path, err)
		j.mu.Unlock()
	}
	return nil
}

// adopt makes f the journal's file. Records that were appended meanwhile carry
// the old file's mark and get the new one.
func (j *Journal) adopt(f file, m mark, size int64) {
	if j.f != nil {
		j.f.Close()
	}
	j.f, j.size = f, size
	j.mu.Lock()
	defer j.mu.Unlock()
	remark(j.pending, m)
	j.mark, j.err = m, nil
	j.used = size + int64(len(j.pending))
}

// openLocked opens a file for this process alone.
func openLocked(path string, flag int) (*os.File, error) {
	for range 10 {
		f, err := os.OpenFile(path, os.O_RDWR|flag, 0o600)
		if err != nil {
			return nil, err
		}
		if err := lock(f); err != nil {
			f.Close()
			return nil, err
		}
		// Between opening and locking, another process may have put a new file
		// in this one's place, or given this one another name, and ended.
		mine, err1 := f.Stat()
		there, err2 := os.Stat(path)
		if err1 == nil && err2 == nil && os.SameFile(mine, there) {
			return f, nil
		}
		f.Close()
	}
	return nil, ErrInUse
}

func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrInUse
	}
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
