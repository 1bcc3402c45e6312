package journal

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var texts = []string{"first", "", "the third record is a little longer", "last"}

func sample(m mark) (data []byte, ends []int) {
	data = appendHead(nil, m)
	for _, s := range texts {
		data = appendFrame(data, m, []byte(s))
		ends = append(ends, len(data))
	}
	return data, ends
}

// TestTornTail cuts the file at every byte, leaves zeros or rubbish behind the
// cut, and goes on writing.
func TestTornTail(t *testing.T) {
	data, ends := sample(mark{1, 2, 3, 4})
	path := filepath.Join(t.TempDir(), "bans")
	for cut := headSize; cut <= len(data); cut++ {
		for _, tail := range [][]byte{nil, make([]byte, 100), bytes.Repeat([]byte{1, 2, 3, 4}, 9)} {
			whole := 0
			for whole < len(ends) && ends[whole] <= cut {
				whole++
			}
			text := slices.Concat(data[:cut], tail)
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			j := open(t, path, Options{})
			end := headSize
			if whole > 0 {
				end = ends[whole-1]
			}
			if r := j.Recovered(); r.Records != whole || r.Cut != int64(len(text)-end) || r.Skipped != 0 {
				t.Fatalf("cut at %d with tail %x: %v, want %d records", cut, tail, r, whole)
			}
			add(t, j, "after")
			want(t, j, append(slices.Clone(texts[:whole]), "after")...)
			j.Close()
		}
	}
}

// TestFlippedByte damages every byte after the head. Only the record that it
// belongs to may be lost.
func TestFlippedByte(t *testing.T) {
	data, ends := sample(mark{1, 2, 3, 4})
	path := filepath.Join(t.TempDir(), "bans")
	for i := headSize; i < len(data); i++ {
		bad := slices.Clone(data)
		bad[i] ^= 0x10
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		hit := 0
		for ends[hit] <= i {
			hit++
		}
		left := slices.Delete(slices.Clone(texts), hit, hit+1)
		j := open(t, path, Options{})
		want(t, j, left...)
		r := j.Recovered()
		if last := hit == len(texts)-1; r.Whole() || (r.Cut > 0) != last || (r.Skipped > 0) == last {
			t.Errorf("byte %d flipped: %v", i, r)
		}
		if i == headSize {
			if want := fmt.Sprintf("3 records; cut 0 bytes of an unfinished write, passed over %d damaged bytes", ends[0]-headSize); r.String() != want {
				t.Errorf("%q, want %q", r, want)
			}
		}
		add(t, j, "after")
		want(t, j, append(left, "after")...)
		j.Close()
	}
}

// TestDamageLongerThanTheBuffer checks that a reader finds the way back over
// more rubbish than it can hold at once.
func TestDamageLongerThanTheBuffer(t *testing.T) {
	m := mark{1, 2, 3, 4}
	data := appendFrame(nil, m, []byte("before"))
	rubbish := bytes.Repeat([]byte{1, 2, 3}, MaxRecord)
	data = append(data, rubbish...)
	data = appendFrame(data, m, []byte("behind"))
	var got []string
	r, err := read(bytes.NewReader(data), m, func(rec []byte) error { got = append(got, string(rec)); return nil })
	if err != nil || r != (Recovery{Records: 2, Skipped: int64(len(rubbish))}) || !slices.Equal(got, []string{"before", "behind"}) {
		t.Errorf("%v, %v, %q", r, err, got)
	}
}

func FuzzRead(f *testing.F) {
	m := mark{1, 2, 3, 4}
	data, ends := sample(m)
	f.Add(data[headSize:])
	f.Add(data[headSize : ends[1]+5])
	f.Add([]byte{1, 2, 3, 4, 255, 255, 255, 255, 0, 0, 0, 0})
	f.Add(bytes.Repeat(m[:], 20))
	f.Fuzz(func(t *testing.T, rubbish []byte) {
		// Whatever the bytes, every byte is accounted for, and what is read
		// reads the same again.
		clean := []byte{}
		found, err := read(bytes.NewReader(rubbish), m, func(rec []byte) error {
			clean = appendFrame(clean, m, rec)
			return nil
		})
		if err != nil || int64(len(clean))+found.Cut+found.Skipped != int64(len(rubbish)) {
			t.Fatalf("%v, %v of %d bytes", found, err, len(rubbish))
		}
		again, err := read(bytes.NewReader(clean), m, func([]byte) error { return nil })
		if err != nil || again != (Recovery{Records: found.Records}) {
			t.Fatalf("%v, %v, then %v", found, err, again)
		}
		// A record is found behind any rubbish that is no record itself.
		if found.Records == 0 {
			var last string
			_, err := read(bytes.NewReader(appendFrame(rubbish, m, []byte("found"))), m, func(rec []byte) error {
				last = string(rec)
				return nil
			})
			if err != nil || last != "found" {
				t.Fatalf("behind the rubbish: %q, %v", last, err)
			}
		}
	})
}
