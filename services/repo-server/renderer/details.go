package main

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// details are what a form about a chart shows, as Argo CD finds it.
type details struct {
	ValueFiles []string          `json:"valueFiles"`
	Values     string            `json:"values"`
	Parameters map[string]string `json:"parameters"`
}

// maxParameters bounds what one chart may list.
const maxParameters = 20_000

// runDetails lists what can be set of the chart in a folder.
func runDetails(repo *repository, j job) outcome {
	folder := within(j.Path)
	fail := func(file string, err error) outcome {
		return outcome{Failed: &failure{Kind: kindBuild, File: shown(file), Error: unrooted(err)}}
	}
	options := helmOptions{}
	if j.Helm != nil {
		options = *j.Helm
	}
	// A form shows what is there.
	options.IgnoreMissingValueFiles = true
	found := details{Parameters: map[string]string{}}
	if err := valuesIn(repo, folder, "", 0, &found.ValueFiles); err != nil {
		return fail(folder, err)
	}
	own := path.Join(folder, "values.yaml")
	files := []valueFile{}
	if got, err := repo.stat(own); err == nil && got.Kind == "file" {
		text, err := repo.ReadFile(own)
		if err != nil {
			return fail(own, err)
		}
		found.Values = string(text)
		files = append(files, valueFile{own, "values.yaml"})
	}
	chosen, refused := options.valueFiles(repo, folder, j.Trees)
	if refused != nil {
		return outcome{Failed: refused}
	}
	for _, file := range append(files, chosen...) {
		text, err := repo.ReadFile(file.name)
		if err != nil {
			return fail(file.name, err)
		}
		values := map[string]any{}
		if err := yaml.Unmarshal(text, &values); err != nil {
			return fail(file.name, fmt.Errorf("failed to parse values: %w", err))
		}
		flatten(values, found.Parameters, "")
		if len(found.Parameters) > maxParameters {
			return outcome{Failed: &failure{Kind: kindTooMany, Error: "the values are too many"}}
		}
	}
	return outcome{Done: &result{Objects: []object{}, Details: &found}}
}

// valuesIn adds the files below a folder whose names say that they hold values, by their paths from it. Links to folders are
// not followed.
func valuesIn(repo *repository, folder, below string, depth int, found *[]string) error {
	if depth > maxChartDepth {
		return fmt.Errorf("the folders of the chart lie deeper than %d", maxChartDepth)
	}
	items, err := repo.items(path.Join(folder, below))
	if err != nil {
		return err
	}
	for _, item := range items {
		name := path.Join(below, item.name)
		switch {
		case item.kind == kindFolder:
			if err := valuesIn(repo, folder, name, depth+1, found); err != nil {
				return err
			}
		case strings.Contains(item.name, "values") &&
			slices.Contains([]string{".yaml", ".yml"}, strings.ToLower(path.Ext(name))):
			*found = append(*found, name)
		}
	}
	return nil
}

// flatten adds every single value below `name`, which is empty for all of them.
func flatten(value any, into map[string]string, name string) {
	switch value := value.(type) {
	case map[string]any:
		for key, inner := range value {
			if name != "" {
				key = name + "." + key
			}
			flatten(inner, into, key)
		}
	case []any:
		for at, inner := range value {
			flatten(inner, into, fmt.Sprintf("%s[%v]", name, at))
		}
	default:
		into[name] = fmt.Sprintf("%v", value)
	}
}
