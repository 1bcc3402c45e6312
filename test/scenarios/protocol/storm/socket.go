package storm

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"time"
)

func socketAttacks() []Attack {
	return []Attack{
		{Name: "websockets", What: "WebSockets opened and held, each with a ping a second", Unit: "frames",
			Conns: 1500, Dials: 800, Rate: 2000, run: sockets},
		{Name: "websocket upgrades", What: "WebSockets opened and dropped", Unit: "upgrades",
			Conns: 32, Dials: 300, Rate: 300, run: upgrades},
	}
}

// upgrade makes the connection a WebSocket (RFC 6455, section 4.1).
func (s *storm) upgrade(c *line) error {
	if _, err := io.WriteString(c, request("GET", s.to.Socket, s.to.Host)+
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	s.kind(fmt.Sprintf("status %d", resp.StatusCode), 1)
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("no WebSocket: %s", resp.Status)
	}
	return nil
}

// ping is a masked frame of that kind without content.
func ping() []byte {
	return binary.BigEndian.AppendUint32([]byte{0x89, 0x80}, 0x5ea3a11)
}

func sockets(s *storm, c *line) error {
	if err := s.upgrade(c); err != nil {
		return s.unlessOver(err)
	}
	c.discard()
	for s.may(1) {
		if _, err := c.Write(ping()); err != nil {
			return s.unlessOver(err)
		}
		if !s.pause(time.Second) {
			return nil
		}
	}
	return nil
}

func upgrades(s *storm, c *line) error {
	if !s.may(1) {
		return nil
	}
	return s.unlessOver(s.upgrade(c))
}

// unlessOver is the error, unless the end of the attack is its cause.
func (s *storm) unlessOver(err error) error {
	if s.ctx.Err() != nil {
		return nil
	}
	return err
}
