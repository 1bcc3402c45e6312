package doctor

import (
	"io/fs"
	"strconv"
	"strings"
)

// The oldest kernel that the packet filter is built for.
const oldestMajor, oldestMinor = 6, 1

const defaultPins = "/sys/fs/bpf"

// kernel looks at what the packet filter needs of the kernel.
func kernel(e Env) []Finding {
	n := notes{subject: "kernel"}
	release, _ := text(e.Proc, "sys/kernel/osrelease")
	version, major, minor, ok := parseRelease(release)
	switch {
	case !ok:
		n.missing(unknown, "`uname -r` should say 6.1 or more", "the kernel does not say its version")
	case major < oldestMajor || major == oldestMajor && minor < oldestMinor:
		n.missing(lost, "install Linux 6.1 or newer, or a system that has it (Debian 12, Ubuntu 24.04); HTTP is defended meanwhile",
			"Linux %s: packets cannot be filtered before they cost anything", version)
	default:
		n.good("Linux %s (6.1 or newer is needed)", version)
	}
	if _, err := fs.Stat(e.Sys, "kernel/btf/vmlinux"); err == nil {
		n.good("type information of the kernel (BTF) is there")
	} else {
		n.poor(tidy, "use your distribution's own kernel, or build with CONFIG_DEBUG_INFO_BTF=y", "the kernel has no type information (BTF): programs that need it cannot be loaded")
	}
	e.bpf(&n)
	e.pins(&n)
	return n.list
}

// bpf says whether the filter can be loaded, and which helpers it has.
func (e Env) bpf(n *notes) {
	if e.Kernel == nil {
		return
	}
	if err := e.Kernel.Probe(); err != nil {
		if own := e.capabilities("self"); own.known && !own.mayFilter() {
			n.missing(unknown, "`sudo seawall doctor` can tell", "whether the packet filter loads is not known: whoever runs this has no right to load programs")
			return
		}
		n.missing(lost, "see the reason; HTTP is defended all the same", "the packet filter cannot be loaded: %s", oneLine(err))
		return
	}
	n.good("the packet filter loads: bpf(2) is allowed and the verifier takes it")
	var have []string
	for _, h := range e.Kernel.Helpers() {
		switch {
		case h.Err == nil:
			have = append(have, h.Name)
		case h.Lacks:
			n.poor(tidy, "a newer kernel has it", "%s is not there: %s", h.Name, h.For)
		default:
			n.missing(tidy, "`sudo seawall doctor` can tell", "whether %s is there is not known: %s", h.Name, oneLine(h.Err))
		}
	}
	if len(have) > 0 {
		n.good("optional helpers: %s", strings.Join(have, ", "))
	}
}

// pins looks for the file system in which the filter outlives a restart.
func (e Env) pins(n *notes) {
	pins := e.Site.Pins
	if pins == "" {
		pins = defaultPins
	}
	mounts, ok := text(e.Proc, "self/mounts")
	if !ok {
		n.missing(unknown, "`findmnt -t bpf` lists them", "whether a BPF file system is mounted is not known")
		return
	}
	if at, ok := mountOf(mounts, pins, "bpf"); ok {
		n.good("a BPF file system is mounted at %s: the filter outlives a restart of Seawall", at)
		return
	}
	weight := weak
	if len(e.Site.Interfaces) > 0 {
		weight = lost // the filter does not start without it
	}
	n.missing(weight, "`sudo mount -t bpf bpf /sys/fs/bpf`, and for good: `echo 'bpf /sys/fs/bpf bpf defaults 0 0' | sudo tee -a /etc/fstab`",
		"no BPF file system is mounted at %s: the filter has nowhere to stay while Seawall restarts", pins)
}

// mountOf finds the mount point that a path lies in, provided that its file
// system is of a kind. Later mounts hide earlier ones.
func mountOf(mounts, path, kind string) (at string, ok bool) {
	best := ""
	for line := range strings.Lines(mounts) {
		f := strings.Fields(line) // device, mount point, kind, options, ...
		if len(f) < 3 {
			continue
		}
		point := strings.TrimSuffix(f[1], "/")
		if (path == f[1] || strings.HasPrefix(path, point+"/")) && len(f[1]) >= len(best) {
			best, ok = f[1], f[2] == kind
		}
	}
	return best, ok
}

// parseRelease reads 6.1 out of "6.1.0-18-amd64", and the numbers up to the
// first that is none.
func parseRelease(s string) (version string, major, minor int, ok bool) {
	end := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end < 0 {
		end = len(s)
	}
	version = strings.Trim(s[:end], ".")
	parts := strings.Split(version, ".")
	if len(parts) < 2 {
		return version, 0, 0, false
	}
	major, err1 := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	return version, major, minor, err1 == nil && err2 == nil
}

// oneLine cuts what the verifier says to its gist.
func oneLine(err error) string {
	const most = 200
	s, _, _ := strings.Cut(err.Error(), "\n")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
