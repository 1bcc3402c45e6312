package defense

import (
	"testing"
	"testing/synctest"
	"time"
)

// A flood whose packets the kernel stops is one attack from its beginning to its
// end, though nothing of it is seen at the door for minutes; and it is over soon
// after its end.
func TestHeldOffByTheKernelIsOneAttack(t *testing.T) {
	for _, c := range []struct {
		name   string
		vanish float64 // packets a second of each client while it is stopped
	}{
		{"asking again for a connection now and then", 0.2},
		{"a flood of packets", 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSim(t, "")
				s.vanish = c.vanish
				stop := s.start(t)
				defer stop()
				defer s.dump(t)
				good := visitors(40, 2, 100)
				s.clients = good
				s.run(12 * time.Second)
				flood := bots(200, 50)
				s.countFrom = time.Now().Add(10 * time.Second)
				s.clients = append(append([]*client{}, good...), flood...)
				begin := offered(flood)
				most := 0
				for range 6 * 60 {
					before := offered(flood)
					s.run(time.Second)
					most = max(most, offered(flood)-before)
				}
				st := s.loop.Status()
				if st.Attack == nil {
					t.Error("it is taken for over while it goes on")
				}
				got := offered(flood) - begin
				t.Logf("%d attacks; %d of %d requests came to the door, at most %d in a second; %.4f of the visitors' were served",
					len(st.Attacks), got, 200*50*6*60, most, share(good))
				if share(good) < 0.99 {
					t.Errorf("%.4f of the visitors' requests were served", share(good))
				}
				s.clients = good
				end := time.Now()
				for (s.loop.Status().State != Calm || s.count() > 0) && time.Since(end) < 2*time.Minute {
					s.run(time.Second)
				}
				s.run(time.Second)
				st = s.loop.Status()
				t.Logf("calm, and nothing stands, %v after its end", time.Since(end))
				if over := time.Since(end); over > time.Minute || len(st.Attacks) != 1 || s.count() != 0 || !s.calm() {
					t.Errorf("%v after its end: %s, %d attacks, %d mitigations stand", over, st.State, len(st.Attacks), s.count())
				}
			})
		})
	}
}
