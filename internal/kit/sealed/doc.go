// Package sealed keeps secrets in strangers' hands: cookies that only we can
// write and read, reference codes that a person can read out over the
// telephone, and short keyed hashes. All three come from the keys of one Box.
//
// In: plain bytes and a purpose. Out: text. The purpose is bound to what is
// sealed, so that a text made for one use opens for no other. Nothing here
// knows about time: what may expire carries its own moment inside.
//
// A Box is immutable and safe for concurrent use. Callers own every buffer;
// Open, Hash and AppendCode allocate nothing when the buffer has room, and work
// in proportion to what they are given, so callers bound the length of what
// strangers send. Whatever cannot be opened is simply not opened: the caller
// fails closed by treating the visitor as unknown.
//
// Keys live in one file of the data folder (LoadOrCreate). A damaged file is an
// error and never a reason to make new keys, since new keys would make every
// visitor unknown in the middle of an attack.
package sealed
