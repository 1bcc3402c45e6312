//go:build !race

package listen

// paceOfHellos is how many hellos a second TestFloodOfHandshakes sends at most.
const paceOfHellos = 20_000
