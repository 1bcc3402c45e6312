package doctor

import (
	"math"
	"seawall/internal/kit/figures"
	"strconv"
	"strings"
)

// spare is how many files Seawall opens besides connections, and then some.
const spare = 1024

// limits looks at what the machine grants Seawall: files, memory, processors.
func limits(e Env) []Finding {
	n := notes{subject: "limits"}
	e.files(&n)
	e.memory(&n)
	e.processors(&n)
	return n.list
}

// files looks at how many connections can be open.
func (e Env) files(n *notes) {
	process, who := e.process()
	lines, ok := text(e.Proc, process+"/limits")
	most, found := limitOf(lines, "Max open files")
	if !ok || !found {
		n.missing(unknown, "`ulimit -Hn` should say 16384 or more", "how many files %s may open cannot be read", who)
		return
	}
	need := int64(e.Site.MaxConns + e.Site.MaxStreams + spare)
	if most < need {
		n.missing(weak, "with systemd: `sudo systemctl edit seawall`, and `LimitNOFILE=262144` under [Service] (the packages have it); in a shell: `ulimit -n 262144`",
			"%s may open %s files; %s connections and %s to the origin need %s", who, figures.Thousands(most), figures.Thousands(int64(e.Site.MaxConns)), figures.Thousands(int64(e.Site.MaxStreams)), figures.Thousands(need))
		return
	}
	if most == math.MaxInt64 {
		n.good("%s may open any number of files (%s are needed)", who, figures.Thousands(need))
		return
	}
	n.good("%s may open %s files (%s are needed)", who, figures.Thousands(most), figures.Thousands(need))
}

// limitOf reads the hard limit: Go raises the soft one to it at the start. The
// line is "Max open files            1024                 524288               files".
func limitOf(lines, name string) (int64, bool) {
	for line := range strings.Lines(lines) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok {
			continue
		}
		f := strings.Fields(rest)
		if len(f) < 2 {
			return 0, false
		}
		if f[1] == "unlimited" {
			return math.MaxInt64, true
		}
		hard, err := strconv.ParseInt(f[1], 10, 64)
		return hard, err == nil
	}
	return 0, false
}

// memory compares what Seawall may take with what the machine has.
func (e Env) memory(n *notes) {
	info, _ := text(e.Proc, "meminfo")
	total, ok := kilobytes(info, "MemTotal")
	free, ok2 := kilobytes(info, "MemAvailable")
	switch {
	case !ok || !ok2:
		n.missing(unknown, "`free -m` tells", "how much memory the machine has cannot be read")
	// What runs already has taken its share of what was available.
	case e.Site.PID == 0 && e.Site.Ceiling > free:
		n.poor(weak, "take something else off this machine, or set `memory: 64MiB` in the configuration",
			"%s MiB of memory are available; Seawall may take up to %s MiB, and a machine without memory kills programs", figures.Thousands(free>>20), figures.Thousands(e.Site.Ceiling>>20))
	default:
		n.good("memory: %s of %s MiB are available; Seawall takes at most %s", figures.Thousands(free>>20), figures.Thousands(total>>20), figures.Thousands(e.Site.Ceiling>>20))
	}
}

// kilobytes reads a line of /proc/meminfo, in bytes.
func kilobytes(info, name string) (int64, bool) {
	value, ok := field(info, name)
	kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 10, 64)
	return kb << 10, ok && err == nil
}

// stealMost is the share of time taken by others on the host from which a
// machine is not what was paid for.
const stealMost = 0.05

// processors counts them, and what other machines on the same host take.
func (e Env) processors(n *notes) {
	stat, _ := text(e.Proc, "stat")
	stolen, ok := steal(stat)
	if ok && stolen > stealMost {
		n.poor(weak, "ask the host for processors of your own (\"dedicated\"), or for another host machine",
			"%s, of whose time %.0f %% have gone to other machines on the same host since this one started", count(e.CPUs, "processor"), 100*stolen)
		return
	}
	n.good("%s", count(e.CPUs, "processor"))
}

// steal is the share of stolen time since the start: the eighth number of the
// first line of /proc/stat (proc(5)).
func steal(stat string) (float64, bool) {
	line, _, _ := strings.Cut(stat, "\n")
	f := strings.Fields(line)
	if len(f) < 9 || f[0] != "cpu" {
		return 0, false
	}
	var sum, stolen float64
	for i, s := range f[1:9] { // guest time, after it, is in the first already
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return 0, false
		}
		sum += v
		if i == 7 {
			stolen = v
		}
	}
	return stolen / max(sum, 1), true
}
