// Package crowd is a number of ordinary visitors who read a site as people with
// browsers do, and who note what they feel.
//
// A visitor has an address of its own, one browser whose headers it sends in
// that browser's order, a cookie jar, a cache of pictures and styles (asked
// about again with If-None-Match now and then), and up to four kept-open
// HTTP/1.1 connections. It asks for a page, at once for what the page needs, reads
// for a while and follows one of the page's links; now and then it fills in a
// form.
//
// Every request is measured from the moment at which it was meant to be sent: a
// page from when the visitor would have clicked, also if it was still waiting
// for the page before; an asset from when its page had come. A click that could
// not happen at all because the page before it was still missing counts as one
// request meant and not served. So a slow site cannot look better by slowing its
// visitors down.
//
// Where an answer sends it to the page that it asked for once more, it goes there, with
// the cookies that came; what it waits for both counts.
//
// Served means: the status is 200 or 304, and the right body came back, as the
// Check handed in says.
//
// In: Config, Phase (what is measured from now on), Add (more visitors). Out:
// Felt by phase and group, and Now for the last seconds. Everything is safe for
// concurrent use. It connects to loopback addresses only. No goroutine outlives
// Run.
package crowd
