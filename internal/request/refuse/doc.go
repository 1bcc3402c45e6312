// Package refuse writes what somebody who is not let in sees.
//
// In: the visit, the door's verdict, the request's headers and a buffer. Out: a
// mitigation.Answer that any connection loop can send: HTML for people, a
// problem document (RFC 9457) for programs, plain text for feed readers and
// everything else, never HTML for a feed or an API. Each has a status, when to
// come back, and a reference code.
//
// The code is the whole record of a refusal: the mitigation, the reason, the
// minute and a short keyed hash of the client's prefix, sealed. DecodeRef reads
// it for `seawall why`; nothing is kept here.
//
// An answer costs a copy: all texts are rendered by New, and the code and the
// seconds are put between the pieces. The only allocations are a code's,
// and the last 4,096 codes are kept: in half a MiB at most.
// The answer's Body lies in the buffer handed in, which belongs to the caller
// and is grown when it is too small (MaxBody bytes are always enough).
//
// Fail-closed: there is an answer for every verdict, also for one whose reason
// it has no words for. A *Refuse is safe for concurrent use. It reads the wall
// clock for the code's minute, and does no other I/O.
package refuse
