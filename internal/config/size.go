package config

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
)

// Size is a number of bytes, written as 64MiB, 1.5GiB, 500MB or plain bytes.
type Size int64

// The ceilings for resident memory.
const (
	MinMemory     Size = 64 << 20
	DefaultMemory Size = 256 << 20
)

var units = []struct {
	name string
	size float64
}{ // longest first, so that MiB is not read as B
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1},
}

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(b []byte) error {
	text := strings.TrimSpace(string(b))
	for _, u := range units {
		num, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(num), 64)
		if err != nil || n < 0 || math.IsNaN(n) || n*u.size > math.MaxInt64/2 {
			break
		}
		*s = Size(n * u.size)
		return nil
	}
	return fmt.Errorf("%q is no size", text)
}

// MarshalText writes a size in MiB where that is exact.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s Size) String() string {
	if s%(1<<20) == 0 && s > 0 {
		return fmt.Sprintf("%dMiB", int64(s)>>20)
	}
	return strconv.FormatInt(int64(s), 10)
}

// Ceiling resolves the memory setting: what was set, or a sixteenth of the
// machine's memory between MinMemory and DefaultMemory. A 1 GiB server gets
// 64 MiB, one of 4 GiB or more gets 256 MiB.
func (c *Config) Ceiling() Size {
	return ceiling(c.Memory, machineMemory("/proc/meminfo", "/sys/fs/cgroup/memory.max"))
}

// ceiling takes what was set and what the machine has; 0 is nothing, and not
// known.
func ceiling(set, machine Size) Size {
	switch {
	case set != 0:
		return set
	case machine <= 0:
		return DefaultMemory
	}
	return min(max(machine/16, MinMemory), DefaultMemory)
}

// machineMemory is the smaller of the machine's memory and its control
// group's limit; 0 where neither can be read.
func machineMemory(meminfo, cgroup string) Size {
	var total Size
	if b, err := os.ReadFile(meminfo); err == nil {
		for line := range strings.Lines(string(b)) {
			if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
				kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
				total = Size(kb) << 10
			}
		}
	}
	if b, err := os.ReadFile(cgroup); err == nil {
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && n > 0 && (total == 0 || Size(n) < total) {
			total = Size(n)
		}
	}
	return total
}
