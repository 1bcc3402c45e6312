//go:build !linux

package admit

// huge does nothing here; see huge_linux.go.
func huge[C any]([]set[C]) {}
