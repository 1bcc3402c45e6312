package packets

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// gunner is the one who floods. It is in the world's namespace, whose end of the
// wire it sends into.
type gunner struct {
	mac    net.HardwareAddr // of the host's end
	detach func()
}

// envMAC tells the gunner the hardware address of the host's end.
const envMAC = "SEAWALL_TEST_MAC"

// fired is what the gunner reports.
type fired struct {
	Sent int           `json:"sent"`
	Took time.Duration `json:"took"`
}

func newGunner() (*gunner, error) {
	mac, err := net.ParseMAC(os.Getenv(envMAC))
	if err != nil {
		return nil, err
	}
	// What is sent into an interface needs a program there.
	detach, err := attach(worldLink, known(dest4, dest6))
	if err != nil {
		return nil, fmt.Errorf("the world's end of the wire: %w", err)
	}
	return &gunner{mac, detach}, nil
}

func (g *gunner) close() { g.detach() }

func (g *gunner) do(o order) (any, error) {
	if o.Do == "replay" {
		frames, err := readCapture(o.Name, g.mac)
		if err != nil {
			return nil, err
		}
		return replay(worldLink, frames, o.Rate, o.Lasts)
	}
	f, err := floodNamed(o.Name)
	if err != nil {
		return nil, err
	}
	gun, err := newGun(worldLink, g.mac, f.shots)
	if err != nil {
		return nil, err
	}
	defer gun.Close()
	return volley(gun, o.Rate, o.Lasts)
}

// guns is how many processors send a flood, and how many queues the wire has:
// what a processor sends into it is received by the same one.
const guns = 2

// volley fires on all of them at once.
func volley(g *gun, rate int, lasts time.Duration) (all fired, err error) {
	var each [guns]fired
	var errs [guns]error
	var done sync.WaitGroup
	for i := range guns {
		done.Go(func() { each[i].Sent, each[i].Took, errs[i] = g.fire(rate/guns, lasts, i) })
	}
	done.Wait()
	for _, one := range each {
		all.Sent += one.Sent
		all.Took = max(all.Took, one.Took)
	}
	return all, errors.Join(errs[:]...)
}
