// Package bench measures whether Seawall keeps its promises: scenarios with
// bars, each bar a figure that was asked for beside the one that was measured.
// With peers, the same flood also meets nginx (limit_req) and HAProxy (a stick
// table), one after the other in the same run on the same machine.
//
// The generators are apart from what they judge, and from this room: bench
// starts the program in the demo's role "run" as a process, hands it options as
// a line of JSON and reads the summary that it prints. The names in that JSON
// are the contract between the two.
//
// In: the names of scenarios. Out: a Report. Every process that it starts is
// ended by its number; everything stays on loopback.
package bench
