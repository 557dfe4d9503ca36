package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/Masterminds/sprig/v3"
)

// Every function that a chart may call occurs in a case that is compared with the official command.
func TestEveryTemplateFunctionIsCovered(t *testing.T) {
	names := []string{"include", "tpl", "required", "lookup", "toToml", "fromToml", "toYaml", "toYamlPretty", "fromYaml",
		"fromYamlArray", "toJson", "fromJson", "fromJsonArray"}
	for name := range sprig.TxtFuncMap() {
		if name != "env" && name != "expandenv" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	called := map[string]bool{}
	action := regexp.MustCompile(`(?s)\{\{.*?\}\}`)
	text := regexp.MustCompile(`"(\\.|[^"\\])*"`)
	word := regexp.MustCompile(`(^|[^.$\w])([A-Za-z]\w*)`)
	err := filepath.WalkDir("../../../libs/source/tests/cases/helm", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.Contains(path, "/templates/") || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		for _, inner := range action.FindAll(content, -1) {
			for _, found := range word.FindAllSubmatch(text.ReplaceAll(inner, nil), -1) {
				called[string(found[2])] = true
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
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
