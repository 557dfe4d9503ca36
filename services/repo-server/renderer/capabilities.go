package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"k8s.io/apimachinery/pkg/util/version"
)

// target is what charts learn about the cluster that they are rendered for. What the application's options do not say is
// asked over the pipe when a chart wants to know it, and not before: a render depends on no more than it looked at.
type target struct {
	repo *repository
	// given are the options' own versions; they come instead of the cluster's.
	given []string
	kube  *chartutil.KubeVersion
	apis  map[string]bool
	all   chartutil.VersionSet
}

func newTarget(repo *repository, options *helmOptions) (*target, *failure) {
	made := &target{repo: repo, given: options.APIVersions, apis: map[string]bool{}}
	if options.KubeVersion != "" {
		version, err := kubeVersion(options.KubeVersion)
		if err != nil {
			return nil, &failure{Kind: kindOption, Feature: "spec.source.helm.kubeVersion",
				Error: fmt.Sprintf("invalid kube version '%s': %s", options.KubeVersion, err)}
		}
		made.kube = version
	}
	return made, nil
}

// kubeVersion reads a version as Argo CD does: only its numbers count, not `+k3s1` nor `-gke.5`.
func kubeVersion(text string) (*chartutil.KubeVersion, error) {
	numbers, err := version.ParseGeneric(text)
	if err != nil {
		return nil, err
	}
	return chartutil.ParseKubeVersion(numbers.String())
}

// version is the cluster's, and Helm's own guess where no cluster is known.
func (t *target) version() (*chartutil.KubeVersion, error) {
	if t.kube != nil {
		return t.kube, nil
	}
	got, err := t.repo.exchange(ask{Ask: "kube"})
	if err != nil {
		return nil, err
	}
	found := chartutil.DefaultCapabilities.KubeVersion
	if len(got.Names) > 0 {
		read, err := kubeVersion(got.Names[0])
		if err != nil {
			return nil, fmt.Errorf("could not parse kubernetes version %s: %w", got.Names[0], err)
		}
		found = *read
	}
	t.kube = &found
	return t.kube, nil
}

// has is whether there is an API, `apps/v1` or `apps/v1/Deployment`. What Helm always assumes is not asked about.
func (t *target) has(api string) (bool, error) {
	if chartutil.DefaultVersionSet.Has(api) {
		return true, nil
	}
	if len(t.given) > 0 {
		return slices.Contains(t.given, api), nil
	}
	if known, ok := t.apis[api]; ok {
		return known, nil
	}
	got, err := t.repo.exchange(ask{Ask: "api", Path: api})
	if err != nil {
		return false, err
	}
	t.apis[api] = got.Kind != ""
	return t.apis[api], nil
}

// versions are all APIs.
func (t *target) versions() (chartutil.VersionSet, error) {
	if t.all != nil {
		return t.all, nil
	}
	more := t.given
	if len(more) == 0 {
		got, err := t.repo.exchange(ask{Ask: "apis"})
		if err != nil {
			return nil, err
		}
		more = got.Names
	}
	t.all = slices.Concat(chartutil.DefaultVersionSet, more)
	return t.all, nil
}

// capabilities are `.Capabilities` of a chart's templates. Most charts ask about one API at a time; one that takes the list
// into its hands gets it, and depends on all of it.
type capabilities struct {
	target *target
	list   bool
	// HelmVersion is the same whatever the cluster is.
	HelmVersion any
}

func (t *target) capabilities(loaded *chart.Chart, values map[string]any) (*capabilities, error) {
	// Values may be templates too.
	text, err := json.Marshal(values)
	if err != nil {
		return nil, err
	}
	list := takesList(loaded) || listTaken(text)
	return &capabilities{target: t, list: list, HelmVersion: chartutil.DefaultCapabilities.HelmVersion}, nil
}

func (c *capabilities) KubeVersion() (*chartutil.KubeVersion, error) { return c.target.version() }

func (c *capabilities) APIVersions() (any, error) {
	if c.list {
		return c.target.versions()
	}
	return &oneByOne{c.target}, nil
}

// MarshalJSON is what `toJson` and `toYaml` make of the whole.
func (c *capabilities) MarshalJSON() ([]byte, error) {
	version, err := c.target.version()
	if err != nil {
		return nil, err
	}
	all, err := c.target.versions()
	if err != nil {
		return nil, err
	}
	return json.Marshal(chartutil.Capabilities{
		KubeVersion: *version, APIVersions: all, HelmVersion: chartutil.DefaultCapabilities.HelmVersion,
	})
}

type oneByOne struct{ target *target }

func (o *oneByOne) Has(api string) (bool, error) { return o.target.has(api) }

var (
	mentioned = regexp.MustCompile(`APIVersions`)
	asked     = regexp.MustCompile(`APIVersions\.Has\b`)
)

// listTaken is whether a text names the list without asking it about one.
func listTaken(text []byte) bool {
	return len(mentioned.FindAllIndex(text, -1)) != len(asked.FindAllIndex(text, -1))
}

func takesList(loaded *chart.Chart) bool {
	for _, file := range loaded.Raw {
		if listTaken(file.Data) {
			return true
		}
	}
	return slices.ContainsFunc(loaded.Dependencies(), takesList)
}
