// Package geo says in which country an address is registered and which network
// (autonomous system) announces it, with no set-up and no question asked of
// anybody.
//
// In: a compact table that is part of the program (geodata.bin, made by
// `make geodata` from public data, see NOTICE-geodata.txt), or the operator's
// own MMDB files. Out: Places, whose Lookup the request path calls for every
// request: no allocation, no lock, no heap.
//
// A country is where an address is registered. It says nothing about where a
// person is, and nothing about who sent what from there.
//
// The table is read where it lies: the embedded bytes are mapped from the
// program file, so they cost no heap, and only the pages that are looked at
// stay resident once Load has checked them. A damaged table is an error of
// Load; a loaded one cannot make Lookup fail or read outside itself.
// An address that no source knows has the zero Country and network 0.
//
// IPv4 is kept to the single address. IPv6 is kept to the /64: the value of a
// /64 is that of its first address.
package geo
