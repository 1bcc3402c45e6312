// Package accesslog reads the access logs of web servers, one line at a time.
//
// In: lines, in one of the known forms or in one that its owner describes as nginx and
// Apache do (ParseFormat); Guess finds which it is. Out: an Entry for each line.
//
// The lines are a stranger's: visitors wrote half of them. Whatever is in them, Parse
// returns an Entry or says why not, and never panics. It keeps nothing of a line: the
// strings of an Entry are parts of the line, or its own where the line has escapes. Else
// nothing is allocated.
//
// Units: time.Time in UTC, time.Duration, bytes of bodies.
package accesslog
