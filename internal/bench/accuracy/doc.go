// Package accuracy holds made-up floods and made-up ordinary traffic against the real
// door and the real control loop, and counts what they get right and wrong.
//
// In: a World (door and loop on a clock that is set), a seed. Out: a Report: of each
// scenario whether it was noticed, after how long, what was done, and whom it hit.
//
// The generators know nothing of the detectors, and the detectors nothing of them. A
// third of the scenarios, by their names, are held out: nobody looks at those when a
// detector is changed, and both scores are told. What the requests look like was recorded
// from real programs (recorded.go). What is made up besides: who comes when, the origin
// (workers that take a while, and a line by rank in front of them), cookies, which
// are numbers here, and in the scenarios of connections what listen does (listener.go):
// it counts and tells as listen is held to (traffic/testdata/deeds.json).
//
// The same seed gives the same report, byte for byte. One goroutine; memory is that of
// the largest scenario, some tens of MiB.
package accuracy
