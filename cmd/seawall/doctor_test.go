package main

import (
	"testing"

	"seawall/internal/config"
	"seawall/internal/doctor"
)

// The Seawall that the doctor measures is one that can be had: on loopback, with
// one client who is always let in and one who never is.
func TestDoctorMeasuredConfiguration(t *testing.T) {
	args, err := measuredArgs(doctor.ShieldSpec{Dir: t.TempDir(), Origin: "http://127.0.0.1:3000", Allow: "192.0.2.1", Deny: "203.0.113.1"})
	if err != nil || len(args) != 3 || args[0] != "run" || args[1] != "-c" {
		t.Fatalf("%q, %v", args, err)
	}
	cfg, err := config.Load(args[2])
	if err != nil {
		t.Fatal(err)
	}
	if l := cfg.Request.Listen.Addresses; len(l) != 1 || l[0] != "127.0.0.1:0" || cfg.Admin.Listen != "127.0.0.1:0" {
		t.Errorf("it listens on %q and %q", l, cfg.Admin.Listen)
	}
	if len(cfg.Packet.Interfaces) != 0 {
		t.Errorf("it filters the packets of %q", cfg.Packet.Interfaces)
	}
}
