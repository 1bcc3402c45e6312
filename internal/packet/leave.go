package packet

// Leave lets go of the filter for another process, which takes it over: what is
// attached stays, with its lists and its lease, and so do the SYN cookies and a
// trial. A Packet that was left does nothing any more; where nobody takes the
// filter over, packets pass when the lease is over, as after a crash.
func (p *Packet) Leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.filter != nil {
		p.filter.Close()
	}
	// The table in nftables is made anew by whoever comes, in one step.
	p.filter, p.plain = nil, nil
	p.started = false
	clear(p.at)
}
