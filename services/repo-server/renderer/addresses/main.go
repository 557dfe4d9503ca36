// Command addresses tells how kustomize reads entries that may be addresses of folders in Git repositories. Its user is the
// test of our own reading of them.
//
// It reads a list of entries, JSON, and writes what each of them names; null where it is no address.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"

	"sigs.k8s.io/kustomize/api/resource"
)

// remote is a folder of another repository.
type remote struct {
	Repository string `json:"repository"`
	Path       string `json:"path"`
	Revision   string `json:"revision"`
}

// root is what kustomize calls a repository's folder that has not been cloned yet.
const root = "notCloned"

func main() {
	// What it warns of it reads all the same.
	log.SetOutput(io.Discard)
	if err := answer(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func answer(in io.Reader, out io.Writer) error {
	var entries []string
	if err := json.NewDecoder(in).Decode(&entries); err != nil {
		return err
	}
	all := make([]*remote, len(entries))
	for at, entry := range entries {
		// Where an object comes from is told by the very function with which folders are fetched.
		origin := new(resource.Origin).Append(entry)
		if origin.Repo == "" {
			continue
		}
		all[at] = &remote{Repository: origin.Repo, Path: origin.Path, Revision: origin.Ref}
		if origin.Path == root {
			all[at].Path = ""
		}
	}
	return json.NewEncoder(out).Encode(all)
}
