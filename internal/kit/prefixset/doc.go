// Package prefixset keeps many address prefixes, each with a value and an end,
// and finds those that cover an address.
//
// In: prefixes of both families, in any number up to a fixed ceiling. Out: the
// longest prefix that covers an address and has not ended. Addresses in 4-in-6
// form count as IPv4, zones are ignored, an invalid address is covered by
// nothing.
//
// Readers never wait and allocate nothing: they read one immutable table behind
// an atomic pointer. Writers take turns and make a new table that shares what
// did not change (the persistent operations of gaissmai/bart). An entry that
// has ended is no longer found, at once; its memory comes back with Sweep, or
// when room is needed. The set keeps no clock: moments are handed in.
package prefixset
