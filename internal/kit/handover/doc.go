// Package handover replaces a running program by a new process without closing
// the sockets that it listens on. It knows nothing of what the program is.
//
// # What flows in and out
//
// The old process starts the new one (Start) with copies of its sockets and one
// end of a socket pair. They speak in short messages, one a packet:
//
//	new: ready          it has checked all that it can without taking anything over
//	new: no REASON      it gives up; the old one keeps everything
//	old: go             what there can be only one of has been let go
//	new: serving        it has all of that, and serves
//
// That a process is gone shows at the other end at once, whatever it died of. A new
// one that waits for "go" and finds the old one gone goes on as if told to: nobody
// else will, and locks that the dead held are free.
//
// Messages may be added; a process ignores those that it does not know, since the
// other one may be of any release.
//
// # Descriptors
//
// The new process finds the socket pair at descriptor 3, the sockets behind it, and
// their names as a JSON list in the variable of Variable. The sockets are shared:
// both processes may accept from them, and one that is closed by the one goes on at
// the other. Files handed out belong to the caller.
//
// A copy must not be made with (*net.TCPListener).File: os/exec asks such a file
// for its number, which makes the socket a blocking one for all who share it, the
// old process's accepting included. Copy does it otherwise.
package handover
