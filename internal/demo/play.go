package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"seawall/internal/demo/flood"
)

// play goes through the phases, and returns early only if ctx ends.
func (s *session) play(ctx context.Context) error {
	s.enter(phaseArrive)
	if s.crowd != nil {
		if err := s.crowd.Add(s.o.Visitors, arriving-time.Second, regulars); err != nil {
			return err
		}
		if err := pause(ctx, arriving); err != nil {
			return err
		}
	}
	s.enter(phaseQuiet)
	if err := pause(ctx, seconds(s.o.Quiet)); err != nil {
		return err
	}

	s.mu.Lock()
	s.use0 = s.use
	s.begun = time.Now()
	s.mu.Unlock()
	s.enter(phaseDuring)
	if err := s.attack(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	s.ended = time.Now()
	s.mu.Unlock()
	s.enter(phaseAfter)
	if err := pause(ctx, seconds(s.o.After)); err != nil {
		return err
	}
	return s.settle(ctx)
}

// attack lets the flood loose, or the flash crowd in, until it is over.
func (s *session) attack(ctx context.Context) error {
	length := seconds(s.o.Seconds)
	switch s.o.Kind {
	case Crowd:
		if s.crowd != nil {
			if err := s.crowd.Add(s.o.Visitors*(crowdFactor-1), length, newcomers); err != nil {
				return err
			}
		}
		// The crowd is all there when length is over; it stays half as long again.
		return pause(ctx, length*3/2)
	case None:
		return pause(ctx, length)
	}
	if err := s.flood.tell(struct{}{}); err != nil {
		return err
	}
	if s.o.RefuseAfter > 0 {
		if err := s.orderRefusal(ctx); err != nil {
			return err
		}
	}
	if s.crowd != nil && s.o.Newcomers > 0 {
		if err := pause(ctx, length/5); err != nil {
			return err
		}
		if err := s.crowd.Add(s.o.Newcomers, length/2, newcomers); err != nil {
			return err
		}
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.flood.done:
		<-s.heard
	}
	s.mu.Lock()
	done := s.flooded.Done
	s.mu.Unlock()
	if s.flood.err != nil || !done {
		return s.flood.failed(errors.New("it ended early"))
	}
	return nil
}

// orderRefusal waits until so many requests were answered, then does what an
// operator would: has whatever looks like the flood refused.
func (s *session) orderRefusal(ctx context.Context) error {
	for {
		s.mu.Lock()
		enough := s.flooded.Answered+s.flooded.Refused+s.flooded.Errors >= s.o.RefuseAfter || s.flooded.Done
		s.mu.Unlock()
		if enough {
			break
		}
		if err := pause(ctx, tickEvery); err != nil {
			return err
		}
	}
	return s.api.order(ctx, "http://"+s.admin+"/api/v1/mitigations", map[string]string{
		"action": "refuse", "match": fmt.Sprintf("user_agent == %q", spreadAgent), "note": "the flood of a measurement",
	})
}

// settle waits until Seawall has undone everything, for so long as it may take.
func (s *session) settle(ctx context.Context) error {
	if s.admin == "" {
		return nil
	}
	for {
		s.mu.Lock()
		calm, waited := s.now.calm(), time.Since(s.ended)
		s.mu.Unlock()
		if calm || waited > seconds(s.o.Settle) {
			return nil
		}
		if err := pause(ctx, tickEvery); err != nil {
			return err
		}
	}
}

func (s *session) enter(phase string) {
	s.mu.Lock()
	s.phase = phase
	s.mu.Unlock()
	if s.crowd != nil {
		s.crowd.Phase(phase)
	}
}

// hear keeps the flood's reports until it ends.
func (s *session) hear() {
	defer close(s.heard)
	if s.flood == nil {
		return
	}
	for line := range s.flood.lines {
		var c flood.Counts
		if json.Unmarshal(line, &c) != nil {
			continue // a torn last line of a flood that was ended
		}
		s.mu.Lock()
		s.flooded = c
		s.series = append(s.series, c)
		s.mu.Unlock()
	}
}

// watch samples everything at a steady pace. If a process that should live has
// ended it cancels the run.
func (s *session) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	t := time.NewTicker(tickEvery)
	defer t.Stop()
	for {
		s.sample(ctx)
		for _, c := range []*child{s.site, s.shield} {
			if c != nil && !c.alive() {
				cancel(c.failed(fmt.Errorf("it ended by itself (%v)", c.err)))
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// sample reads the site's counters, Seawall's status and its use of the machine.
// What cannot be read this time is left as it was.
func (s *session) sample(ctx context.Context) {
	r := reach{at: time.Now()}
	if err := s.api.get(ctx, "http://"+s.siteAddrs.Stats+"/-/stats", &r.stats); err == nil {
		s.mu.Lock()
		s.reached = append(s.reached, r)
		s.mu.Unlock()
	}
	if s.admin == "" {
		return
	}
	var st status
	err := s.api.get(ctx, "http://"+s.admin+"/api/v1/status", &st)
	use := s.shield.use()
	s.mu.Lock()
	defer s.mu.Unlock()
	if use.RSS > 0 {
		s.use, s.peak = use, max(s.peak, use.RSS)
	}
	if err != nil {
		return
	}
	if st.calm() && !s.now.calm() {
		s.calmSince = time.Now()
	}
	s.now = st
	for i, d := range st.Mitigations {
		d.Match, d.Note = printable(d.Match), printable(d.Note)
		st.Mitigations[i], s.did[d.ID] = d, d
	}
	s.keepRecords(st.Records)
}

// keepRecords adds the records that are new; hold s.mu. Records come in either
// order, and old ones are forgotten by Seawall in time.
func (s *session) keepRecords(list []record) {
	known := map[string]bool{}
	for _, r := range s.records {
		known[r.key()] = true
	}
	for _, r := range list {
		r.Step, r.Text = printable(r.Step), printable(r.Text)
		if !known[r.key()] && len(s.records) < mostRecords {
			s.records = append(s.records, r)
		}
	}
	slices.SortStableFunc(s.records, func(a, b record) int { return a.At.Compare(b.At) })
}

// mostRecords bounds how many records of Seawall are kept.
const mostRecords = 1000

func (r record) key() string { return r.At.UTC().Format(time.RFC3339Nano) + r.Step + r.Text }

// printable takes out what could steer a terminal: a bot may choose parts of
// these texts.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
