package accuracy

import (
	"cmp"
	"hash/fnv"
	"strings"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// The origin by default: 500 pages a second.
const (
	workers  = 5
	pageWork = 10 * time.Millisecond
	inFlight = 20
	inLine   = 1024
)

// patience is how long each rank waits in line, as proxy has it.
var patience = [mitigation.Ranks]time.Duration{10 * time.Second, 5 * time.Second, 3 * time.Second, time.Second}

// job is a request that was let in.
type job struct {
	c    *client
	v    traffic.Visit
	d    mitigation.Verdict
	at   clock.Instant // it came
	sent clock.Instant // to the origin
	cost float64
	then func() // follows a good answer; nil: nothing

	status int     // of the answer; 0: 200
	st     *stream // on its connection; nil: there are none
}

// site is the origin with the line in front of it.
type site struct {
	s       *stage
	work    time.Duration
	down    bool // it answers 502 at once
	busy    int
	flight  int
	waiting int
	line    [mitigation.Ranks][]*job
	queue   []*job // inside the origin
}

func (o *site) init(s *stage) { o.s, o.work = s, pageWork }

// gauges are what the loop is told of the line.
func (o *site) gauges() traffic.Origin {
	return traffic.Origin{InFlight: o.flight, Waiting: o.waiting, Behind: len(o.line[mitigation.RankSuspect]), Limit: inFlight, Healthy: 1}
}

func (o *site) arrive(j *job) {
	r := min(j.d.Rank, mitigation.Ranks-1)
	if o.flight < inFlight && o.waiting == 0 {
		o.start(j)
		return
	}
	if o.waiting >= inLine && !o.evict(r) {
		o.shed(j)
		return
	}
	o.line[r] = append(o.line[r], j)
	o.waiting++
}

// evict sends the last of the worst away, if that is worse than r.
func (o *site) evict(r mitigation.Rank) bool {
	for worst := mitigation.Ranks - 1; worst > r; worst-- {
		if n := len(o.line[worst]); n > 0 {
			j := o.line[worst][n-1]
			o.line[worst] = o.line[worst][:n-1]
			o.waiting--
			o.shed(j)
			return true
		}
	}
	return false
}

func (o *site) shed(j *job) { o.s.answered(j, traffic.Outcome{Shed: true, Status: 503}) }

func (o *site) start(j *job) {
	o.flight++
	j.sent = o.s.now()
	if o.down {
		o.finish(j, 502)
		return
	}
	if o.busy == workers {
		o.queue = append(o.queue, j)
		return
	}
	o.serve(j)
}

func (o *site) serve(j *job) {
	o.busy++
	cost := j.cost
	if cost == 0 {
		cost = 1
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(j.v.Path))
	took := time.Duration(cost*float64(o.work)) + time.Duration(h.Sum32()%400)*time.Microsecond
	if j.v.Kind == traffic.KindAsset {
		took = took/10 + 1
	}
	o.s.after(took, func() {
		o.busy--
		if len(o.queue) > 0 {
			next := o.queue[0]
			o.queue = o.queue[1:]
			o.serve(next)
		}
		o.finish(j, cmp.Or(j.status, 200))
	})
}

func (o *site) finish(j *job, status int) {
	o.flight--
	o.s.answered(j, traffic.Outcome{
		Reached: true, Status: status, Failed: status >= 500, Waited: j.sent.Sub(j.at), OriginTime: max(o.s.now().Sub(j.sent), 1),
	})
	o.dispatch()
}

// dispatch lets go who waits, the best rank first.
func (o *site) dispatch() {
	for r := range o.line {
		for len(o.line[r]) > 0 && o.flight < inFlight {
			j := o.line[r][0]
			o.line[r] = o.line[r][1:]
			o.waiting--
			o.start(j)
		}
	}
}

// tick sends away whose patience is over.
func (o *site) tick() {
	now := o.s.now()
	for r := range o.line {
		for len(o.line[r]) > 0 && now.Sub(o.line[r][0].at) > patience[r] {
			j := o.line[r][0]
			o.line[r] = o.line[r][1:]
			o.waiting--
			o.shed(j)
		}
	}
}

// shapeOf is the fingerprint of a query's parameters' names.
func shapeOf(query string) uint64 {
	if query == "" {
		return 0
	}
	h := fnv.New64a()
	for p := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(p, "=")
		_, _ = h.Write([]byte(name + "&"))
	}
	return h.Sum64()
}
