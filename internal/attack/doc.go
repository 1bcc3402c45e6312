// Package attack holds the words for what is claimed: a Finding (a detector
// says that an attack of some Vector runs), its Facts, and a Signature (what
// the attack's requests have in common, with the share of ordinary traffic
// that has it too).
//
// It holds no behaviour beyond wording, does no I/O and keeps no clock.
package attack
