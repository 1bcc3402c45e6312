package config

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "1024": 1024, "64MiB": 64 << 20, "1.5GiB": 3 << 29, "500MB": 500e6, "2 GiB": 2 << 30,
		" 7B ": 7, "1kB": 1000, "1KB": 1000, "1KiB": 1024, "1TiB": 1 << 40,
	} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%q is read as %d (%v), want %d", text, s, err, want)
		}
		back, _ := s.MarshalText()
		var again Size
		if err := again.UnmarshalText(back); err != nil || again != s {
			t.Errorf("%q is written as %q and read as %d", text, back, again)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "-1GiB", "64M", "64 mib", "1e30GiB", "NaN", "nanGiB", "Inf", "1,5GiB", "0x10"} {
		s := Size(1)
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read as %d", text, s)
		}
	}
}

// The machine's memory is the smaller of what it has and what its control group
// may use.
func TestMachineMemory(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	none := filepath.Join(dir, "none")
	one := put("one", "MemTotal:        1014432 kB\nMemFree:          500000 kB\n")
	eight := put("eight", "MemFree: 1 kB\nMemTotal:        8152364 kB\n")
	for _, c := range []struct {
		name            string
		meminfo, cgroup string
		memory, ceiling Size
	}{
		{"1 GiB", one, none, 1014432 << 10, MinMemory},
		{"8 GiB", eight, put("max", "max\n"), 8152364 << 10, DefaultMemory},
		{"8 GiB, 2 GiB allowed", eight, put("2g", "2147483648\n"), 2 << 30, 128 << 20},
		{"1 GiB, 2 GiB allowed", one, put("2g", "2147483648\n"), 1014432 << 10, MinMemory},
		{"a container that hides the machine", none, put("512m", "536870912\n"), 512 << 20, MinMemory},
		{"nothing to be read", none, none, 0, DefaultMemory},
		{"nonsense", put("bad", "MemTotal: many kB\n"), put("bad2", "-1\n"), 0, DefaultMemory},
	} {
		got := machineMemory(c.meminfo, c.cgroup)
		if got != c.memory {
			t.Errorf("%s: %d bytes, want %d", c.name, got, c.memory)
		}
		if s := ceiling(0, got); s != c.ceiling {
			t.Errorf("%s: ceiling %s, want %s", c.name, s, c.ceiling)
		}
		if s := ceiling(100<<20, got); s != 100<<20 {
			t.Errorf("%s: a ceiling that was set is not kept: %s", c.name, s)
		}
	}
	if s := (&Config{Memory: 77 << 20}).Ceiling(); s != 77<<20 {
		t.Errorf("set to 77 MiB, it is %s", s)
	}
	if s := (&Config{}).Ceiling(); s < MinMemory || s > DefaultMemory {
		t.Errorf("here it is %s", s)
	}
}
