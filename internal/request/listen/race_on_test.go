//go:build race

package listen

// paceOfHellos is how many hellos a second TestFloodOfHandshakes sends at most. With the race
// detector a handshake takes several times as long, and a hello hardly longer: as many as
// without it would be another flood.
const paceOfHellos = 2000

// strangers is how many connect in that flood, one after the other: each waits for seconds.
const strangers = 5
