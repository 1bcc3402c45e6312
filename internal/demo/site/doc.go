// Package site is a small campaign site to try Seawall on: pages, news with
// comments, an RSS feed, a donation form that asks for a public name apart from
// the legal one, a donors' feed, sign-ups, and a poster tool that renders a
// printable PDF and is expensive to call.
//
// Everybody in it is made up: donors are called after colours and water birds.
//
// It has the limits of a real site on a small server. Every request takes one
// of a few workers for a while, those that find no worker free stand in one
// long line, and nobody in that line is told to hurry. So it answers a fixed
// number of requests a second, and a flood makes everybody wait.
//
// In: HTTP requests; whoever serves the Handler says by RemoteAddr or by
// X-Forwarded-For who asked. Out: answers whose bodies each end in a mark (Mark,
// Check), so that a client can tell that the right body came back, and Stats,
// which tell requests of known visitors from all others.
//
// What visitors type is kept in memory only, bounded, newest first. Safe for
// concurrent use.
package site
