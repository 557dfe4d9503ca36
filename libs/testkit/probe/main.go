// Command probe tries what a program in a sandbox must not be able to do, one try a line, and says how each went: `ok`,
// or what the kernel said. Without a sandbox every try succeeds, which shows that it was a real one.
//
// Spoken to in the frames of the renderer instead of lines, it is a renderer that misbehaves; see worker.go.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// secret is what another process tries to read out of this one's memory.
var secret = []byte("a secret in memory")

func main() {
	in := bufio.NewReaderSize(os.Stdin, 64<<10)
	// The length of a frame begins with a zero, no word does.
	if first, err := in.Peek(1); err == nil && first[0] == 0 {
		misbehave(in)
		return
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		fmt.Println(try(strings.Fields(line)))
	}
}

func try(words []string) string {
	word := func(at int) string {
		if at < len(words) {
			return words[at]
		}
		return ""
	}
	number := func(at int) int {
		n, _ := strconv.Atoi(word(at))
		return n
	}
	said, err := attempt(word(0), word(1), word(2), number(1), number(2))
	var errno syscall.Errno
	switch {
	case err == nil && said == "":
		return "ok"
	case err == nil:
		return said
	case errors.As(err, &errno):
		return errno.Error()
	default:
		return err.Error()
	}
}

func attempt(what, first, second string, number, other int) (string, error) {
	switch what {
	case "read":
		_, err := os.ReadFile(first)
		return "", err
	case "list":
		_, err := os.ReadDir(first)
		return "", err
	case "stat":
		_, err := os.Stat(first)
		return "", err
	case "readlink":
		_, err := os.Readlink(first)
		return "", err
	case "write":
		return "", os.WriteFile(first, []byte("x"), 0o600)
	case "remove":
		return "", os.Remove(first)
	case "rename":
		return "", os.Rename(first, second)
	case "link":
		return "", os.Link(first, second)
	case "symlink":
		return "", os.Symlink(first, second)
	case "mkdir":
		return "", os.Mkdir(first, 0o700)
	case "chmod":
		return "", os.Chmod(first, 0o600)
	case "times":
		return "", os.Chtimes(first, time.Unix(1, 0), time.Unix(1, 0))
	case "truncate":
		return "", os.Truncate(first, 0)
	case "watch":
		return "", watch(first)
	case "tcp", "udp", "unix":
		return "", send(what, first)
	case "listen":
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err == nil {
			err = listener.Close()
		}
		return "", err
	case "pair":
		_, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		return "", err
	case "start":
		_, err := syscall.ForkExec(first, []string{first}, &syscall.ProcAttr{})
		return "", err
	case "fork":
		return "", fork()
	case "become":
		// Says `ok` as the other program.
		return "", syscall.Exec(first, []string{first, "ok"}, nil)
	case "kill":
		return "", syscall.Kill(number, syscall.SIGKILL)
	case "killthread":
		return "", call(syscall.SYS_TGKILL, uintptr(number), uintptr(number), uintptr(syscall.SIGKILL))
	case "trace":
		return "", trace(number)
	case "limit":
		return "", limit(number)
	case "nice":
		return "", syscall.Setpriority(syscall.PRIO_PROCESS, number, 5)
	case "pin":
		mask := ^uintptr(0)
		return "", call(syscall.SYS_SCHED_SETAFFINITY, uintptr(number), unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask)))
	case "memory":
		return "", remember(number, uintptr(other))
	case "memoryfile":
		return "", readMemoryFile(number, int64(other))
	case "shared":
		// Shared memory is not counted as data.
		_, err := syscall.Mmap(-1, 0, 64<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED|syscall.MAP_ANON)
		return "", err
	case "segment":
		return "", segment()
	case "memfd":
		name := []byte("x\x00")
		return "", call(sysMemfdCreate, uintptr(unsafe.Pointer(&name[0])), 0, 0)
	case "parent":
		return strconv.Itoa(os.Getppid()), nil
	case "secret":
		// Whoever may at all may read it, whatever the machine says of tracing.
		_ = call(syscall.SYS_PRCTL, prSetPtracer, ^uintptr(0), 0)
		return fmt.Sprintf("%d %d", os.Getpid(), uintptr(unsafe.Pointer(&secret[0]))), nil
	case "environment":
		names := []string{}
		for _, one := range os.Environ() {
			names = append(names, strings.SplitN(one, "=", 2)[0])
		}
		sort.Strings(names)
		return strings.Join(names, " "), nil
	case "descriptor":
		_, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(number), syscall.F_GETFD, 0)
		return "", asError(errno)
	default:
		return "", errors.New("no such try: " + what)
	}
}

const prSetPtracer = 0x59616d61

func asError(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

func call(number, a, b, c uintptr) error {
	_, _, errno := syscall.Syscall(number, a, b, c)
	return asError(errno)
}

func send(network, address string) error {
	connection, err := net.DialTimeout(network, address, 5*time.Second)
	if err != nil {
		return err
	}
	defer connection.Close()
	_, err = connection.Write([]byte("x"))
	return err
}

func watch(path string) error {
	descriptor, err := syscall.InotifyInit1(0)
	if err != nil {
		return err
	}
	defer syscall.Close(descriptor)
	_, err = syscall.InotifyAddWatch(descriptor, path, syscall.IN_ALL_EVENTS)
	return err
}

// fork makes a process without another program. Go cannot go on in it, so it ends at once.
func fork() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	if errno == 0 && pid == 0 {
		syscall.RawSyscall(syscall.SYS_EXIT, 0, 0, 0)
	}
	if errno == 0 {
		_, _ = syscall.Wait4(int(pid), nil, 0, nil)
	}
	return asError(errno)
}

const ptraceSeize = 0x4206

func trace(pid int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_, _, errno := syscall.Syscall6(syscall.SYS_PTRACE, ptraceSeize, uintptr(pid), 0, 0, 0, 0)
	return asError(errno)
}

// limit takes another process's files away.
func limit(pid int) error {
	limit := syscall.Rlimit{Cur: 64, Max: 64}
	_, _, errno := syscall.Syscall6(syscall.SYS_PRLIMIT64, uintptr(pid), syscall.RLIMIT_NOFILE,
		uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	return asError(errno)
}

func remember(pid int, address uintptr) error {
	found := make([]byte, len(secret))
	into := syscall.Iovec{Base: &found[0], Len: uint64(len(found))}
	from := [2]uintptr{address, uintptr(len(found))}
	_, _, errno := syscall.Syscall6(sysProcessVMReadv, uintptr(pid), uintptr(unsafe.Pointer(&into)), 1,
		uintptr(unsafe.Pointer(&from)), 1, 0)
	if errno != 0 {
		return errno
	}
	return same(found)
}

func readMemoryFile(pid int, address int64) error {
	file, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return err
	}
	defer file.Close()
	found := make([]byte, len(secret))
	if _, err := file.ReadAt(found, address); err != nil {
		return err
	}
	return same(found)
}

func same(found []byte) error {
	if !bytes.Equal(found, secret) {
		return fmt.Errorf("read %q", found)
	}
	return nil
}

// segment makes a segment of shared memory of System V, and removes it.
func segment() error {
	id, _, errno := syscall.Syscall(sysShmget, 0, 1<<20, 0o600)
	if errno != 0 {
		return errno
	}
	const remove = 0
	return call(sysShmctl, id, remove, 0)
}
