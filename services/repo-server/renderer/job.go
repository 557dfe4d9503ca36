package main

import (
	"fmt"
	"path"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

const originAnnotation = "config.kubernetes.io/origin"

const (
	// ownName is what the library calls whatever it is built into; no label may have such a value.
	ownName = "kustomize-(devel)"
	// officialName is what it calls itself in the command that has the same library.
	officialName = "kustomize-v5.8.2"
)

// run does one job. A panic in a library is the job's failure, and the worker's end: nobody knows what it left undone.
func run(p *pipe, request jobRequest) (out outcome) {
	j, repo := request.Job, newRepository(p)
	repo.show(request.Beside)
	defer func() {
		panicked := recover()
		if panicked != nil {
			out = outcome{Failed: &failure{Kind: kindBuild, Error: fmt.Sprintf("%s failed inside: %v", j.Tool, panicked)}}
		}
		out.Retire = out.Retire || panicked != nil || processState() != pristine
		out.Used = repo.used
	}()
	switch j.Tool {
	case "helm":
		return runHelm(repo, j)
	case "details":
		return runDetails(repo, j)
	case "jsonnet":
		return runJsonnet(repo, j)
	default:
		return runKustomize(repo, j)
	}
}

// runKustomize builds one kustomization.
func runKustomize(repo *repository, j job) (out outcome) {
	folder := within(j.Path)
	file := kustomizationFile(repo, folder)
	at := shown(path.Join(folder, file))
	fail := func(err error) outcome {
		return outcome{Failed: &failure{Kind: kindBuild, File: at, Error: unrooted(err)}}
	}
	if file != "" && !j.Options.empty() {
		if err := j.Options.apply(repo, folder, file); err != nil {
			return fail(err)
		}
	}
	asked := file != "" && asksForOrigins(repo, folder, file)
	walked := walk{repo: repo, seen: map[string]*visited{}, build: j.Build, spaces: map[string]string{}}
	if refused := walked.check(folder, ""); refused != nil {
		return outcome{Failed: refused}
	}
	if len(walked.wanted) > 0 {
		return outcome{Failed: &failure{Kind: kindRemote, File: walked.file, Feature: walked.wanted[0],
			Remotes: walked.wanted, Error: "it is in another repository"}}
	}
	trace := asked || walked.made || j.Build.Origins
	if file != "" && trace {
		// A kustomization that cannot be read is reported by kustomize itself, below.
		_ = traceOrigins(repo, folder, file)
	}
	// The library keeps the schemas that a kustomization brings, and would use them for whoever comes next.
	defer func() { out.Retire = walked.schemas }()
	if !walked.schemas && openapi.GetSchemaVersion() != pristine.schema {
		openapi.ResetOpenAPI()
	}
	options := krusty.MakeDefaultOptions()
	// As the command does: sorted, unless the kustomization says otherwise.
	options.Reorder = krusty.ReorderOptionUnspecified
	options.LoadRestrictions = types.LoadRestrictionsRootOnly
	if j.Build.LoadAnywhere {
		options.LoadRestrictions = types.LoadRestrictionsNone
	}
	options.PluginConfig = types.DisabledPluginConfig()
	built, err := krusty.MakeKustomizer(options).Run(repo, folder)
	if err != nil {
		return fail(err)
	}
	done := &result{Objects: make([]object, 0, built.Size()), Chance: walked.chance}
	if !trace {
		done.Written = &walked.written
	}
	for _, r := range built.Resources() {
		made, err := export(repo, r, folder, asked)
		if err != nil {
			return fail(err)
		}
		done.Objects = append(done.Objects, made)
	}
	return outcome{Done: done}
}

// unrooted is an error's text with paths as people know them.
func unrooted(err error) string {
	text := strings.ReplaceAll(err.Error(), root+"/", "")
	return strings.ReplaceAll(text, root, ".")
}

// export takes the origin out of an object (unless the kustomization asked for it) and keeps it beside.
func export(repo *repository, r *resource.Resource, folder string, keep bool) (object, error) {
	var made object
	origin, err := r.GetOrigin()
	if err == nil && origin != nil && path.Base(origin.Path) == inflatedFile {
		within := path.Dir(origin.Path)
		origin = &resource.Origin{
			ConfiguredIn: path.Join(within, kustomizationFile(repo, path.Join(folder, within))),
			ConfiguredBy: yaml.ResourceIdentifier{
				TypeMeta: yaml.TypeMeta{APIVersion: "builtin", Kind: "HelmChartInflationGenerator"},
			},
		}
		if err := r.SetOrigin(origin); err != nil {
			return made, err
		}
	}
	if err == nil && origin != nil && origin.Repo == "" {
		switch {
		case origin.Path != "":
			made.Path = shown(path.Join(folder, origin.Path))
		case origin.ConfiguredIn != "":
			made.Path, made.Generated = shown(path.Join(folder, origin.ConfiguredIn)), true
		}
	}
	if labels := r.GetLabels(); labels[konfig.ManagedbyLabelKey] == ownName {
		labels[konfig.ManagedbyLabelKey] = officialName
		if err := r.SetLabels(labels); err != nil {
			return made, err
		}
	}
	if !keep {
		annotations := r.GetAnnotations()
		delete(annotations, originAnnotation)
		if err := r.SetAnnotations(annotations); err != nil {
			return made, err
		}
	}
	made.Object, err = r.MarshalJSON()
	return made, err
}
