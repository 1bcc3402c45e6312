// Package httpflood finds floods of HTTP requests, and tells them from crowds.
//
// In: one traffic.Window a second, in order, each with the traffic.Normal that
// held when it was cut; and, ten times a second, a Window that holds nothing
// but plain counters (Blatant). Out: findings, at most one a window: an
// attack.HTTPFlood or an attack.FlashCrowd.
//
// Demand alone is never an attack. A finding needs demand clearly above normal
// and a shape that people do not have: nobody fetches the assets of the pages
// read, nobody brings our cookie back, clients with a poor standing dominate,
// one path or one program dominates much more than usual, or a few clients ask
// far more than a busy ordinary one. What is judged is the excess: the window
// less what normal explains, so that ordinary visitors do not hide a flood.
// Where a site has no assets or sets no cookie, those questions stay unasked.
// An origin that suffers lowers how much shape is needed; a crowd with an
// ordinary shape stays a crowd even if the origin suffers from it.
//
// A flood that was found goes on while what is refused goes on, or what the
// packet filter's block list stops (Window.Packets): at least five packets a
// second, and twice as many as in peace. Packets never begin a flood here.
//
// It keeps no clock and does no I/O: fed the same windows, a Detector finds the
// same. Memory is constant. It fails open: with no normal it needs more to
// speak. Not safe for concurrent use.
package httpflood
