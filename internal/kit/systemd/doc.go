// Package systemd speaks the two small protocols between a service and the service
// manager that starts it: sockets that come with the process (sd_listen_fds(3)), and
// what the service tells of itself (sd_notify(3)). Other managers speak them too.
//
// In: environment variables, which are taken out of the environment so that no child
// takes them for its own, and lines to tell. Out: files, and datagrams. Where no
// manager is there, there are no sockets, and telling does nothing.
package systemd
