// Package callers keeps something about those who come often, in a table of fixed size.
//
// In: prefixes, with how much each counts. Out: what is kept of each. Who comes for the
// first time takes the place of whoever came least among eight; so that many who come
// once push out nobody who comes often. Memory is fixed when a table is made.
//
// The hash is no secret, so that the same input does the same in every process: who
// can choose addresses can have one entry pushed out by another. Decide nothing by it
// that would then hurt anybody.
//
// No clock, no I/O. Not safe for concurrent use.
package callers
