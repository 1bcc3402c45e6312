package app

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// What is seven days old is deleted, and nothing else.
func TestCapturesAreDeleted(t *testing.T) {
	data := t.TempDir()
	dir, err := CapturesFolder(data)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 8, 31, 12, 0, 0, 0, time.UTC)
	old := now.Add(-CaptureLife)
	keep := []string{
		CaptureName(now, true), CaptureName(old.Add(time.Second), true), CaptureName(old.Add(time.Second), false),
		CaptureName(now.Add(time.Hour), true), // the clock was set back
		"20200101T000000Z.pcapng.age.bak", "a20200101T000000Z.pcapng", "20200101T000000Z.pcap", "20209901T000000Z.pcapng", "evidence.pcapng.age", "notes",
	}
	gone := []string{CaptureName(old, true), CaptureName(old.Add(-time.Hour), false)}
	for _, name := range slices.Concat(keep, gone) {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	folder := CaptureName(old.Add(-time.Minute), true)
	if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := deleteCaptures(dir, now); err != nil {
		t.Fatal(err)
	}
	var left []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		left = append(left, e.Name())
	}
	want := slices.Sorted(slices.Values(append(keep, folder)))
	if !slices.Equal(left, want) {
		t.Errorf("left are %q\nwant %q", left, want)
	}
}

// Only the owner of the data folder, and root, may look into the folder.
func TestCapturesFolder(t *testing.T) {
	data := t.TempDir()
	if os.Geteuid() == 0 {
		if err := os.Chown(data, 12345, 12345); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(data, "captures")
	for range 2 {
		got, err := CapturesFolder(data)
		if err != nil || got != path {
			t.Fatalf("%s, %v", got, err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode() != os.ModeDir|0o700 {
			t.Fatalf("%v, %v", info.Mode(), err)
		}
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(path); err != nil || os.Geteuid() == 0 && info.Sys().(*syscall.Stat_t).Uid != 12345 {
		t.Errorf("the folder is not its owner's: %+v, %v", info.Sys(), err)
	}
	if _, err := CapturesFolder(filepath.Join(data, "nowhere")); err == nil {
		t.Error("a folder in no data folder")
	}
}
