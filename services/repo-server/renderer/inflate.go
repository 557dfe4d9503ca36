package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/kio"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/kustomize/kyaml/yaml/merge2"
	"sigs.k8s.io/yaml"
)

const (
	// inflatedFile is what a kustomization takes its charts' objects from; no repository has a file of that name by chance.
	inflatedFile = "+helm.yaml"
	// pulledFolder is where charts of other places are seen, below a kustomization's folder.
	pulledFolder = "+helm"
	// unnamed is the release's name where none is given: the command's own, whatever it generates.
	unnamed = "release-name"
)

// buildOptions are what a tenant's settings and an application say about `kustomize build`.
type buildOptions struct {
	EnableHelm   bool     `json:"enableHelm"`
	LoadAnywhere bool     `json:"loadAnywhere"`
	KubeVersion  string   `json:"kubeVersion"`
	APIVersions  []string `json:"apiVersions"`
	// Origins has the library note the file of every object, which costs it a third of its time.
	Origins bool `json:"origins"`
}

// inflate renders the charts of a folder's kustomization as kustomize has the command render them, and has it take what
// they came out as. Charts that are to be fetched first are a failure that says so.
func (w *walk) inflate(folder, name, namespace string, k *types.Kustomization) *failure {
	file := shown(path.Join(folder, name))
	if !w.build.EnableHelm {
		return &failure{Kind: kindHelmOff, File: file, Feature: "helmCharts",
			Error: "the setting kustomize.buildOptions has no --enable-helm"}
	}
	var globals types.HelmGlobals
	if k.HelmGlobals != nil {
		globals = *k.HelmGlobals
	}
	var text bytes.Buffer
	var missing []wanted
	for _, given := range k.HelmCharts {
		if given.Namespace == "" {
			given.Namespace = namespace
			w.spaces[folder] = namespace
		}
		one := inflation{walk: w, folder: folder, HelmGlobals: globals, HelmChart: given}
		objects, elsewhere, refused := one.render()
		if elsewhere != nil && !slices.Contains(missing, *elsewhere) {
			missing = append(missing, *elsewhere)
		}
		if refused != nil {
			// What was fetched is in no file that anybody could edit.
			if refused.File == "" || strings.Contains("/"+refused.File, "/"+pulledFolder+"/") {
				refused.File, refused.Line = file, 0
			}
			return refused
		}
		text.Write(objects)
	}
	if len(missing) > 0 {
		return &failure{Kind: kindBuild, File: file, Feature: missing[0].Name, Wanted: missing, Error: "the chart is in another place"}
	}
	if err := w.take(folder, name, text.Bytes()); err != nil {
		return &failure{Kind: kindBuild, File: file, Error: err.Error()}
	}
	return nil
}

// take has a kustomization take objects instead of its charts.
func (w *walk) take(folder, name string, objects []byte) error {
	text, err := w.repo.ReadFile(path.Join(folder, name))
	if err != nil {
		return err
	}
	var k map[string]any
	if err := yaml.Unmarshal(text, &k); err != nil {
		return err
	}
	for _, name := range []string{"helmCharts", "helmGlobals", "helmChartInflationGenerator"} {
		delete(k, field(k, name))
	}
	if len(objects) > 0 {
		resources := field(k, "resources")
		taken, _ := k[resources].([]any)
		k[resources] = append(taken, inflatedFile)
		w.repo.put(path.Join(folder, inflatedFile), objects)
	}
	left, err := yaml.Marshal(k)
	if err != nil {
		return err
	}
	var typed types.Kustomization
	if len(objects) == 0 && typed.Unmarshal(left) == nil && typed.CheckEmpty() != nil {
		// What has nothing at all in it is refused, which charts without objects are not. The one that is built says by itself
		// what it has noted.
		k["buildMetadata"] = []string{types.OriginAnnotations}
	}
	changed, err := yaml.Marshal(k)
	if err != nil {
		return err
	}
	w.repo.change(path.Join(folder, name), changed)
	return nil
}

// inflation is a chart in a kustomization.
type inflation struct {
	walk   *walk
	folder string
	types.HelmGlobals
	types.HelmChart
}

func broken(format string, values ...any) *failure {
	return &failure{Kind: kindBuild, Error: fmt.Sprintf(format, values...)}
}

// render is the objects of the chart, or what is to be fetched first.
func (i *inflation) render() ([]byte, *wanted, *failure) {
	if i.Name == "" {
		return nil, nil, broken("chart name cannot be empty")
	}
	if strings.HasPrefix(i.Name, "-") || strings.HasPrefix(i.ReleaseName, "-") {
		return nil, nil, broken("a chart's name and releaseName must not start with '-'")
	}
	if i.ValuesMerge != "" && !slices.Contains([]string{"merge", "override", "replace"}, i.ValuesMerge) {
		return nil, nil, broken("valuesMerge must be one of merge, override and replace")
	}
	loaded, at, refused := i.load()
	if refused != nil {
		return nil, nil, refused
	}
	if loaded == nil {
		return nil, i.elsewhere(), nil
	}
	values, refused := i.values(loaded, at)
	if refused != nil {
		return nil, nil, refused
	}
	release, err := i.release()
	if err == nil {
		err = chartutil.ValidateReleaseName(release)
	}
	if err != nil {
		return nil, nil, broken("the release of the chart %q: %s", i.Name, err)
	}
	options := &helmOptions{ReleaseName: release, Namespace: i.Namespace, KubeVersion: i.walk.build.KubeVersion,
		APIVersions: i.walk.build.APIVersions, SkipCrds: !i.IncludeCRDs, SkipTests: i.SkipTests, skipHooks: i.SkipHooks}
	if i.HelmChart.KubeVersion != "" {
		options.KubeVersion = i.HelmChart.KubeVersion
	}
	if len(i.HelmChart.ApiVersions) > 0 {
		options.APIVersions = i.HelmChart.ApiVersions
	}
	cluster, refused := newTarget(i.walk.repo, options)
	if refused != nil {
		return nil, nil, broken("the chart %q: %s", i.Name, refused.Error)
	}
	if refused := checkChart(loaded, at, options); refused != nil {
		// Nothing is fetched for a chart that kustomize renders.
		if refused.Kind == kindDependency || refused.Kind == kindLock {
			return nil, nil, broken("the chart %q: %s", i.Name, refused.Error)
		}
		return nil, nil, refused
	}
	pieces, err := renderChart(loaded, values, options, cluster)
	if err != nil {
		return nil, nil, placed(i.walk.repo, at, broken("the chart %q: %s", i.Name, unrooted(err)))
	}
	drawn := chance(loaded, values)
	if strings.Contains(i.NameTemplate, "{{") {
		drawn = append(drawn, "nameTemplate")
	}
	for _, named := range drawn {
		if !slices.Contains(i.walk.chance, named) {
			i.walk.chance = append(i.walk.chance, named)
		}
	}
	var all bytes.Buffer
	for _, piece := range pieces {
		if err := mark(&all, piece.text); err != nil {
			return nil, nil, broken("the chart %q: %s: %s", i.Name, piece.name, err)
		}
	}
	return all.Bytes(), nil, nil
}

// mark writes the objects of a text as kustomize reads them, each known for a chart's: its namespace is the chart's affair.
func mark(into *bytes.Buffer, text string) error {
	reader := kio.ByteReader{Reader: strings.NewReader(text), OmitReaderAnnotations: true}
	nodes, err := reader.Read()
	if err != nil {
		return err
	}
	for _, node := range nodes {
		if node.IsNilOrEmpty() {
			continue
		}
		if err := node.PipeE(kyaml.SetAnnotation(konfig.HelmGeneratedAnnotation, "true")); err != nil {
			return err
		}
		written, err := node.String()
		if err != nil {
			return err
		}
		into.WriteString("---\n" + written)
	}
	return nil
}

// load is the chart and its folder: the one below the kustomization, else the one that was fetched. There is none yet where
// it is to be fetched.
func (i *inflation) load() (*chart.Chart, string, *failure) {
	repo, tree := i.walk.repo, treeOf(i.folder)
	home := i.ChartHome
	if home == "" {
		home = types.HelmDefaultHome
	}
	if i.Version != "" && i.Repo != "" {
		home = path.Join(home, i.Name+"-"+i.Version)
	}
	at := path.Join(i.folder, home, i.Name)
	if path.IsAbs(home) || treeOf(at) != tree {
		return nil, "", &failure{Kind: kindOutside, Feature: path.Join(home, i.Name), Error: "it is outside the repository"}
	}
	if repo.IsDir(at) {
		loaded, err := loadChart(repo, at)
		if err != nil {
			return nil, "", broken("the chart %q: %s", i.Name, unrooted(err))
		}
		return loaded, at, nil
	}
	if i.Repo == "" {
		return nil, "", broken("no repo specified for pull, no chart found at '%s'", shown(at))
	}
	if strings.HasPrefix(i.Repo, "file:") {
		return nil, "", broken("the chart %q: its repository %q is no chart repository", i.Name, i.Repo)
	}
	loaded, err := i.pulled()
	if err != nil {
		return nil, "", broken("the chart %q: %s", i.Name, unrooted(err))
	}
	return loaded, path.Join(i.folder, pulledFolder), nil
}

// elsewhere is what is to be fetched.
func (i *inflation) elsewhere() *wanted {
	one := &wanted{Name: i.Name, Version: i.Version, Repository: strings.TrimSuffix(i.Repo, "/")}
	switch {
	case one.Version != "":
	case i.Devel:
		one.Version = ">0.0.0-0"
	default:
		one.Version = "*"
	}
	return one
}

// folderOf is where a chart of another place is seen, below the kustomization's folder: each by where it is from.
func folderOf(one *wanted) string {
	sum := sha256.Sum256([]byte(one.Repository + "\x00" + one.Name + "\x00" + one.Version))
	return path.Join(pulledFolder, hex.EncodeToString(sum[:16]))
}

// pulled is the chart as it was fetched, if it was.
func (i *inflation) pulled() (*chart.Chart, error) {
	repo := i.walk.repo
	folder := path.Join(i.folder, folderOf(i.elsewhere()), "charts")
	if !repo.IsDir(folder) {
		return nil, nil
	}
	items, err := repo.items(folder)
	if err != nil || len(items) != 1 {
		return nil, err
	}
	archive, err := repo.ReadFile(path.Join(folder, items[0].name))
	if err != nil {
		return nil, err
	}
	return loader.LoadArchive(bytes.NewReader(archive))
}

// values are what overrides the chart's own, as kustomize puts them together for the command.
func (i *inflation) values(loaded *chart.Chart, at string) (map[string]any, *failure) {
	var text []byte
	inline := len(i.ValuesInline) > 0
	if !inline || i.ValuesMerge != "replace" {
		var refused *failure
		if text, refused = i.valuesFile(loaded, at); refused != nil {
			return nil, refused
		}
	}
	if inline {
		merged, err := i.inlined(text)
		if err != nil {
			return nil, broken("the chart %q: could not merge values: %s", i.Name, err)
		}
		text = merged
	}
	values, err := mergeText(map[string]any{}, text)
	if err != nil {
		return nil, broken("the chart %q: its values: %s", i.Name, err)
	}
	for _, name := range i.AdditionalValuesFiles {
		more, refused := i.read(name)
		if refused != nil {
			return nil, refused
		}
		if values, err = mergeText(values, more); err != nil {
			return nil, broken("failed to parse %s: %s", name, err)
		}
	}
	return values, nil
}

// valuesFile is the file that is named, else the chart's own.
func (i *inflation) valuesFile(loaded *chart.Chart, at string) ([]byte, *failure) {
	if i.ValuesFile != "" {
		return i.read(i.ValuesFile)
	}
	for _, file := range loaded.Raw {
		if file.Name == chartutil.ValuesfileName {
			return file.Data, nil
		}
	}
	return nil, broken("the chart %q has no %s; name a valuesFile", i.Name, chartutil.ValuesfileName)
}

// inlined is a values file and the values that stand in the kustomization, the latter over the former unless it says
// otherwise.
func (i *inflation) inlined(text []byte) ([]byte, error) {
	if i.ValuesMerge == "replace" {
		return yaml.Marshal(i.ValuesInline)
	}
	below, err := kyaml.Parse(string(text))
	if err != nil {
		return nil, err
	}
	above, err := kyaml.FromMap(i.ValuesInline)
	if err != nil {
		return nil, err
	}
	if i.ValuesMerge == "merge" {
		above, below = below, above
	}
	merged, err := merge2.Merge(above, below, kyaml.MergeOptions{})
	if err != nil {
		return nil, err
	}
	values, err := merged.Map()
	if err != nil {
		return nil, err
	}
	return yaml.Marshal(values)
}

// read is a file that the kustomization names: in its folder, unless files may be anywhere.
func (i *inflation) read(name string) ([]byte, *failure) {
	repo := i.walk.repo
	if strings.Contains(name, "://") {
		return nil, &failure{Kind: kindRemote, Feature: name, Error: "it is in another place"}
	}
	got, err := repo.stat(path.Join(i.folder, name))
	if err != nil {
		return nil, broken("%s: %s", name, unrooted(err))
	}
	real := within(got.Real)
	if path.IsAbs(name) || treeOf(real) != treeOf(i.folder) {
		return nil, &failure{Kind: kindOutside, Feature: name, Error: "it is outside the repository"}
	}
	if got.Kind != "file" {
		return nil, broken("open %s: no such file", shown(path.Join(i.folder, name)))
	}
	if !i.walk.build.LoadAnywhere && !strings.HasPrefix(real, i.folder+"/") {
		return nil, broken("security; file '%s' is not in or below '%s'", shown(real), shown(i.folder))
	}
	text, err := repo.ReadFile(real)
	if err != nil {
		return nil, broken("%s: %s", name, unrooted(err))
	}
	return text, nil
}

// release is the name of the release, by its template where there is one.
func (i *inflation) release() (string, error) {
	if i.NameTemplate == "" {
		if i.ReleaseName == "" {
			return unnamed, nil
		}
		return i.ReleaseName, nil
	}
	if i.ReleaseName != "" || i.Name == "" {
		return "", fmt.Errorf("cannot set nameTemplate and also a releaseName")
	}
	parsed, err := template.New("nameTemplate").Funcs(sprig.TxtFuncMap()).Parse(i.NameTemplate)
	if err != nil {
		return "", err
	}
	var name bytes.Buffer
	if err := parsed.Execute(&name, nil); err != nil {
		return "", err
	}
	return name.String(), nil
}
