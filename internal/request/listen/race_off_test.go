//go:build !race

package listen

// paceOfHellos is how many hellos a second TestFloodOfHandshakes sends at most.
const paceOfHellos = 20_000

// strangers is how many connect in that flood, one after the other.
const strangers = 20
