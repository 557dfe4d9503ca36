package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"
)

// Every field of a kustomization occurs in a case that is built as the official command builds it.
func TestEveryKustomizationFieldIsCovered(t *testing.T) {
	var fields []string
	fieldsOf(reflect.TypeFor[types.Kustomization](), "", &fields)
	used := map[string]bool{}
	cases, err := filepath.Glob("../../../libs/source/tests/cases/kustomize/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range cases {
		if !comesOut(t, folder) {
			continue
		}
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && slices.Contains(konfig.RecognizedKustomizationFileNames(), entry.Name()) {
				fieldsIn(t, path, "", used)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var missing []string
	for _, name := range fields {
		if !used[name] {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		t.Errorf("%d of %d fields occur in no case: %s", len(missing), len(fields), strings.Join(missing, " "))
	}
	t.Logf("%d fields in %d cases", len(fields), len(cases))
}

// fieldsOf adds the paths of a type's fields: `images[].newTag`.
func fieldsOf(kind reflect.Type, at string, into *[]string) {
	switch kind.Kind() {
	case reflect.Pointer:
		fieldsOf(kind.Elem(), at, into)
	case reflect.Slice:
		fieldsOf(kind.Elem(), at+"[]", into)
	case reflect.Struct:
		for field := range kind.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			switch {
			case !field.IsExported() || name == "-":
			case name == "" && field.Anonymous:
				fieldsOf(field.Type, at, into)
			default:
				path := strings.TrimPrefix(at+"."+name, ".")
				*into = append(*into, path)
				fieldsOf(field.Type, path, into)
			}
		}
	}
}

// fieldsIn notes the paths of what a file has, and of what stands in the files of its replacements.
func fieldsIn(t *testing.T, file, at string, used map[string]bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var content any
	if err := yaml.Unmarshal(text, &content); err != nil {
		t.Fatal(file, err)
	}
	if _, list := content.([]any); list {
		at = strings.TrimSuffix(at, "[]")
	}
	note(content, at, used)
	whole, _ := content.(map[string]any)
	replacements, _ := whole["replacements"].([]any)
	for _, one := range replacements {
		fields, _ := one.(map[string]any)
		if path, named := fields["path"].(string); named {
			fieldsIn(t, filepath.Join(filepath.Dir(file), path), "replacements[]", used)
		}
	}
}

func note(value any, at string, used map[string]bool) {
	used[at] = true
	switch value := value.(type) {
	case map[string]any:
		for key, inner := range value {
			note(inner, strings.TrimPrefix(at+"."+key, "."), used)
		}
	case []any:
		for _, inner := range value {
			note(inner, at+"[]", used)
		}
	}
}
