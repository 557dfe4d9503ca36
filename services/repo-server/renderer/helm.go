package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/releaseutil"
	"k8s.io/apimachinery/pkg/runtime"
	kubeyaml "k8s.io/apimachinery/pkg/util/yaml"
)

// runHelm renders one chart as `helm template` does.
func runHelm(repo *repository, j job) outcome {
	folder := within(j.Path)
	fail := func(err error) outcome {
		return outcome{Failed: placed(repo, folder, &failure{Kind: kindBuild, Error: unrooted(err)})}
	}
	options := j.Helm
	if options == nil {
		options = &helmOptions{}
	}
	cluster, refused := newTarget(repo, options)
	if refused != nil {
		return outcome{Failed: refused}
	}
	if err := chartutil.ValidateReleaseName(options.ReleaseName); err != nil {
		return outcome{Failed: &failure{Kind: kindOption, Feature: "spec.source.helm.releaseName",
			Error: fmt.Sprintf("release name %q: %s", options.ReleaseName, err)}}
	}
	values, refused := options.values(repo, folder, j.Trees)
	if refused != nil {
		return outcome{Failed: refused}
	}
	loaded, err := loadChart(repo, folder)
	if err != nil {
		return fail(err)
	}
	if refused := checkChart(loaded, folder, options); refused != nil {
		return outcome{Failed: refused}
	}
	pieces, err := renderChart(loaded, values, options, cluster)
	if err != nil {
		return fail(err)
	}
	done := &result{Objects: []object{}, Chance: chance(loaded, values)}
	for _, piece := range pieces {
		file := fileOf(repo, folder, piece.name)
		objects, err := piece.objects()
		if err != nil {
			return outcome{Failed: &failure{Kind: kindBuild, File: file, Error: fmt.Sprintf("%s: %s", piece.name, err)}}
		}
		for _, made := range objects {
			done.Objects = append(done.Objects, object{Object: made, Path: file, Generated: true})
		}
	}
	return outcome{Done: done}
}

// checkChart refuses what the command refuses before it renders, and schemas that are somewhere else.
func checkChart(loaded *chart.Chart, folder string, options *helmOptions) *failure {
	at := shown(path.Join(folder, "Chart.yaml"))
	if kind := loaded.Metadata.Type; kind != "" && kind != "application" {
		return &failure{Kind: kindBuild, File: at, Error: kind + " charts are not installable"}
	}
	if slices.ContainsFunc(loaded.Raw, func(f *chart.File) bool { return f.Name == "requirements.yaml" }) {
		at = shown(path.Join(folder, "requirements.yaml"))
	}
	var missing []string
	for _, wanted := range loaded.Metadata.Dependencies {
		named := func(d *chart.Chart) bool { return d.Name() == wanted.Name }
		if !slices.ContainsFunc(loaded.Dependencies(), named) {
			missing = append(missing, wanted.Name)
		}
	}
	if len(missing) > 0 {
		names := strings.Join(missing, ", ")
		charts, locked := wantedCharts(loaded, missing)
		if !locked {
			return &failure{Kind: kindLock, File: at,
				Error: "the lock file is out of sync with the dependencies file"}
		}
		return &failure{Kind: kindDependency, File: at, Feature: names, Wanted: charts,
			Error: "found in Chart.yaml, but missing in charts/ directory: " + names}
	}
	if options.SkipSchemaValidation {
		return nil
	}
	return checkSchemas(loaded, folder)
}

// checkSchemas refuses, by name, schemas that would be fetched or read from a disk.
func checkSchemas(loaded *chart.Chart, folder string) *failure {
	var schema any
	if json.Unmarshal(loaded.Schema, &schema) == nil {
		if elsewhere := remoteSchema(schema); elsewhere != "" {
			return &failure{Kind: kindRemote, File: shown(path.Join(folder, "values.schema.json")), Feature: elsewhere,
				Error: "it is in another place"}
		}
	}
	for _, dependency := range loaded.Dependencies() {
		if refused := checkSchemas(dependency, path.Join(folder, "charts", dependency.Name())); refused != nil {
			return refused
		}
	}
	return nil
}

// remoteSchema is the first reference that does not stay within the schema: anything else would be read from a disk or
// fetched, whatever it is relative to.
func remoteSchema(schema any) string {
	switch node := schema.(type) {
	case map[string]any:
		for _, key := range []string{"$ref", "$dynamicRef", "$recursiveRef", "$schema"} {
			target, _ := node[key].(string)
			if target != "" && !strings.HasPrefix(target, "#") && !metaschema.MatchString(target) {
				return target
			}
		}
		for _, inner := range node {
			if found := remoteSchema(inner); found != "" {
				return found
			}
		}
	case []any:
		for _, inner := range node {
			if found := remoteSchema(inner); found != "" {
				return found
			}
		}
	}
	return ""
}

// metaschema is what the library brings along.
var metaschema = regexp.MustCompile(`^https?://json-schema\.org/(?:draft-0[467]/|draft/20(?:19-09|20-12)/)?schema#?$`)

// renderChart is what the command prints for a chart.
func renderChart(loaded *chart.Chart, values map[string]any, options *helmOptions, cluster *target) ([]piece, error) {
	if err := chartutil.ProcessDependenciesWithMerge(loaded, values); err != nil {
		return nil, err
	}
	namespace := options.Namespace
	if namespace == "" {
		namespace = "default"
	}
	installed := chartutil.ReleaseOptions{Name: options.ReleaseName, Namespace: namespace, Revision: 1, IsInstall: true}
	input, err := chartutil.ToRenderValuesWithSchemaValidation(loaded, values, installed, nil, options.SkipSchemaValidation)
	if err != nil {
		return nil, err
	}
	if input["Capabilities"], err = cluster.capabilities(loaded, values); err != nil {
		return nil, err
	}
	if wanted := loaded.Metadata.KubeVersion; wanted != "" {
		version, err := cluster.version()
		if err != nil {
			return nil, err
		}
		if !chartutil.IsCompatibleRange(wanted, version.String()) {
			return nil, fmt.Errorf("chart requires kubeVersion: %s which is incompatible with Kubernetes %s", wanted, version.String())
		}
	}
	// Without a cluster: `lookup` finds nothing, and getHostByName answers nothing.
	var renderer engine.Engine
	files, err := renderer.Render(loaded, input)
	if err != nil {
		return nil, err
	}
	for name := range files {
		if strings.HasSuffix(name, "NOTES.txt") {
			delete(files, name)
		}
	}
	standing, known := standIns(files)
	hooks, manifests, err := releaseutil.SortManifests(standing, nil, releaseutil.InstallOrder)
	if err != nil {
		return nil, err
	}
	var pieces []piece
	if !options.SkipCrds {
		for _, crd := range loaded.CRDObjects() {
			pieces = append(pieces, piece{name: crd.Filename, text: string(crd.File.Data)})
		}
	}
	for _, manifest := range manifests {
		pieces = append(pieces, known.piece(manifest.Name, manifest.Content))
	}
	for _, hook := range hooks {
		if options.skipHooks {
			break
		}
		if options.SkipTests && slices.Contains(hook.Events, release.HookTest) {
			continue
		}
		pieces = append(pieces, known.piece(hook.Path, hook.Manifest))
	}
	return pieces, nil
}

// documents are the objects of a rendered text, cut and read as Kubernetes does.
func documents(text string) ([]json.RawMessage, error) {
	decoder := kubeyaml.NewYAMLOrJSONDecoder(strings.NewReader("---\n"+text+"\n"), 4096)
	var objects []json.RawMessage
	for {
		var next runtime.RawExtension
		if err := decoder.Decode(&next); err != nil {
			if errors.Is(err, io.EOF) {
				return objects, nil
			}
			return nil, fmt.Errorf("failed to unmarshal manifest: %w", err)
		}
		read, err := appended(objects, bytes.TrimSpace(next.Raw))
		if err != nil {
			return nil, err
		}
		objects = read
	}
}

// ordinary is how nearly every object begins, for what was YAML comes with its keys sorted.
var ordinary = regexp.MustCompile(`^\{"apiVersion":"[^"\\]*","kind":"[^"\\]+"`)

// named refuses an object without a kind. All of it is read only where that does not stand at its beginning.
func named(raw []byte) error {
	if ordinary.Match(raw) {
		return nil
	}
	var head struct {
		Kind any `json:"kind"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return err
	}
	if kind, _ := head.Kind.(string); kind == "" {
		return errors.New("Object 'Kind' is missing")
	}
	return nil
}

// fileOf is the file of a template; for one from an archive, the archive.
func fileOf(repo *repository, folder, template string) string {
	_, below, _ := strings.Cut(template, "/")
	name := path.Join(folder, below)
	if _, read := repo.contents[name]; read {
		return shown(name)
	}
	return shown(path.Join(folder, "Chart.yaml"))
}

// A line of a parse error counts in what was rendered, not in the file.
var parseError = regexp.MustCompile(`YAML parse error on ([^\s:]+):`)

var templateLine = regexp.MustCompile(`([^\s()":]+/[^\s()":]+):(\d+)`)

// loadError is how Helm says which of a chart's files it cannot read, and what says the same without its name.
var (
	loadError  = regexp.MustCompile(`cannot load (\S+): `)
	chartError = regexp.MustCompile(`Chart\.yaml file is missing|validation: |chart requires kubeVersion: `)
	// A schema is named by its chart.
	schemaError = regexp.MustCompile(`schema\(s\) in the following chart\(s\):\n(\S+):\n`)
	// The charts within others, outermost first.
	packedError = regexp.MustCompile(`error unpacking subchart (\S+) in `)
)

// chartFile is the file of a chart that Helm's message is about; empty where it is about none.
func chartFile(repo *repository, folder, said string) string {
	if found := schemaError.FindStringSubmatch(said); found != nil {
		own := path.Join(folder, "charts", found[1])
		if _, read := repo.contents[path.Join(own, "values.schema.json")]; !read {
			own = folder
		}
		return shown(path.Join(own, "values.schema.json"))
	}
	name := "Chart.yaml"
	if found := loadError.FindStringSubmatch(said); found != nil {
		name = found[1]
	} else if !chartError.MatchString(said) {
		return ""
	}
	for _, found := range packedError.FindAllStringSubmatch(said, -1) {
		folder = path.Join(folder, "charts", found[1])
		if path.Ext(folder) == ".tgz" {
			return shown(folder)
		}
	}
	return shown(path.Join(folder, name))
}

var yamlError = regexp.MustCompile(`yaml: line (\d+)`)

// yamlLine is the line that a message about YAML names; 0 where it names none.
func yamlLine(said string) int {
	line := 0
	if found := yamlError.FindStringSubmatch(said); found != nil {
		line, _ = strconv.Atoi(found[1])
	}
	return line
}

// placed adds the file and line that Helm's message names.
func placed(repo *repository, folder string, failed *failure) *failure {
	if found := parseError.FindStringSubmatch(failed.Error); found != nil {
		failed.File = fileOf(repo, folder, found[1])
		return failed
	}
	for _, found := range templateLine.FindAllStringSubmatch(failed.Error, -1) {
		_, below, _ := strings.Cut(found[1], "/")
		name := path.Join(folder, below)
		if _, read := repo.contents[name]; read {
			failed.File = shown(name)
			failed.Line, _ = strconv.Atoi(found[2])
		}
	}
	if failed.File == "" {
		if failed.File = chartFile(repo, folder, failed.Error); failed.File != "" {
			failed.Line = yamlLine(failed.Error)
		}
	}
	return failed
}
