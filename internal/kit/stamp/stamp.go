// Package stamp tells whether a file is another one than before, without reading it.
package stamp

import (
	"os"
	"time"
)

// Stamp is what a file shows of itself. Stamps of one path are compared with ==; the
// zero Stamp is that of a file that is not there.
type Stamp struct {
	at   time.Time
	size int64
}

// Of returns the stamp of a file at this moment.
func Of(file string) (s Stamp) {
	if info, err := os.Stat(file); err == nil {
		s = Stamp{info.ModTime(), info.Size()}
	}
	return s
}
