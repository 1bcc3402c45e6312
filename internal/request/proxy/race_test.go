//go:build race

package proxy

// underRace says that the race detector runs, with which everything takes about
// ten times as long.
const underRace = true
