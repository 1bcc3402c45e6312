// Package app is the only place that wires rooms together: door.go has the
// deciders in the order in which a request meets them, rooms.go the handlers
// behind the door, detectors.go the detectors, lifecycle.go start, reload,
// drain and stop. shield.go is the running program as the operator's API sees
// it.
//
// charge.go has what there can be one of on a data folder, and who works on it.
// handover.go gives that to a new process (the old one's side, and takeOver the new
// one's), and takes it back from one that fails: at each moment one process steers,
// and at least one accepts connections.
//
// In: a checked config.Config. Out: a running shield. It owns every goroutine
// that the rooms need, and ends them all when its context does. It fails open:
// where a part of Seawall cannot work, traffic passes and the operator is told.
package app
