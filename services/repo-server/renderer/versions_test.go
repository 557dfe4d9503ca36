package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// There is one version of each tool: the one that renders, and the one of the command that it is compared with.
func TestLibrariesAreThoseOfTheCommands(t *testing.T) {
	version := func(file, module string) string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(`(?m)^(?:require )?\s*` + regexp.QuoteMeta(module) + ` (v\S+)`).FindSubmatch(text)
		if found == nil {
			t.Fatalf("%s does not name %s", file, module)
		}
		return string(found[1])
	}
	for module, tool := range map[string]string{
		"helm.sh/helm/v3":              "helm",
		"sigs.k8s.io/kustomize/api":    "kustomize",
		"sigs.k8s.io/kustomize/kyaml":  "kustomize",
		"github.com/google/go-jsonnet": "jsonnet",
	} {
		ours := version("go.mod", module)
		theirs := version(filepath.Join("../../../xtask/tools", tool, "go.mod"), module)
		if ours != theirs {
			t.Errorf("%s is %s here and %s in the command %s", module, ours, theirs, tool)
		}
	}
}
