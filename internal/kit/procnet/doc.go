// Package procnet reads which sockets this machine has from the files that the
// kernel shows below /proc, and which programs hold them.
//
// In: /proc as a file system, or a stand-in for it. Out: Sockets, in the order
// of the kernel's tables. It keeps nothing. Lines that it does not understand are
// left out; what cannot be read for want of rights is empty.
package procnet
