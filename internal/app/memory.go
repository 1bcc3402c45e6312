package app

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"seawall/internal/config"
	"seawall/internal/defense/observe"
	"seawall/internal/packet/filter"
	"seawall/internal/request/admit"
)

// Shares of the memory ceiling. What is left over is the program itself, its
// stacks, the kernel's view of its buffers, and what the garbage collector
// needs to breathe.
const (
	clientShare = 0.25     // the door's tables of clients
	heapShare   = 0.9      // Go's soft limit, of what the program's own pages leave
	ownPages    = 24 << 20 // resident pages of the binary, the table of countries among them, measured
	perConn     = 20 << 10 // resident bytes of an idle connection, measured
	perHTTPS    = 24 << 10 // what HTTPS adds to that: 8,000 idle ones, 80 KiB each instead of 55 with Go's slack
	perHTTP3    = 16 << 10 // and HTTP/3: 60 KiB each
	connShare   = 0.25
	smallBelow  = 128 << 20
)

// onlyWatch makes the settings of a configuration in watch mode stop nobody: the
// rungs of the packet filter count what they would stop, but for what people order.
func onlyWatch(cfg *config.Config) {
	if !cfg.Watch() {
		return
	}
	cfg.Request.Admit.Watch = true
	f := &cfg.Packet.Filter
	for _, rung := range []*filter.Mode{&f.Malformed, &f.Reflected, &f.Fragments, &f.ICMP, &f.Budget, &f.Initials, &f.Connections} {
		if *rung == filter.Enforce {
			*rung = filter.DryRun
		}
	}
}

// fit makes the settings keep within the ceiling for resident memory, where a
// person has not set them apart from the default.
func fit(cfg *config.Config) {
	ceiling := int64(cfg.Ceiling())
	def := config.Default()
	onlyWatch(cfg)
	if cfg.Request.Admit.Clients == def.Request.Admit.Clients {
		cfg.Request.Admit.Clients = int(float64(ceiling)*clientShare) / admit.BytesPerClient
	}
	if cfg.Request.Listen.MaxConns == def.Request.Listen.MaxConns {
		each := perConn
		if len(cfg.Request.Listen.TLS.Addresses) > 0 {
			each += perHTTPS
			if cfg.Request.Listen.TLS.HTTP3 {
				each += perHTTP3
			}
		}
		cfg.Request.Listen.MaxConns = min(cfg.Request.Listen.MaxConns, int(float64(ceiling)*connShare)/each)
	}
	conns := cfg.Request.Listen.MaxConns
	share(&cfg.Request.Listen.MaxConnsPerClient, def.Request.Listen.MaxConnsPerClient, conns/2)
	share(&cfg.Request.Listen.MaxConnsPerNetwork, def.Request.Listen.MaxConnsPerNetwork, conns*3/4)
	// What lives long, and who stands in line, must leave places for others to
	// come and go.
	share(&cfg.Request.Proxy.MaxStreams, def.Request.Proxy.MaxStreams, conns/2)
	share(&cfg.Request.Proxy.MaxWaiting, def.Request.Proxy.MaxWaiting, conns/4)
	if ceiling < smallBelow && cfg.Defense.Observe == def.Defense.Observe {
		cfg.Defense.Observe = observe.SmallConfig()
	}
}

// share makes a bound that nobody set keep within a part of the connections.
func share(bound *int, usual, most int) {
	if *bound == usual {
		*bound = max(1, min(usual, most))
	}
}

// limitHeap tells the garbage collector of the ceiling.
func limitHeap(cfg *config.Config) {
	debug.SetMemoryLimit(int64(float64(cfg.Ceiling()-ownPages) * heapShare))
}

// resident is the process's resident memory in bytes; 0 where it cannot be read.
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
