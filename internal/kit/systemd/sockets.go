package systemd

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// first is the first descriptor that may be a socket (SD_LISTEN_FDS_START).
const first = 3

// most is how many sockets are believed to have come.
const most = 1024

// Sockets returns the sockets that came with this process, each under the name that
// the manager gave it. There are none where another process was meant.
func Sockets() ([]*os.File, error) {
	pid, count, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	for _, v := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		if err := os.Unsetenv(v); err != nil {
			return nil, fmt.Errorf("take sockets from the service manager: %w", err)
		}
	}
	if pid != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > most {
		return nil, fmt.Errorf("take sockets from the service manager: LISTEN_FDS is %q", count)
	}
	list := strings.Split(names, ":")
	var out []*os.File
	for i := range n {
		name := "unknown" // as sd_listen_fds_with_names(3) has it
		if names != "" && i < len(list) {
			name = list[i]
		}
		syscall.CloseOnExec(first + i)
		f := os.NewFile(uintptr(first+i), name)
		if f == nil {
			return nil, fmt.Errorf("take sockets from the service manager: there is no descriptor %d", first+i)
		}
		out = append(out, f)
	}
	return out, nil
}
