// Command floor tells how long the libraries alone take for what the repo-server renders: warm, on one core, with every file
// in memory. Its user is the repo-server's benchmark.
//
//	floor kustomize|helm FOLDER RUNS PATH...
//
// prints the nanoseconds of one run: each run is of the next PATH below FOLDER.
package main

import (
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/releaseutil"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const usage = "usage: floor kustomize|helm FOLDER RUNS PATH..."

func main() {
	if err := measure(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func measure(arguments []string) error {
	if len(arguments) < 4 {
		return fmt.Errorf(usage)
	}
	tool, folder, paths := arguments[0], arguments[1], arguments[3:]
	runs, err := strconv.Atoi(arguments[2])
	if err != nil || runs < 1 {
		return fmt.Errorf("%q is no number of runs", arguments[2])
	}
	files, err := read(folder)
	if err != nil {
		return err
	}
	log.SetOutput(io.Discard)
	var run func(at string) error
	switch tool {
	case "kustomize":
		run = kustomize(files)
	case "helm":
		run = helm(files)
	default:
		return fmt.Errorf(usage)
	}
	for warm := range min(runs, 20) {
		if err := run(paths[warm%len(paths)]); err != nil {
			return err
		}
	}
	began := time.Now()
	for done := range runs {
		if err := run(paths[done%len(paths)]); err != nil {
			return err
		}
	}
	fmt.Println(time.Since(began).Nanoseconds() / int64(runs))
	return nil
}

// read is every file below a folder.
func read(folder string) (map[string][]byte, error) {
	files := map[string][]byte{}
	err := filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		within, err := filepath.Rel(folder, name)
		if err != nil {
			return err
		}
		files[within], err = os.ReadFile(name)
		return err
	})
	return files, err
}

func kustomize(files map[string][]byte) func(string) error {
	memory := filesys.MakeFsInMemory()
	for name, text := range files {
		// The file system in memory does not fail.
		_ = memory.WriteFile("/"+name, text)
	}
	return func(at string) error {
		built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(memory, "/"+at)
		if err != nil {
			return err
		}
		_, err = built.AsYaml()
		return err
	}
}

func helm(files map[string][]byte) func(string) error {
	return func(at string) error {
		var buffered []*loader.BufferedFile
		for name, text := range files {
			if within, below := strings.CutPrefix(name, at+"/"); below {
				buffered = append(buffered, &loader.BufferedFile{Name: within, Data: text})
			}
		}
		loaded, err := loader.LoadFiles(buffered)
		if err != nil {
			return err
		}
		values := map[string]any{}
		if err := chartutil.ProcessDependenciesWithMerge(loaded, values); err != nil {
			return err
		}
		release := chartutil.ReleaseOptions{Name: path.Base(at), Namespace: "default", Revision: 1, IsInstall: true}
		input, err := chartutil.ToRenderValues(loaded, values, release, nil)
		if err != nil {
			return err
		}
		rendered, err := new(engine.Engine).Render(loaded, input)
		if err != nil {
			return err
		}
		for name := range rendered {
			if strings.HasSuffix(name, "NOTES.txt") {
				delete(rendered, name)
			}
		}
		_, _, err = releaseutil.SortManifests(rendered, nil, releaseutil.InstallOrder)
		return err
	}
}
