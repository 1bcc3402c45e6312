// Package request is the request's way in: listen reads it, identify says who
// it comes from, admit decides, refuse answers who is not let in, and proxy
// takes the others to the origin and back.
//
// The sub-rooms know nothing of each other; app wires them. This package only
// joins their settings, for config.
package request

import (
	"fmt"

	"seawall/internal/kit/problem"
	"seawall/internal/request/admit"
	"seawall/internal/request/identify"
	"seawall/internal/request/listen"
	"seawall/internal/request/proxy"
	"seawall/internal/request/refuse"
)

// Config is the settings of all sub-rooms.
type Config struct {
	// TrustedProxies may say whom they speak for, by PROXY header and by
	// X-Forwarded-For alike. The sub-rooms have a list each, for the rare case
	// that the two differ; an empty one takes this.
	TrustedProxies []string `yaml:"trusted_proxies"`

	Listen   listen.Config   `yaml:"listen"`
	Identify identify.Config `yaml:"identify"`
	Admit    admit.Config    `yaml:"admit"`
	Refuse   refuse.Config   `yaml:"refuse"`
	Proxy    proxy.Config    `yaml:"proxy"`
}

// DefaultConfig returns the defaults of all sub-rooms.
func DefaultConfig() Config {
	return Config{
		Listen:   listen.DefaultConfig(),
		Identify: identify.DefaultConfig(),
		Admit:    admit.DefaultConfig(),
		Refuse:   refuse.DefaultConfig(),
		Proxy:    proxy.DefaultConfig(),
	}
}

// Resolve hands settings that several sub-rooms share to those. It is called
// once, before Validate, which says what is wrong with them.
func (c *Config) Resolve() {
	if len(c.Identify.TrustedProxies) == 0 {
		c.Identify.TrustedProxies = c.TrustedProxies
	}
	if len(c.Listen.TrustedProxies) == 0 {
		// What cannot be resolved is reported by Validate.
		c.Listen.TrustedProxies, _ = identify.Prefixes(c.TrustedProxies)
	}
}

// SetOrigin names the one origin that there is.
func (c *Config) SetOrigin(url string) { c.Proxy.Origins = []proxy.Origin{{URL: url}} }

// Validate checks the settings of all sub-rooms.
func (c Config) Validate() problem.List {
	var l problem.List
	for i, name := range c.TrustedProxies {
		if _, err := identify.Prefixes([]string{name}); err != nil {
			l.Add(fmt.Sprintf("trusted_proxies[%d]", i), "write 192.0.2.0/24, loopback, private, cloudflare or fastly", "%v", err)
			c.Identify.TrustedProxies = nil // once is enough
		}
	}
	l.Under("listen", c.Listen.Validate())
	l.Under("identify", c.Identify.Validate())
	l.Under("admit", c.Admit.Validate())
	l.Under("refuse", c.Refuse.Validate())
	l.Under("proxy", c.Proxy.Validate())
	return l
}
