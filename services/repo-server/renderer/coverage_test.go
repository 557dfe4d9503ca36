package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"text/template/parse"

	"github.com/Masterminds/sprig/v3"
	"helm.sh/helm/v3/pkg/engine"
)

// Every function that a chart may call is called in a case that comes out as the official command has it.
func TestEveryTemplateFunctionIsCovered(t *testing.T) {
	names := helmsOwn(t)
	for name := range sprig.TxtFuncMap() {
		if name != "env" && name != "expandenv" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	called, failing := map[string]bool{}, map[string]bool{}
	cases, err := filepath.Glob("../../../libs/source/tests/cases/helm/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range cases {
		into := called
		if !comesOut(t, folder) {
			into = failing
		}
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() && strings.Contains(path, "/templates/") {
				callsIn(t, path, into)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	// That one fails is all that it does.
	called["fail"] = failing["fail"]
	var missing []string
	for _, name := range names {
		if !called[name] {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	if len(missing) > 0 {
		t.Errorf("%d of %d functions occur in no case: %s", len(missing), len(names), strings.Join(missing, " "))
	}
	t.Logf("%d functions", len(names))
}

// helmsOwn are the functions that Helm adds to Sprig's. Only its source tells them: a new one is to be noticed.
func helmsOwn(t *testing.T) []string {
	place := reflect.ValueOf(engine.Render).Pointer()
	file, _ := runtime.FuncForPC(place).FileLine(place)
	source, err := os.ReadFile(filepath.Join(filepath.Dir(file), "funcs.go"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, found := range regexp.MustCompile(`(?m)^\t\t"(\w+)":\s`).FindAllSubmatch(source, -1) {
		names = append(names, string(found[1]))
	}
	if len(names) < 13 || !slices.Contains(names, "include") {
		t.Fatalf("Helm's functions stand elsewhere: %s", names)
	}
	return names
}

// comesOut is whether a case is one that is rendered: a failure shows little of what stands in it.
func comesOut(t *testing.T, folder string) bool {
	text, err := os.ReadFile(filepath.Join(folder, "case.json"))
	if err != nil {
		t.Fatal(err)
	}
	var about struct{ Fails *string }
	if err := json.Unmarshal(text, &about); err != nil {
		t.Fatal(folder, err)
	}
	return about.Fails == nil
}

// callsIn notes the functions that a template calls: in no comment and no text of it.
func callsIn(t *testing.T, path string, into map[string]bool) {
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	parsed := map[string]*parse.Tree{}
	tree := parse.New(path)
	tree.Mode = parse.SkipFuncCheck
	if _, err := tree.Parse(string(content), "", "", parsed); err != nil {
		return // what its chart leaves out, or fails by
	}
	for _, one := range parsed {
		calls(one.Root, into)
	}
}

func calls(node parse.Node, into map[string]bool) {
	branch := func(one *parse.BranchNode) {
		calls(one.Pipe, into)
		calls(one.List, into)
		calls(one.ElseList, into)
	}
	switch node := node.(type) {
	case *parse.ListNode:
		if node != nil {
			for _, inner := range node.Nodes {
				calls(inner, into)
			}
		}
	case *parse.ActionNode:
		calls(node.Pipe, into)
	case *parse.TemplateNode:
		calls(node.Pipe, into)
	case *parse.PipeNode:
		if node != nil {
			for _, command := range node.Cmds {
				calls(command, into)
			}
		}
	case *parse.CommandNode:
		for _, argument := range node.Args {
			calls(argument, into)
		}
	case *parse.ChainNode:
		calls(node.Node, into)
	case *parse.IdentifierNode:
		into[node.Ident] = true
	case *parse.IfNode:
		branch(&node.BranchNode)
	case *parse.RangeNode:
		branch(&node.BranchNode)
	case *parse.WithNode:
		branch(&node.BranchNode)
	}
}
