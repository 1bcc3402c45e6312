package proxy

// turn is a place in an order. What decides of it stands here, so that nobody's waiter is
// looked at for it.
type turn struct {
	tag    float64
	number uint64
	w      *waiter
}

func turnOf(w *waiter) turn { return turn{w.bill.tag, w.number, w} }

// before says whose turn it is under overload: that of the lowest tag, and of those with
// the same, of who came last.
func (t turn) before(u turn) bool {
	if t.tag != u.tag {
		return t.tag < u.tag
	}
	return t.number > u.number
}

// The ends from which an order is looked at.
const (
	fromFront = iota // the one whose turn it is stands at the top
	fromBack         // the one who would go last does
	ends
)

// order is the waiters of a line as a binary heap, of which the top is at hand.
type order struct {
	end   int
	turns []turn
}

// top is who stands at the order's end; there must be somebody.
func (o *order) top() turn { return o.turns[0] }

func (o *order) above(t, u turn) bool {
	if o.end == fromBack {
		return u.before(t)
	}
	return t.before(u)
}

func (o *order) add(w *waiter) {
	o.turns = append(o.turns, turn{})
	o.up(len(o.turns)-1, turnOf(w))
}

func (o *order) remove(w *waiter) {
	at, end := w.at[o.end], len(o.turns)-1
	moved := o.turns[end]
	o.turns[end] = turn{}
	o.turns = o.turns[:end]
	switch {
	case at == end:
	case at > 0 && o.above(moved, o.turns[(at-1)/2]):
		o.up(at, moved)
	default:
		o.down(at, moved)
	}
}

func (o *order) put(i int, t turn) { o.turns[i], t.w.at[o.end] = t, i }

// up finds the place for a turn, from i towards the top.
func (o *order) up(i int, t turn) {
	for i > 0 && o.above(t, o.turns[(i-1)/2]) {
		o.put(i, o.turns[(i-1)/2])
		i = (i - 1) / 2
	}
	o.put(i, t)
}

// down finds the place for a turn, from i away from the top.
func (o *order) down(i int, t turn) {
	for kid := 2*i + 1; kid < len(o.turns); kid = 2*i + 1 {
		if kid+1 < len(o.turns) && o.above(o.turns[kid+1], o.turns[kid]) {
			kid++
		}
		if !o.above(o.turns[kid], t) {
			break
		}
		o.put(i, o.turns[kid])
		i = kid
	}
	o.put(i, t)
}
