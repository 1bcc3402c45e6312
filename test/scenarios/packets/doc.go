// Package packets floods a server with packets, as an attacker with the network's
// full rate would, and looks at those who have nothing to do with it: visitors,
// and the host's own DNS, SSH and mail. Everything happens in two network
// namespaces with a wire between them; nothing leaves the machine.
package packets
