package clock

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestInstantsFollowTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		a := c.Now()
		if a <= 0 {
			t.Fatalf("Now() = %d; the zero Instant must be in the past", a)
		}
		time.Sleep(1500 * time.Millisecond)
		if d := c.Now().Sub(a); d != 1500*time.Millisecond {
			t.Errorf("1.5 s later Sub says %v", d)
		}
	})
}

func TestWallAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		i := c.Now().Add(time.Minute)
		want := time.Now().Add(time.Minute)
		if w := c.Wall(i); !w.Equal(want) {
			t.Errorf("Wall = %v, want %v", w, want)
		}
		if j := c.At(want); j != i {
			t.Errorf("At(Wall(i)) = %d, want %d", j, i)
		}
	})
}

func TestStopped(t *testing.T) {
	at := time.Date(2019, 11, 12, 9, 0, 0, 0, time.UTC)
	c := NewStopped(at)
	i := c.Now()
	if i <= 0 || !c.Wall(i).Equal(at) || c.At(at) != i {
		t.Fatalf("it shows %v, %v", i, c.Wall(i))
	}
	c.Set(i.Add(time.Minute))
	c.Set(i) // never back
	if now := c.Now(); now.Sub(i) != time.Minute || !c.Wall(now).Equal(at.Add(time.Minute)) || c.At(at.Add(time.Hour)).Sub(i) != time.Hour {
		t.Errorf("after a minute it shows %v", c.Wall(now))
	}
}
