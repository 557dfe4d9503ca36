// Command renderer renders kustomizations, Helm charts and Jsonnet files for naru-repo-server.
//
// It is a warm worker: jobs come in and results go out as length-prefixed frames over stdin and stdout, and the files of a
// job are asked for over the same pipe. It deliberately has no disk, no network and no child processes: what the library
// could reach by itself is closed here as well as by the sandbox that it is started in.
package main

import (
	"bufio"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"
	// Time zones: the files that a system has of them are out of a worker's sight.
	_ "time/tzdata"

	"golang.org/x/sys/unix"
	"sigs.k8s.io/kustomize/kyaml/openapi"
)

// garbage is how much of it may gather before it is collected, in percent of what is alive. A job leaves many times what
// stays, and what stays is small: collecting at once costs a third of the time and saves memory that nobody else needs.
const garbage = 600

func main() {
	// Whatever a job manages to reach in the library: no network and no program to start.
	http.DefaultTransport = closedNetwork{}
	os.Clearenv()
	debug.SetGCPercent(garbage)
	log.SetOutput(io.Discard)
	pristine = processState()

	go endWith(os.Stdin)
	pipe := &pipe{in: bufio.NewReaderSize(os.Stdin, 64<<10), out: bufio.NewWriterSize(os.Stdout, 64<<10)}
	for {
		var request jobRequest
		if err := pipe.read(&request); err != nil {
			if errors.Is(err, io.EOF) {
				return
			}
			os.Exit(2)
		}
		if err := pipe.end(run(pipe, request)); err != nil {
			os.Exit(2)
		}
	}
}

// state is what jobs share in the process.
type state struct {
	folder, zone, schema, environment string
	transport                         http.RoundTripper
}

// pristine is how the process was before its first job.
var pristine state

// processState is what a job must leave as the process began.
func processState() state {
	folder, _ := os.Getwd()
	return state{
		folder:      folder,
		zone:        time.Local.String(),
		schema:      openapi.GetSchemaVersion(),
		environment: strings.Join(os.Environ(), "\n"),
		transport:   http.DefaultTransport,
	}
}

// endWith ends the process when the service has closed the pipe, though a job goes on for ever: nobody is left to stop it.
func endWith(pipe *os.File) {
	watched := []unix.PollFd{{Fd: int32(pipe.Fd())}}
	for {
		// Nothing is waited for but the other end's going, which is always told.
		if _, err := unix.Poll(watched, -1); err != nil && !errors.Is(err, unix.EINTR) {
			os.Exit(2)
		}
		if watched[0].Revents != 0 {
			os.Exit(0)
		}
	}
}

// closedNetwork is the transport of every HTTP client that names none.
type closedNetwork struct{}

func (closedNetwork) RoundTrip(request *http.Request) (*http.Response, error) {
	return nil, errors.New("the network is closed here; copy " + request.URL.Redacted() + " into the repository")
}
