// Package demo shows Seawall at work on one machine: a small campaign site,
// ordinary visitors, Seawall in front, and then a flood by a botnet. All of it
// stays on loopback; where visitors and bots come from is told by PROXY
// protocol, which Seawall believes from this machine only.
//
// The site, the flood and Seawall are processes of their own: Run starts its
// own program again in other roles (RunRole), speaks to them by lines of JSON,
// and ends every one of them by its process number, also when it is interrupted;
// should Run itself be killed, they end with it. The visitors live in Run.
//
// In: Options, and an Env that says how to start the roles and Seawall and
// which addresses a country has. Out: a live view, a Summary, and an error if
// something broke. What Seawall says of itself is read from its admin API; what
// reached the site is counted by the site, and what visitors felt by the
// visitors, so that nobody has to take Seawall's word for it.
package demo
