// Package sign finds what a flood has in common that ordinary traffic has not.
//
// In: a finding, the samples of the window it was found in (ordinary visitors
// among them) and traffic.Normal with its sample of ordinary requests. Out:
// at most eight signatures, cleanest first, which together describe as much of
// the flood as can be described, each with what it would hit besides.
//
// How: the flood's part of every trait is estimated by subtraction (samples
// that show it, less what ordinary traffic would have shown), then conjunctions
// of traits are grown from each promising one: first every trait that costs the
// flood's coverage nothing, which only makes the match narrower, then traits
// that spare ordinary traffic. Traits that are spread out over many keys never
// become candidates. What a signature would do to first visits is tested by
// asking of every ordinary page request: what if this one had come from
// somebody new, with no cookie? For a sample of ordinary traffic knows the
// visitors of the last minutes, not those of the next.
//
// Each signature is then measured on what it was not mined from (judge.go): the ordinary
// requests of the last day and week, of which the largest share counts, and the known
// visitors of the last hour; with a confidence interval, and examples of the flood. Again
// does the same later, with a signature of an earlier flood.
//
// Packets does the same with packets: conjunctions of what their headers and the
// beginning of their payload show, tested against ordinary packets, and besides
// against those that ask for a connection, few as they are. What may be the
// packets of one visitor is never described, however much of the window it is;
// a range or a list of values is made where one value does not do. Where packets
// come from may narrow a description and makes none, for sources are forged.
//
// Where somebody's address is registered, or in which network, may narrow a
// signature but never makes one.
//
// It is a pure function: the same input gives the same signatures in the same
// order. Work is bounded by 2,000 samples of the flood and 4,000 ordinary ones
// (more are thinned out evenly): a few milliseconds, some tens for packets.
package sign
