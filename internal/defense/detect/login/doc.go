// Package login finds floods of logins and forms, and passwords that are tried too
// slowly to be a flood.
//
// In: one traffic.Window a second, in order, each with the traffic.Normal that held
// when it was cut. Out: at most one attack.FormFlood and one attack.PasswordGuessing a
// window.
//
// A flood is much more POSTs to one page than usual, of clients that do nothing that
// browsers do by themselves; where visitors cannot be told by that, or nothing is known
// of the site, of attempts to log in that fail.
//
// Guessing is judged over a minute, of POSTs to pages where people log in (by their
// names): one client that fails often, or many clients that together fail much more
// often than usual. An answer 401, 403 or 429 is a failure everywhere; 200 is one
// at WordPress, which answers success with a redirect, and elsewhere a doubtful one where
// it is not the usual answer. A redirect is taken for success.
//
// It keeps no clock and does no I/O: fed the same windows, a Detector finds the same.
// Memory is constant (512 clients); a window's samples bound the work. It fails open.
// Not safe for concurrent use.
package login
