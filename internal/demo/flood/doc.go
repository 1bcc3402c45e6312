// Package flood makes bounded floods of HTTP requests against loopback
// addresses, to show and to measure what a defence does about them.
//
// It can reach nothing else: Resolve refuses every target that is not a
// loopback address, and the connections go to the very address that it
// returned. Rate, time, sources and connections have ceilings in code.
//
// Two kinds. Run is a botnet: many sources, each at a steady rate of its own on
// keep-alive connections, whether or not it is answered (an open loop; what a
// source cannot send because all its connections still wait is counted as
// held). Spread is one relay that tells of very many clients, one request each,
// pipelined, to fill tables.
//
// In: a Config, and a channel or context that ends it. Out: Counts, cumulative.
// Sources prove nothing about their addresses: the Preface tells the target,
// which must believe this machine for it to matter. No goroutine outlives Run
// or Spread.
package flood
