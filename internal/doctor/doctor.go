package doctor

import (
	"context"
	"io/fs"
	"runtime"
	"time"
)

// Env is what the doctor needs of the program and the machine around it.
type Env struct {
	Proc, Sys fs.FS // /proc and /sys
	// Links lists the network interfaces with what netlink and the drivers say.
	Links  func() ([]Link, error)
	Kernel Kernel
	// Firewall reads the rules of nftables and iptables; nil: nobody can.
	Firewall func() (rules string, ok bool)
	Site     Site
	CPUs     int // 0: those of this machine

	// Executable is this program, and Shield returns the arguments that make it
	// run as Seawall, as the demo does. Valid iff something is measured.
	Executable string
	Shield     func(ShieldSpec) ([]string, error)

	Progress func(what string) // told what takes a while; nil for nobody
}

// Kernel is what only the owner of the packet filter can ask the kernel.
type Kernel interface {
	// Probe says why the filter cannot be loaded; nil where it can.
	Probe() error
	Helpers() []Helper
	// Program names an XDP program, and says whether it is Seawall's.
	Program(id uint32) (name string, ours bool, err error)
	// TryNative attaches a program that lets everything pass, for a moment.
	TryNative(iface string) error
	// DropCost is what the filter spends on a packet that it drops, on one core,
	// with so many blocked sources.
	DropCost(sources int, during time.Duration) (time.Duration, error)
}

// Helper is something of the kernel that the filter can do without.
type Helper struct {
	Name, For string
	Err       error // nil: it is there
	Lacks     bool  // the kernel has not got it; else Err is why nobody could tell
}

// Site is what the configuration says, and who runs with it.
type Site struct {
	Configured bool     // a configuration was named
	Interfaces []string // to be filtered
	Pins       string
	Listen     []string // addresses of Seawall
	Admin      string
	Ports      []uint16 // protected besides those of Listen
	Origins    []string // web addresses
	MaxConns   int      // visitors' connections at a time
	MaxStreams int      // and long answers of the origin
	Ceiling    int64    // for resident memory
	PID        int      // of the Seawall that runs with it; 0 for none
}

// Options say how far to go.
type Options struct {
	Quick bool // measure nothing
	// Attach tries native mode on the interfaces: the only certain answer, and
	// many drivers drop the link for a moment.
	Attach bool
	Each   time.Duration // for each measurement; 0: a second
}

// Examine looks at everything. The only error is that ctx ended.
func Examine(ctx context.Context, env Env, o Options) (Report, error) {
	if env.CPUs == 0 {
		env.CPUs = runtime.NumCPU()
	}
	if o.Each == 0 {
		o.Each = time.Second
	}
	var r Report
	links, err := env.links()
	add := func(f []Finding) { r.Findings = append(r.Findings, f...) }
	add(kernel(env))
	add(interfaces(env, links, err, o.Attach))
	add(rights(env))
	add(limits(env))
	add(sysctls(env, links))
	add(firewall(env))
	add(ports(env, links))
	if !o.Quick {
		m := measure(ctx, env, o.Each)
		if ctx.Err() != nil {
			return Report{}, ctx.Err()
		}
		r.Measured = &m
		add(m.findings(env.CPUs))
	}
	add(uplink(env, links, r.Measured))
	r.sum()
	return r, ctx.Err()
}

func (e Env) say(what string) {
	if e.Progress != nil {
		e.Progress(what)
	}
}
