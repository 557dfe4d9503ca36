package main

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"
)

// maxKustomizations bounds the graph that one job may span.
const maxKustomizations = 1000

// kustomizationFile is the name of the folder's kustomization; empty when it has none.
func kustomizationFile(repo *repository, folder string) string {
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		if got, err := repo.stat(path.Join(folder, name)); err == nil && got.Kind == "file" {
			return name
		}
	}
	return ""
}

// walk goes through the kustomizations that a job spans.
type walk struct {
	repo *repository
	seen map[string]*visited
	// visits counts how often a folder that was seen is taken for another namespace.
	visits int
	// wanted are addresses of folders that are not open yet, and file the kustomization with the first of them.
	wanted []string
	file   string

	build buildOptions
	// spaces are the namespaces that the charts of a folder are rendered for, where they have none of their own.
	spaces map[string]string
	// schemas says whether one of them brings schemas of its own, or chooses among the library's.
	schemas bool
	// chance are functions that charts name whose values are drawn, or of the moment.
	chance []string
	// made says whether one of them has charts, or generators in files of their own: where their objects come from only the
	// library can tell.
	made    bool
	written written
}

// check refuses, by name, what must not run in a folder's kustomization and those that it takes, and has them take folders
// of other repositories from where those are open. `namespace` is the one of those that take it.
func (w *walk) check(folder, namespace string) *failure {
	repo := w.repo
	if got, err := repo.stat(folder); err == nil && got.Kind == "dir" {
		folder = within(got.Real)
	}
	if known, seen := w.seen[folder]; seen {
		return w.again(folder, namespace, known)
	}
	if len(w.seen) >= maxKustomizations {
		return &failure{Kind: kindBuild, Error: "the kustomization spans more than 1000 folders"}
	}
	known := &visited{spaces: map[string]bool{namespace: true}}
	w.seen[folder] = known
	name := kustomizationFile(repo, folder)
	if name == "" {
		return nil // kustomize says so better
	}
	file := shown(path.Join(folder, name))
	text, err := repo.ReadFile(path.Join(folder, name))
	if err != nil {
		return &failure{Kind: kindBuild, File: file, Error: err.Error()}
	}
	var k types.Kustomization
	if err := k.Unmarshal(text); err != nil {
		return &failure{Kind: kindBuild, File: file, Error: err.Error()}
	}
	k.FixKustomization()
	w.schemas = w.schemas || len(k.OpenAPI) > 0
	known.file, known.namespace = file, k.Namespace
	if k.Namespace != "" {
		namespace = k.Namespace
	}
	w.made = w.made || len(k.HelmCharts)+len(k.Generators) > 0
	if len(k.HelmCharts) > 0 {
		if refused := w.inflate(folder, name, namespace, &k); refused != nil {
			return refused
		}
	}
	if refused := plugins(repo, folder, file, &k); refused != nil {
		return refused
	}
	taken := slices.Concat(k.Resources, k.Bases, k.Components)
	elsewhere := map[string]string{}
	for _, entry := range references(&k) {
		if leaves(folder, entry) {
			return &failure{Kind: kindOutside, File: file, Feature: entry, Error: "it is outside the repository"}
		}
		if !remote(repo, folder, entry) {
			continue
		}
		if !slices.Contains(taken, entry) {
			return &failure{Kind: kindRemote, File: file, Feature: entry, Error: "it is in another place"}
		}
		got, err := repo.exchange(ask{Ask: "remote", Path: entry, Folder: shown(folder)})
		if err != nil {
			return &failure{Kind: kindRemote, File: file, Feature: entry, Error: err.Error()}
		}
		if got.Kind == "" {
			if len(w.wanted) == 0 {
				w.file = file
			}
			w.wanted = append(w.wanted, entry)
			continue
		}
		elsewhere[entry] = within(got.Real)
	}
	if len(elsewhere) > 0 {
		if err := redirect(repo, folder, name, elsewhere); err != nil {
			return &failure{Kind: kindBuild, File: file, Error: err.Error()}
		}
	}
	for _, generator := range k.ConfigMapGenerator {
		w.written.Generated = append(w.written.Generated, generated{Kind: "ConfigMap", Name: generator.Name, Path: file})
	}
	for _, generator := range k.SecretGenerator {
		w.written.Generated = append(w.written.Generated, generated{Kind: "Secret", Name: generator.Name, Path: file})
	}
	for _, entry := range taken {
		next, other := elsewhere[entry]
		if !other {
			next = path.Join(folder, entry)
		}
		if got, err := repo.stat(next); err == nil && got.Kind == "file" {
			w.written.Files = append(w.written.Files, got.Real)
		}
		if (other || !path.IsAbs(entry)) && repo.IsDir(next) {
			known.takes = append(known.takes, next)
			if refused := w.check(next, namespace); refused != nil {
				return refused
			}
		}
	}
	return nil
}

// visited is what was seen of a folder's kustomization.
type visited struct {
	file string
	// namespace is its own.
	namespace string
	// takes are the folders that it takes.
	takes []string
	// spaces are the namespaces of those that take it.
	spaces map[string]bool
}

// maxVisits bounds in how many ways the kustomizations of a job may take each other.
const maxVisits = 20_000

// again looks at a folder that is taken once more: what it says is known, and its charts are rendered for one namespace.
func (w *walk) again(folder, namespace string, known *visited) *failure {
	if known.spaces[namespace] || known.namespace != "" {
		return nil
	}
	if w.visits++; w.visits > maxVisits {
		return &failure{Kind: kindBuild, Error: "the kustomizations take each other in more than 20000 ways"}
	}
	known.spaces[namespace] = true
	if before, there := w.spaces[folder]; there && before != namespace {
		return &failure{Kind: kindRefused, File: known.file, Feature: "helmCharts",
			Error: fmt.Sprintf("its charts are taken for the namespaces %q and %q at once; give them a namespace there", before, namespace)}
	}
	for _, next := range known.takes {
		if refused := w.check(next, namespace); refused != nil {
			return refused
		}
	}
	return nil
}

// field is the key that a kustomization has for a field: they are read whatever their case.
func field(k map[string]any, name string) string {
	for key := range k {
		if strings.EqualFold(key, name) {
			return key
		}
	}
	return name
}

// redirect has a kustomization take folders of other repositories from where they are open.
func redirect(repo *repository, folder, name string, elsewhere map[string]string) error {
	text, err := repo.ReadFile(path.Join(folder, name))
	if err != nil {
		return err
	}
	var k map[string]any
	if err := yaml.Unmarshal(text, &k); err != nil {
		return err
	}
	for _, name := range []string{"resources", "bases", "components"} {
		entries, _ := k[field(k, name)].([]any)
		for at, entry := range entries {
			written, _ := entry.(string)
			if target, other := elsewhere[written]; other {
				if entries[at], err = filepath.Rel(folder, target); err != nil {
					return err
				}
			}
		}
	}
	changed, err := yaml.Marshal(k)
	if err != nil {
		return err
	}
	repo.change(path.Join(folder, name), changed)
	return nil
}

// references are the places of a kustomization where kustomize would follow an address.
func references(k *types.Kustomization) []string {
	all := slices.Concat(k.Resources, k.Bases, k.Components, k.Crds, k.Configurations, k.Generators, k.Transformers, k.Validators)
	for _, patch := range slices.Concat(k.Patches, k.PatchesJson6902) {
		all = append(all, patch.Path)
	}
	for _, patch := range k.PatchesStrategicMerge {
		if !strings.Contains(string(patch), "\n") {
			all = append(all, string(patch))
		}
	}
	for _, replacement := range k.Replacements {
		all = append(all, replacement.Path)
	}
	sources := func(s types.KvPairSources) {
		for _, file := range slices.Concat(s.FileSources, s.EnvSources, []string{s.EnvSource}) {
			if _, value, named := strings.Cut(file, "="); named {
				file = value
			}
			all = append(all, file)
		}
	}
	for _, generator := range k.ConfigMapGenerator {
		sources(generator.KvPairSources)
	}
	for _, generator := range k.SecretGenerator {
		sources(generator.KvPairSources)
	}
	return append(all, k.OpenAPI["path"])
}

// remote tells whether an entry names something outside the repository: an address of a form that kustomize fetches,
// and nothing in the repository.
func remote(repo *repository, folder, entry string) bool {
	if entry == "" || strings.Contains(entry, "\n") {
		return false
	}
	if strings.Contains(entry, "://") || strings.HasPrefix(entry, "git::") {
		return true
	}
	if !path.IsAbs(entry) && repo.Exists(path.Join(folder, entry)) {
		return false
	}
	if strings.Contains(entry, "?ref=") || strings.Contains(entry, "?version=") || strings.Contains(entry, ".git/") ||
		strings.HasSuffix(entry, ".git") {
		return true
	}
	host, _, _ := strings.Cut(entry, "/")
	user, _, scp := strings.Cut(host, ":")
	return host == "github.com" || (scp && strings.Contains(user, "@")) || strings.HasPrefix(entry, "github.com:")
}

// leaves tells whether an entry is a path out of the repository.
func leaves(folder, entry string) bool {
	if entry == "" || strings.Contains(entry, "\n") || strings.Contains(entry, "://") {
		return false
	}
	return path.IsAbs(entry) || treeOf(path.Join(folder, entry)) != treeOf(folder)
}

// plugins refuses generators, transformers and validators that would start a program or a container.
func plugins(repo *repository, folder, file string, k *types.Kustomization) *failure {
	for _, entry := range slices.Concat(k.Generators, k.Transformers, k.Validators) {
		text, where := []byte(entry), file
		if !strings.Contains(entry, "\n") {
			target := path.Join(folder, entry)
			if path.IsAbs(entry) || repo.IsDir(target) || !repo.Exists(target) {
				continue
			}
			read, err := repo.ReadFile(target)
			if err != nil {
				continue
			}
			text, where = read, shown(target)
		}
		for _, document := range strings.Split("\n"+string(text), "\n---") {
			var config struct {
				APIVersion string `json:"apiVersion"`
				Kind       string `json:"kind"`
				Metadata   struct {
					Annotations map[string]string `json:"annotations"`
				} `json:"metadata"`
			}
			if yaml.Unmarshal([]byte(document), &config) != nil || config.Kind == "" {
				continue
			}
			for _, function := range []string{"config.kubernetes.io/function", "config.k8s.io/function"} {
				if _, there := config.Metadata.Annotations[function]; there {
					return &failure{Kind: kindRefused, File: where, Feature: config.Kind,
						Error: "functions in containers or programs are not run"}
				}
			}
			if config.APIVersion != "builtin" {
				return &failure{Kind: kindRefused, File: where, Feature: config.APIVersion + "/" + config.Kind,
					Error: "plugins other than the built-in ones are not run"}
			}
			if config.Kind == "HelmChartInflationGenerator" {
				return &failure{Kind: kindRefused, File: where, Feature: config.Kind,
					Error: "charts are rendered where they stand in helmCharts"}
			}
		}
	}
	return nil
}

// asksForOrigins tells whether a kustomization itself asks for the file of every object.
func asksForOrigins(repo *repository, folder, file string) bool {
	text, err := repo.ReadFile(path.Join(folder, file))
	if err != nil {
		return false
	}
	var k types.Kustomization
	return k.Unmarshal(text) == nil && slices.Contains(k.BuildMetadata, types.OriginAnnotations)
}

// traceOrigins makes kustomize note the file of every object.
func traceOrigins(repo *repository, folder, file string) error {
	text, err := repo.ReadFile(path.Join(folder, file))
	if err != nil {
		return err
	}
	var typed types.Kustomization
	if err := typed.Unmarshal(text); err != nil || typed.CheckEmpty() != nil {
		return errors.New("nothing to build")
	}
	var k map[string]any
	if err := yaml.Unmarshal(text, &k); err != nil || k == nil {
		return errors.New("not a mapping")
	}
	metadata := field(k, "buildMetadata")
	options, _ := k[metadata].([]any)
	if slices.Contains(options, any(types.OriginAnnotations)) {
		return nil
	}
	k[metadata] = append(options, types.OriginAnnotations)
	changed, err := yaml.Marshal(k)
	if err != nil {
		return err
	}
	repo.change(path.Join(folder, file), changed)
	return nil
}
