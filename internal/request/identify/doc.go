// Package identify says who a request comes from and what it wants: the client's
// address behind trusted proxies, its country and network, the shape of its
// query, the kind of content asked for, and the clearance that it brings back.
//
// In: a traffic.Visit that listen has begun and the request's headers. Out: the
// same Visit with Client, Country, Network, Host, QueryShape, Kind, Clearance,
// ClearanceID and ClearanceAt filled. Identify belongs to the door: it does no
// I/O, takes no lock, allocates nothing for ordinary requests, and its work is
// bounded whatever is sent.
//
// A clearance is a small first-party cookie that only we can write or read. It
// says that somebody took an answer of ours and came back with what was in it;
// no more. It carries a random number, when it was issued, until when it is
// good, and what it is bound to: a keyed hash of the wide prefix it was issued
// to (/24, /48) and the header-order fingerprint. One of the two must still fit,
// since telephones change networks and browsers get updated. Nothing about it is
// kept on the server. One clearance can be copied to many machines, so whoever
// grants it rights counts by ClearanceID.
//
// Room is the part behind the door: it takes our cookie out of what goes to the
// origin and adds a clearance to answers that are pages.
//
// Addresses in X-Forwarded-For and Forwarded are believed only as far as trusted
// proxies have written them. What is malformed is not believed, nor what stands
// left of it: the client is then the nearest address that is certain. A cookie
// that does not open makes the visitor unknown, never refused.
//
// An *Identify is safe for concurrent use. The Visit's strings stay the
// request's. Times are wall time where they leave the process (in cookies).
package identify
