package main

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"sigs.k8s.io/kustomize/kyaml/openapi"
)

// meddler touches something when a job asks for a file, and has no answer.
type meddler func()

func (m meddler) Read([]byte) (int, error) {
	m()
	return 0, io.EOF
}

// A job that leaves the process otherwise than it was is its worker's last, whatever it touched; one that does not is not.
func TestAJobThatTouchesTheProcessRetiresItsWorker(t *testing.T) {
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, zone, transport := t.TempDir(), time.Local, http.DefaultTransport
	pristine = processState()
	for _, one := range []struct {
		name        string
		tool        string
		touch, undo func() error
		retires     bool
	}{
		{"nothing", "jsonnet", nothing, nothing, false},
		{"nothing, with another tool", "kustomize", nothing, nothing, false},
		{"the folder", "jsonnet", func() error { return os.Chdir(elsewhere) }, func() error { return os.Chdir(folder) }, true},
		{"the zone", "jsonnet", func() error { time.Local = time.FixedZone("elsewhere", 3600); return nil },
			func() error { time.Local = zone; return nil }, true},
		{"the environment", "jsonnet", func() error { return os.Setenv("NARU_LEFT", "x") },
			func() error { return os.Unsetenv("NARU_LEFT") }, true},
		{"the network", "jsonnet", func() error { http.DefaultTransport = closedNetwork{}; return nil },
			func() error { http.DefaultTransport = transport; return nil }, true},
		{"the schemas", "jsonnet", func() error { return openapi.SetSchema(nil, []byte("{}"), true) },
			func() error { openapi.ResetOpenAPI(); return nil }, true},
		{"a panic", "kustomize", func() error { panic("inside") }, nothing, true},
	} {
		asked := false
		in := bufio.NewReader(meddler(func() {
			asked = true
			if err := one.touch(); err != nil {
				t.Error(one.name, err)
			}
		}))
		p := &pipe{in: in, out: bufio.NewWriter(io.Discard)}
		out := run(p, jobRequest{Job: job{Tool: one.tool, Jsonnet: &jsonnetOptions{File: "a.jsonnet"}}})
		if err := one.undo(); err != nil {
			t.Fatal(one.name, err)
		}
		if !asked || out.Failed == nil {
			t.Errorf("%s: the job asked for nothing, or came to an end: %+v", one.name, out)
		}
		if out.Retire != one.retires {
			t.Errorf("%s: the worker retires: %t", one.name, out.Retire)
		}
		if processState() != pristine {
			t.Fatalf("%s is not undone", one.name)
		}
	}
}

func nothing() error { return nil }
