//go:build unix

package serve

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	environment     = "PG_POOL_EXPORTER_SOCKET_DIR"
	systemDirectory = "/run/pg-pool-exporter"
	maxSlots        = 1000
	readWriteSearch = 7
	// Opens nothing, only names a file: package syscall lacks it.
	linuxPath = 0x200000
)

// directory is where the exporter looks: the rules are those of its documentation.
func directory() string {
	if named := os.Getenv(environment); named != "" {
		return named
	}
	if syscall.Access(systemDirectory, readWriteSearch) == nil {
		return systemDirectory
	}
	if own := os.Getenv("XDG_RUNTIME_DIR"); own != "" && syscall.Access(own, 3) == nil {
		return filepath.Join(own, "pg-pool-exporter")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("pg-pool-exporter-%d", os.Getuid()))
}

// makeDirectory creates it for this user alone, and refuses one that another user controls.
func makeDirectory(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	found, err := os.Lstat(path)
	if err != nil {
		return err
	}
	owner, mode := int(found.Sys().(*syscall.Stat_t).Uid), found.Mode()
	switch {
	case !mode.IsDir():
		return fmt.Errorf("%s is no directory: name the directory itself, not a link to it", path)
	case owner != 0 && owner != os.Geteuid():
		return fmt.Errorf("%s belongs to user %d: it must belong to root or to this user", path, owner)
	case mode&0o002 != 0 && mode&os.ModeSticky == 0:
		return fmt.Errorf("%s can be written by everybody: chmod o-w or chmod +t, or set %s to a "+
			"folder in it", path, environment)
	case syscall.Access(path, 3) != nil:
		return fmt.Errorf("%s can't be written by user %d: is it in the directory's group?",
			path, os.Geteuid())
	}
	return nil
}

// slot is the number of this process among those of its application, with its lock file. The
// kernel takes the lock back when the process ends, however it ends.
type slot struct {
	directory, prefix string
	number            int
	lock              *os.File
}

// takeSlot takes the lowest free number.
func takeSlot(path, app string) (*slot, error) {
	if err := makeDirectory(path); err != nil {
		return nil, err
	}
	for number := range maxSlots {
		s := &slot{directory: path, prefix: filePrefix(app), number: number}
		if s.take() == nil {
			return s, nil
		}
	}
	return nil, fmt.Errorf("all %d numbers of the application are taken in %s", maxSlots, path)
}

func (s *slot) path(suffix string) string {
	return filepath.Join(s.directory, fmt.Sprintf("%s-%d%s", s.prefix, s.number, suffix))
}

func (s *slot) take() error {
	if !isOursToBind(s.path(".sock")) {
		return syscall.EEXIST
	}
	// No fifo holds us up, no link leads us elsewhere.
	flags := os.O_RDWR | os.O_CREATE | syscall.O_NOFOLLOW | syscall.O_NONBLOCK
	file, err := os.OpenFile(s.path(".lock"), flags, 0o600)
	if err != nil {
		return err
	}
	found, err := file.Stat()
	if err == nil && (!found.Mode().IsRegular() || !isOwn(found)) {
		err = syscall.EPERM
	}
	if err == nil {
		// A record lock, like the other clients'.
		err = syscall.FcntlFlock(file.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK})
	}
	if err != nil {
		_ = file.Close()
		return err
	}
	s.lock = file
	return nil
}

// listen binds under a temporary name, then renames: readers find it whole, with its final mode.
func (s *slot) listen() (net.Listener, os.FileInfo, error) {
	temporary := filepath.Join(s.directory, fmt.Sprintf(".%d-%x", os.Getpid(), time.Now().UnixNano()))
	listener, err := net.Listen("unix", temporary)
	if err != nil {
		return nil, nil, err
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	found, err := os.Lstat(temporary)
	if err == nil {
		err = openToGroup(temporary)
	}
	if err == nil {
		err = os.Rename(temporary, s.path(".sock"))
	}
	if err != nil {
		_ = listener.Close()
		_ = os.Remove(temporary)
		return nil, nil, err
	}
	s.removeDead()
	return listener, found, nil
}

// inPlace says whether readers still find this very socket, and the number is still ours.
func (s *slot) inPlace(bound os.FileInfo) bool {
	socket, err := os.Lstat(s.path(".sock"))
	if err != nil || !os.SameFile(socket, bound) {
		return false
	}
	locked, err := s.lock.Stat()
	found, other := os.Lstat(s.path(".lock"))
	return err == nil && other == nil && os.SameFile(locked, found)
}

// removeDead removes the sockets of this user's processes that have ended.
func (s *slot) removeDead() {
	sockets, _ := filepath.Glob(filepath.Join(s.directory, s.prefix+"-*.sock"))
	for _, path := range sockets[:min(len(sockets), maxSlots)] {
		if path == s.path(".sock") || !isOursToBind(path) {
			continue
		}
		connection, err := net.DialTimeout("unix", path, time.Second)
		if err == nil {
			_ = connection.Close()
		} else if errors.Is(err, syscall.ECONNREFUSED) {
			_ = os.Remove(path)
		}
	}
}

// isOursToBind says whether nothing but a socket of this user stands there.
func isOursToBind(path string) bool {
	found, err := os.Lstat(path)
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	return found.Mode()&os.ModeSocket != 0 && isOwn(found)
}

func isOwn(found os.FileInfo) bool {
	return int(found.Sys().(*syscall.Stat_t).Uid) == os.Geteuid()
}

// openToGroup lets the group connect. It changes the mode of nothing but a socket of ours: somebody
// in the group may have put a link in its place.
func openToGroup(path string) error {
	if runtime.GOOS != "linux" {
		return nil
	}
	descriptor, err := syscall.Open(path, linuxPath|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(descriptor), path)
	defer func() { _ = file.Close() }()
	found, err := file.Stat()
	if err != nil || found.Mode()&os.ModeSocket == 0 || !isOwn(found) {
		return fmt.Errorf("%s is not the socket that was bound there", path)
	}
	return os.Chmod(fmt.Sprintf("/proc/self/fd/%d", descriptor), 0o660)
}

var notPlain = regexp.MustCompile(`[^A-Za-z0-9_.-]`)

// filePrefix is the application's name as it may stand in a file name, different for each name.
func filePrefix(app string) string {
	plain := notPlain.ReplaceAllString(app, "_")
	plain = strings.TrimLeft(plain[:min(len(plain), 32)], ".-")
	if plain == app {
		return plain
	}
	digest := sha256.Sum256([]byte(app))
	return plain + "." + hex.EncodeToString(digest[:])[:6]
}
