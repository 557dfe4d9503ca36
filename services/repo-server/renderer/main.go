// Command renderer renders kustomizations, Helm charts and Jsonnet files for naru-repo-server.
//
// It is a warm worker: jobs come in and results go out as length-prefixed JSON frames over stdin and stdout, and the
// files of a job are asked for over the same pipe. It deliberately has no disk, no network and no child processes: what
// the library could reach by itself is closed here as well as by the sandbox that it is started in.
package main

import (
	"bufio"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"sigs.k8s.io/kustomize/kyaml/openapi"
)

func main() {
	// Whatever a job manages to reach in the library: no network and no program to start.
	http.DefaultTransport = closedNetwork{}
	os.Clearenv()
	log.SetOutput(io.Discard)
	pristine = processState()

	pipe := &pipe{in: bufio.NewReaderSize(watched(os.Stdin), 64<<10), out: bufio.NewWriterSize(os.Stdout, 64<<10)}
	for {
		var request jobRequest
		if err := pipe.read(&request); err != nil {
			if errors.Is(err, io.EOF) {
				return
			}
			os.Exit(2)
		}
		if err := pipe.write(run(pipe, request.Job)); err != nil {
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

// watched reads from the service ahead of the jobs, so that its end, which closes the pipe, also ends a job that would go on
// for ever: nobody is left to stop it.
func watched(from io.Reader) io.Reader {
	out, in := io.Pipe()
	go func() {
		_, _ = io.Copy(in, from)
		os.Exit(0)
	}()
	return out
}

// closedNetwork is the transport of every HTTP client that names none.
type closedNetwork struct{}

func (closedNetwork) RoundTrip(request *http.Request) (*http.Response, error) {
	return nil, errors.New("the network is closed here; copy " + request.URL.Redacted() + " into the repository")
}
