package app

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"seawall/internal/config"
	"seawall/internal/doctor"
	"seawall/internal/packet/filter"
)

// doctored is the doctor's report of an interface of this machine.
func doctored(t *testing.T, name string, o doctor.Options) string {
	t.Helper()
	cfg := config.Default()
	cfg.Packet.Interfaces = []string{name}
	cfg.Data = t.TempDir()
	o.Quick = true
	r, err := doctor.Examine(t.Context(), Doctor(cfg, true), o)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s: %s\n", f.Level, f.What)
	}
	return b.String()
}

// A pair of virtual interfaces, which nobody else uses, is looked at before,
// while and after the filter is there.
func TestDoctorSeesTheFilter(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("making interfaces and attaching programs needs root")
	}
	if err := filter.Probe(); err != nil {
		t.Skip(err)
	}
	name := fmt.Sprintf("swd%d", os.Getpid()%1_000_000)
	if out, err := exec.Command("ip", "link", "add", name, "up", "type", "veth", "peer", "name", name+"p").CombinedOutput(); err != nil {
		t.Skipf("making interfaces: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", name).Run() })

	says := func(want string, o doctor.Options) {
		t.Helper()
		if got := doctored(t, name, o); !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	says("good: "+name+" (veth, MTU 1500): native mode can be had", doctor.Options{})
	says("good: "+name+" (veth, MTU 1500): native mode was tried", doctor.Options{Attach: true})

	f, err := filter.New(filter.DefaultConfig(), filter.Guard{TCP: []uint16{443}}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Attach(name); err != nil {
		t.Fatal(err)
	}
	says("good: "+name+" (veth, MTU 1500): Seawall's filter is attached in native mode", doctor.Options{Attach: true})
	if err := f.Detach(name); err != nil {
		t.Fatal(err)
	}
	if _, err := net.InterfaceByName(name); err != nil {
		t.Fatal(err)
	}
	says("native mode can be had", doctor.Options{})
}
