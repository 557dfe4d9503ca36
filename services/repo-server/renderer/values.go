package main

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"helm.sh/helm/v3/pkg/strvals"
	"sigs.k8s.io/yaml"
)

// helmOptions are an application's, as Argo CD's ApplicationSourceHelm has them, build variables filled in.
type helmOptions struct {
	ReleaseName             string          `json:"releaseName"`
	Namespace               string          `json:"namespace"`
	KubeVersion             string          `json:"kubeVersion"`
	APIVersions             []string        `json:"apiVersions"`
	ValueFiles              []string        `json:"valueFiles"`
	IgnoreMissingValueFiles bool            `json:"ignoreMissingValueFiles"`
	Values                  string          `json:"values"`
	ValuesObject            json.RawMessage `json:"valuesObject"`
	Parameters              []helmParameter `json:"parameters"`
	FileParameters          []fileParameter `json:"fileParameters"`
	SkipCrds                bool            `json:"skipCrds"`
	SkipTests               bool            `json:"skipTests"`
	SkipSchemaValidation    bool            `json:"skipSchemaValidation"`

	// skipHooks leaves hooks out, as only kustomizations ask for.
	skipHooks bool
}

type helmParameter struct {
	Name        string `json:"name"`
	Value       string `json:"value"`
	ForceString bool   `json:"forceString"`
}

type fileParameter struct {
	Name string `json:"name"`
	Path string `json:"path"`
}

// values merges everything that overrides a chart's own values, in the order in which Argo CD's command line has it:
// files, values, --set, --set-string, --set-file.
func (o *helmOptions) values(repo *repository, folder string, trees map[string]int) (map[string]any, *failure) {
	merged := map[string]any{}
	files, refused := o.valueFiles(repo, folder, trees)
	if refused != nil {
		return nil, refused
	}
	for _, file := range files {
		text, err := repo.ReadFile(file.name)
		if err != nil {
			return nil, &failure{Kind: kindBuild, File: shown(file.name), Error: unrooted(err)}
		}
		if merged, err = mergeText(merged, text); err != nil {
			return nil, &failure{Kind: kindBuild, File: shown(file.name), Line: yamlLine(err.Error()),
				Error: fmt.Sprintf("failed to parse %s: %v", file.written, err)}
		}
	}
	bad := func(field string, err error) *failure {
		return &failure{Kind: kindOption, Feature: field, Error: err.Error()}
	}
	field, own := "spec.source.helm.values", []byte(o.Values)
	if len(o.ValuesObject) > 0 && string(o.ValuesObject) != "null" {
		var err error
		field = "spec.source.helm.valuesObject"
		if own, err = yaml.JSONToYAML(o.ValuesObject); err != nil {
			return nil, bad(field, err)
		}
	}
	var err error
	if merged, err = mergeText(merged, own); err != nil {
		return nil, bad(field, err)
	}
	for _, forced := range []bool{false, true} {
		for _, parameter := range last(o.Parameters, func(p helmParameter) (string, bool) { return p.Name, p.ForceString == forced }) {
			text := parameter.Name + "=" + escapeCommas(parameter.Value)
			parse := strvals.ParseInto
			if forced {
				parse = strvals.ParseIntoString
			}
			if err := parse(text, merged); err != nil {
				return nil, bad("spec.source.helm.parameters", fmt.Errorf("failed parsing --set data: %w", err))
			}
		}
	}
	for _, parameter := range last(o.FileParameters, func(p fileParameter) (string, bool) { return p.Name, true }) {
		name, refused := resolve(folder, parameter.Path, trees)
		if refused != nil {
			return nil, refused
		}
		text, err := repo.ReadFile(name)
		if err != nil {
			return nil, &failure{Kind: kindMissing, File: shown(name), Feature: "spec.source.helm.fileParameters", Error: unrooted(err)}
		}
		read := func([]rune) (any, error) { return string(text), nil }
		if err := strvals.ParseIntoFile(parameter.Name+"=file", merged, read); err != nil {
			return nil, bad("spec.source.helm.fileParameters", fmt.Errorf("failed parsing --set-file data: %w", err))
		}
	}
	return merged, nil
}

// resolve is the path of a file that an option names: from the chart's folder, with a leading slash from the repository's
// root, or with the name of another source from that one's root.
func resolve(folder, written string, trees map[string]int) (string, *failure) {
	if strings.Contains(written, "://") {
		return "", &failure{Kind: kindRemote, Feature: written, Error: "it is in another place"}
	}
	tree := treeOf(folder)
	name := path.Join(folder, written)
	first, rest, _ := strings.Cut(written, "/")
	if number, other := trees[first]; other {
		tree = within(fmt.Sprintf("/%d", number))
		name = path.Join(tree, rest)
	} else if path.IsAbs(written) {
		name = path.Join(tree, written)
	}
	if treeOf(name) != tree || name == tree {
		return "", &failure{Kind: kindOutside, Feature: written, Error: "it is outside the repository, or all of it"}
	}
	return name, nil
}

// last keeps what `name` takes; of several with one name the last, at the place of the first, as a command line made from
// a map would have it.
func last[T any](all []T, name func(T) (string, bool)) []T {
	at := map[string]int{}
	var kept []T
	for _, one := range all {
		key, taken := name(one)
		if !taken {
			continue
		}
		if place, there := at[key]; there {
			kept[place] = one
			continue
		}
		at[key] = len(kept)
		kept = append(kept, one)
	}
	return kept
}

// escapeCommas is what Argo CD does to a parameter's value: commas are part of it, unless it is a list in braces.
func escapeCommas(value string) string {
	if strings.HasPrefix(value, "{") && strings.HasSuffix(value, "}") {
		return value
	}
	var escaped strings.Builder
	var before rune
	for _, r := range value {
		if r == ',' && before != '\\' {
			escaped.WriteByte('\\')
		}
		escaped.WriteRune(r)
		before = r
	}
	return escaped.String()
}

func mergeText(into map[string]any, text []byte) (map[string]any, error) {
	more := map[string]any{}
	if err := yaml.Unmarshal(text, &more); err != nil {
		return nil, err
	}
	return mergeMaps(into, more), nil
}

// mergeMaps is `b` over `a`, as the command merges values files.
func mergeMaps(a, b map[string]any) map[string]any {
	out := make(map[string]any, len(a))
	for key, value := range a {
		out[key] = value
	}
	for key, value := range b {
		if inner, ok := value.(map[string]any); ok {
			if old, ok := out[key].(map[string]any); ok {
				out[key] = mergeMaps(old, inner)
				continue
			}
		}
		out[key] = value
	}
	return out
}
