package sealed

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrDamaged says that a key file exists and cannot be believed.
var ErrDamaged = errors.New("the key file is damaged")

// The key file, in text so that a person can see what it is:
//
//	seawall keys 1
//	current  64 hexadecimal digits
//	previous 64 hexadecimal digits
//	check    first 16 hexadecimal digits of SHA-256 over all lines above
const (
	fileHead  = "seawall keys 1\n"
	maxFile   = 4096 // bytes; a whole file has about 200
	checkSize = 8    // bytes
)

// keyFile is what a key file says.
type keyFile struct{ current, previous [32]byte }

// LoadOrCreate reads the keys at path, or makes new ones where there is no such
// file. The folder must exist. A file that is there but cannot be read or
// believed gives an error (ErrDamaged for the latter) and is left as it is.
func LoadOrCreate(path string) (*Box, error) {
	f, err := load(path)
	if errors.Is(err, fs.ErrNotExist) {
		// The previous key of a new file is random too, and never used.
		err = store(path, keyFile{newSecret(), newSecret()}, place)
		if err == nil || errors.Is(err, fs.ErrExist) {
			f, err = load(path) // another process may have been first
		}
	}
	if err != nil {
		return nil, err
	}
	return New(f.current, f.previous), nil
}

// Load reads the keys at path, for a program that may not make new ones.
func Load(path string) (*Box, error) {
	f, err := load(path)
	if err != nil {
		return nil, err
	}
	return New(f.current, f.previous), nil
}

// Rotate makes a new current key; the old one becomes the previous one, which
// still opens. What the key before that had sealed opens no more.
func Rotate(path string) (*Box, error) {
	f, err := load(path)
	if err != nil {
		return nil, err
	}
	f = keyFile{current: newSecret(), previous: f.current}
	if err := store(path, f, os.Rename); err != nil {
		return nil, err
	}
	return New(f.current, f.previous), nil
}

func load(path string) (keyFile, error) {
	file, err := os.Open(path)
	if err != nil {
		return keyFile{}, fmt.Errorf("read keys: %w", err)
	}
	defer file.Close()
	// A restored backup may have come back readable by everybody.
	if st, err := file.Stat(); err == nil && st.Mode().IsRegular() && st.Mode().Perm()&0o077 != 0 {
		if err := file.Chmod(0o600); err != nil {
			return keyFile{}, fmt.Errorf("read keys: others may read %s, and that cannot be changed: %w", path, err)
		}
	}
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return keyFile{}, fmt.Errorf("read keys: %w", err)
	}
	f, err := parseFile(text)
	if err != nil {
		return keyFile{}, fmt.Errorf("read keys from %s: %w; put back a copy, or remove the file "+
			"to start with new keys (all visitors will then be unknown)", path, err)
	}
	return f, nil
}

func (f keyFile) text() []byte {
	b := fmt.Appendf(nil, "%scurrent  %x\nprevious %x\n", fileHead, f.current, f.previous)
	sum := sha256.Sum256(b)
	return fmt.Appendf(b, "check    %x\n", sum[:checkSize])
}

func parseFile(text []byte) (keyFile, error) {
	var f keyFile
	if len(text) > maxFile {
		return f, fmt.Errorf("%w: it is too long", ErrDamaged)
	}
	if !bytes.HasPrefix(text, []byte(fileHead)) {
		return f, fmt.Errorf("%w: it does not begin with %q", ErrDamaged, fileHead[:len(fileHead)-1])
	}
	lines := bytes.Split(text, []byte("\n"))
	if len(lines) < 4 {
		return f, fmt.Errorf("%w: it ends too early", ErrDamaged)
	}
	for i, to := range []*[32]byte{&f.current, &f.previous} {
		words := bytes.Fields(lines[1+i])
		if len(words) != 2 || len(words[1]) != 64 {
			return f, fmt.Errorf("%w: line %d is no key", ErrDamaged, 2+i)
		}
		if _, err := hex.Decode(to[:], words[1]); err != nil {
			return f, fmt.Errorf("%w: line %d is no key", ErrDamaged, 2+i)
		}
	}
	// Comparing with what we would have written checks the sum and the form.
	if !bytes.Equal(f.text(), text) {
		return f, fmt.Errorf("%w: its checksum is wrong", ErrDamaged)
	}
	return f, nil
}

// store writes a whole file beside path, has it on the disk, and only then puts
// it in place, so that a crash leaves the old file or the new one.
func store(path string, f keyFile, put func(from, to string) error) error {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, filepath.Base(path)+".new*") // mode 0600
	if err != nil {
		return fmt.Errorf("write keys: %w", err)
	}
	defer os.Remove(tmp.Name()) // fails, as it should, once renamed
	_, err = tmp.Write(f.text())
	if err == nil {
		err = tmp.Sync()
	}
	if e := tmp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = put(tmp.Name(), path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("write keys: %w", err)
	}
	return nil
}

// place gives a file its name without ever replacing another one. Where the
// file system has no hard links it renames, and the first start must then not
// be made twice at the same moment.
func place(from, to string) error {
	err := os.Link(from, to)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.Rename(from, to)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
