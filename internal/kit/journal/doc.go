// Package journal keeps what must outlive a crash: mitigations, bans,
// baselines. It is a file of records that only grows at its end, until a
// snapshot of what still matters takes its place.
//
// In: records, opaque bytes of at most MaxRecord. Out: the same records, oldest
// first, after any crash at any moment. What has been appended is on the disk
// (fsync) within Options.FlushEvery, 100 ms at most; Sync waits for that. The
// file never outgrows Options.MaxBytes: Append then fails with ErrFull until
// Compact has made room.
//
// Each record has a length and a checksum. A record that was being written when
// the power went is cut off at the next Open, and a damaged one in the middle is
// passed over; both are counted in Recovered and neither hides the records
// around it. A file that is no journal, or whose head is damaged, is an error and is
// left alone.
//
// A Journal is safe for concurrent use. Append never waits for the disk. One
// goroutine commits; Close ends it. One process at a time may have a journal
// open (flock). Records handed out belong to the journal and are valid during
// the call only; records handed in are copied.
//
// A disk error makes Append and Sync fail with it, and with nothing else, until
// a Compact succeeds: whoever owns the journal tells the operator, and goes on
// without it (fail-open).
package journal
