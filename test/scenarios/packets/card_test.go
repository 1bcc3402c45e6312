package packets

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// asCard makes an end of the wire, in this process's namespace, behave as a
// network card would.
//
// It sends packets as a wire carries them: with their checksums and no larger
// than its MTU, which virtual interfaces leave for others to do.
func asCard(name string) error {
	for _, f := range []struct{ command, value uint32 }{
		{unix.ETHTOOL_SGRO, 1}, {unix.ETHTOOL_STSO, 0}, {unix.ETHTOOL_SGSO, 0}, {unix.ETHTOOL_STXCSUM, 0},
	} {
		if err := ethtool(name, f.command, f.value); err != nil {
			return err
		}
	}
	return nil
}

func ethtool(name string, command, value uint32) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	what := struct{ command, value uint32 }{command, value}
	var request struct {
		name [unix.IFNAMSIZ]byte
		what unsafe.Pointer
		_    [16]byte
	}
	copy(request.name[:], name)
	request.what = unsafe.Pointer(&what)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return fmt.Errorf("ethtool %s %#x: %w", name, command, errno)
	}
	return nil
}
