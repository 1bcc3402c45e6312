package packets

import (
	"fmt"
	"time"
)

// bars are what is asked of a window under a flood. Waiting times are asked by
// the benchmark only: what else runs on the same processors shows in them.
type bars struct {
	connect99 time.Duration // 0: not asked
	lost      float64       // share of the flood for which the interface may have no room
	visits    float64       // share of visitors who may meet a repeated SYN or no answer
}

// slack is what a window may have more than its share, for what else happens on
// the machine: one visitor.
const slack = 1

// missed says what is not as asked: of the wire first, for what is measured on
// one that lost the flood says nothing of the host.
func (w window) missed(rate int, b bars) (out []string) {
	add := func(wrong bool, what string, args ...any) {
		if wrong {
			out = append(out, fmt.Sprintf(what, args...))
		}
	}
	want := float64(rate) * w.Took.Seconds()
	add(float64(w.Sent) < 0.9*want, "sent %.0f %% of the flood", 100*float64(w.Sent)/want)
	add(w.lost() > b.lost, "%.1f %% of the flood found the interface full", 100*w.lost())
	may := int(b.visits*float64(w.Visits.All)) + slack
	add(w.Visits.Repeated > may, "%d of %d repeated their SYN", w.Visits.Repeated, w.Visits.All)
	failed := w.Visits.All - w.Visits.Served
	add(failed > may, "%d of %d had no answer: %s", failed, w.Visits.All, w.Visits.First)
	if p := quantile(at99, w.Visits.Connect); b.connect99 > 0 {
		add(p > b.connect99, "connecting takes %s", p.Round(time.Millisecond/10))
	}
	for _, own := range []struct {
		name string
		tries
	}{{"DNS", w.DNS}, {"SSH", w.SSH}, {"mail", w.Mail}} {
		add(own.Failed > 0, "%s failed %d times: %s", own.name, own.Failed, own.First)
	}
	return out
}

// lost is the share of the flood for which the host's interface had no room.
func (w window) lost() float64 {
	if w.Sent == 0 {
		return 0
	}
	return max(0, 1-float64(w.received())/float64(w.Sent))
}

// asked are the bars for a flood after a quiet window.
func asked(quiet window) bars {
	return bars{
		connect99: max(2*quantile(at99, quiet.Visits.Connect), 20*time.Millisecond),
		lost:      0.01,
		visits:    0.001,
	}
}
