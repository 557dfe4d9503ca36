package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"syscall"
	"time"
)

// misbehave is a renderer that does what the last part of a job's path says, and makes one object of any other, named by
// its process.
func misbehave(in *bufio.Reader) {
	for {
		var request struct {
			Job struct {
				Path string `json:"path"`
			} `json:"job"`
		}
		body, err := frame(in)
		if err != nil || json.Unmarshal(body, &request) != nil {
			return
		}
		switch path.Base(request.Job.Path) {
		case "flood":
			head(1 << 30)
			for {
				if _, err := os.Stdout.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		case "garbage":
			say("this is no JSON")
		case "half":
			head(1000)
			fmt.Print("half of it")
			forever()
		case "many":
			say(`{"done":{"objects":[` + strings.Repeat(`{"object":{}},`, 400_000) + `{"object":{}}]}}`)
		case "silence":
			forever()
		case "asking":
			// It waits for no answer, so that it is their number that ends it and not how soon the two processes wake
			// each other.
			go func() { _, _ = io.Copy(io.Discard, in) }()
			for {
				say(`{"ask":"stat","path":"x"}`)
			}
		case "exit":
			return
		case "killed":
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		case "once":
			mark := os.Args[0] + ".once"
			if _, err := os.Stat(mark); err != nil {
				_ = os.WriteFile(mark, nil, 0o600)
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
			good()
		case "spent":
			say(strings.TrimSuffix(made(), "}") + `,"retire":true}`)
		default:
			good()
		}
	}
}

// forever waits; an empty select would be noticed by Go, and end it.
func forever() {
	for {
		time.Sleep(time.Hour)
	}
}

func good() { say(made()) }

func made() string {
	return fmt.Sprintf(`{"done":{"objects":[{"object":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"pid-%d"}}}]}}`,
		os.Getpid())
}

// frame is the JSON of what it is told; the files that follow it are of no use to it.
func frame(in *bufio.Reader) ([]byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:4])-4)
	_, err := io.ReadFull(in, body)
	return body[:binary.BigEndian.Uint32(head[4:])], err
}

func head(length uint32) {
	var head [4]byte
	binary.BigEndian.PutUint32(head[:], length)
	_, _ = os.Stdout.Write(head[:])
}

func say(text string) {
	head(uint32(len(text)))
	_, _ = os.Stdout.WriteString(text)
}
