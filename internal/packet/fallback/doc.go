// Package fallback stands in for the packet filter where XDP cannot be had: it
// keeps the lists of who is blocked and who is allowed in a table of nftables,
// and knows nothing but lists.
//
// # What flows in and out
//
// In: the ports to protect, interfaces (Attach), prefixes to block and to allow,
// and a renewed lease every few seconds. Out: packets that pass or do not, and
// Counts.
//
// The table has a chain at prerouting, before connection tracking, for what comes
// in at the interfaces for the ports. There is a hash set for each prefix length
// in use, not one interval set: intervals must not overlap, and a network and
// somebody in it may well both be banned. The allow list is asked about packets
// that would be dropped, and only about those.
//
// # Failing
//
// It fails open. nftables cannot ask for a heartbeat, so what the machine blocks
// stands for no longer than the lease, and is set anew while that is renewed:
// after a crash it ends within the lease. What people block, and who is allowed,
// stands until it ends or the table is removed. A table that somebody else has
// emptied or deleted, as a reload of the host's firewall does, is made anew with
// the next Renew. Without the rights or the kernel for it: ErrUnsupported.
//
// # Units, ownership, bounds
//
// Every change is one transaction: packets meet the old lists or the new ones. The
// lists are also kept in memory, within the bounds of Options. Lists are safe for
// concurrent use. The table belongs to whoever made it last.
package fallback
