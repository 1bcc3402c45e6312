package defense

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What a signature was decided by is there for who looks: on samples of the day and the
// week as well, with the visitors whom it would touch, and with examples.
func TestSignaturesShowTheirFigures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, "")
		defer s.start(t)()
		s.clients = visitors(40, 2, 100)
		s.run(130 * time.Second)
		s.clients = append(s.clients, bots(400, 5)...)
		s.run(8 * time.Second)
		a := s.loop.Status().Attack
		if a == nil || len(a.Signatures) == 0 {
			t.Fatalf("%+v", a)
		}
		for _, g := range a.Signatures {
			if g.Ordinary < 1000 || g.OrdinaryDay < 1000 || g.OrdinaryWeek < 1000 || g.KnownOf != 40 || len(g.Examples) == 0 ||
				g.Collateral != max(g.CollateralHour, g.CollateralDay, g.CollateralWeek) || g.Low > g.Collateral || g.High <= g.Collateral {
				t.Errorf("%s: %+v", g.Match, g)
			}
			for _, e := range g.Examples {
				if !strings.HasPrefix(e, "GET / (Mozilla/5.0 (") || strings.Contains(e, "203.0.") {
					t.Errorf("an example is %q", e)
				}
			}
		}
		shown := 0
		for _, m := range s.loop.Mitigations() {
			if m.Signature == nil {
				continue
			}
			shown++
			text, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			for _, key := range []string{"collateral_low", "collateral_high", "bound", "collateral_hour", "collateral_day", "collateral_week", "ordinary_day", "ordinary_week", "known", "known_of", "examples"} {
				if !strings.Contains(string(text), `"`+key+`":`) {
					t.Errorf("there is no %s in %s", key, text)
				}
			}
		}
		if shown == 0 {
			t.Error("no mitigation shows its signature")
		}
	})
}
