package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"github.com/google/go-jsonnet"
)

// jsonnetOptions are an application's, as Argo CD's ApplicationSourceJsonnet has them, build variables filled in.
type jsonnetOptions struct {
	// File is what is evaluated, from the repository's root.
	File    string            `json:"file"`
	ExtVars []jsonnetVariable `json:"extVars"`
	TLAs    []jsonnetVariable `json:"tlas"`
	// Libs are folders from the repository's root.
	Libs []string `json:"libs"`
}

type jsonnetVariable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Code  bool   `json:"code"`
}

// runJsonnet evaluates one file to an object, or to a list of them.
func runJsonnet(repo *repository, j job) outcome {
	options := j.Jsonnet
	fail := func(format string, values ...any) outcome {
		failed := &failure{Kind: kindBuild, File: options.File, Error: strings.ReplaceAll(fmt.Sprintf(format, values...), root+"/", "")}
		return outcome{Failed: jsonnetPlace(repo, failed)}
	}
	vm := jsonnet.MakeVM()
	for _, variable := range options.TLAs {
		if variable.Code {
			vm.TLACode(variable.Name, variable.Value)
		} else {
			vm.TLAVar(variable.Name, variable.Value)
		}
	}
	for _, variable := range options.ExtVars {
		if variable.Code {
			vm.ExtCode(variable.Name, variable.Value)
		} else {
			vm.ExtVar(variable.Name, variable.Value)
		}
	}
	folders := []string{within(j.Path)}
	for _, lib := range options.Libs {
		folder := path.Join(root, lib)
		if treeOf(folder) != root {
			return outcome{Failed: &failure{Kind: kindOutside, Feature: lib, Error: "it is outside the repository"}}
		}
		folders = append(folders, folder)
	}
	vm.Importer(&importer{repo: repo, folders: folders, known: map[string]jsonnet.Contents{}})
	text, err := vm.EvaluateFile(within(options.File))
	if err != nil {
		return fail("%v", err)
	}
	objects, err := evaluated(text)
	if err != nil {
		return fail("Failed to unmarshal generated json: %v", err)
	}
	done := &result{Objects: []object{}}
	for _, made := range objects {
		done.Objects = append(done.Objects, object{Object: made, Path: options.File, Generated: true})
	}
	return outcome{Done: done}
}

// evaluated are the objects of what a file was evaluated to: one, or a list of them. The library indents, which may be most of
// it and would count toward the frame.
func evaluated(text string) ([]json.RawMessage, error) {
	var several, objects []json.RawMessage
	if json.Unmarshal([]byte(text), &several) != nil {
		several = []json.RawMessage{json.RawMessage(text)}
	}
	for _, one := range several {
		if err := named(one); err != nil {
			return nil, err
		}
		var made bytes.Buffer
		if err := json.Compact(&made, one); err != nil {
			return nil, err
		}
		objects = append(objects, made.Bytes())
	}
	return objects, nil
}

// importer looks where go-jsonnet's own does, beside the importing file and then in the library folders, the last first,
// but only in the repository.
type importer struct {
	repo    *repository
	folders []string
	known   map[string]jsonnet.Contents
}

func (i *importer) Import(from, wanted string) (jsonnet.Contents, string, error) {
	if path.IsAbs(wanted) && !(from == "" && treeOf(wanted) == root) {
		return jsonnet.Contents{}, "", fmt.Errorf("import %q leads out of the repository; write a path inside it", wanted)
	}
	places := []string{path.Dir(from)}
	for at := len(i.folders) - 1; at >= 0; at-- {
		places = append(places, i.folders[at])
	}
	for _, place := range places {
		name := path.Join(place, wanted)
		if from == "" {
			name = path.Clean(wanted)
		}
		if treeOf(name) != root {
			continue
		}
		// One and the same contents for a file, as the library asks for.
		if known, ok := i.known[name]; ok {
			return known, name, nil
		}
		got, err := i.repo.stat(name)
		if err != nil {
			return jsonnet.Contents{}, "", err
		}
		if got.Kind != "file" {
			continue
		}
		text, err := i.repo.ReadFile(name)
		if err != nil {
			return jsonnet.Contents{}, "", err
		}
		i.known[name] = jsonnet.MakeContentsRaw(text)
		return i.known[name], name, nil
	}
	return jsonnet.Contents{}, "", fmt.Errorf("couldn't open import %#v: no match in the repository", wanted)
}

// jsonnetPlace adds the file and line at which the evaluation stopped.
func jsonnetPlace(repo *repository, failed *failure) *failure {
	for _, found := range templateLine.FindAllStringSubmatch(failed.Error, 1) {
		if _, read := repo.contents[within(found[1])]; read {
			failed.File = found[1]
			fmt.Sscan(found[2], &failed.Line)
		}
	}
	return failed
}
