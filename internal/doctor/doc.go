// Package doctor says what this machine and this site can bear before anybody
// attacks them: kernel, network cards, rights, limits and settings, ports that
// nobody shields, what it can drop, refuse and serve in a second, and the flood
// that nothing on it survives.
//
// In: an Env with the kernel's text (/proc and /sys as fs.FS), the network
// links, what only the owner of the packet filter can ask the kernel (Kernel),
// and what the configuration says of the site (Site). Out: a Report of findings,
// each good, poor or missing, with what to do about it, and a Measured.
//
// It changes nothing. Measuring stays in the kernel's test bench and on loopback;
// the one thing that touches an interface, a trial of native mode, is made only
// when it is asked for. What cannot be found out, for want of rights or because
// the kernel's text is not as expected, is a finding like any other, never an
// error. One file a subject; rates are per second, sizes in bytes, link speeds in
// Mbit/s.
package doctor
