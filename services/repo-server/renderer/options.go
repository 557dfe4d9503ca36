package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"

	"sigs.k8s.io/kustomize/api/pkg/util"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"
)

// options are an application's, as Argo CD's ApplicationSourceKustomize has them.
type options struct {
	NamePrefix              string            `json:"namePrefix"`
	NameSuffix              string            `json:"nameSuffix"`
	Images                  []string          `json:"images"`
	CommonLabels            map[string]string `json:"commonLabels"`
	CommonAnnotations       map[string]string `json:"commonAnnotations"`
	ForceCommonLabels       bool              `json:"forceCommonLabels"`
	ForceCommonAnnotations  bool              `json:"forceCommonAnnotations"`
	Namespace               string            `json:"namespace"`
	Replicas                []replica         `json:"replicas"`
	Patches                 []json.RawMessage `json:"patches"`
	Components              []string          `json:"components"`
	IgnoreMissingComponents bool              `json:"ignoreMissingComponents"`
	LabelWithoutSelector    bool              `json:"labelWithoutSelector"`
	LabelIncludeTemplates   bool              `json:"labelIncludeTemplates"`
}

// replica is a name and a count that may be written as a number or as text.
type replica struct {
	Name  string          `json:"name"`
	Count json.RawMessage `json:"count"`
}

func (o *options) empty() bool {
	return o == nil || (o.NamePrefix == "" && o.NameSuffix == "" && len(o.Images) == 0 && len(o.CommonLabels) == 0 &&
		len(o.CommonAnnotations) == 0 && o.Namespace == "" && len(o.Replicas) == 0 && len(o.Patches) == 0 &&
		len(o.Components) == 0)
}

// apply changes the folder's kustomization as `kustomize edit` would, in the order in which Argo CD calls it.
func (o *options) apply(repo *repository, folder, file string) error {
	text, err := repo.ReadFile(path.Join(folder, file))
	if err != nil {
		return err
	}
	var k types.Kustomization
	if err := k.Unmarshal(text); err != nil {
		return err
	}
	k.FixKustomization()
	if o.NamePrefix != "" {
		k.NamePrefix = o.NamePrefix
	}
	if o.NameSuffix != "" {
		k.NameSuffix = o.NameSuffix
	}
	if err := o.images(&k); err != nil {
		return err
	}
	if err := o.replicas(&k); err != nil {
		return err
	}
	if err := o.labels(&k); err != nil {
		return err
	}
	if len(o.CommonAnnotations) > 0 && k.CommonAnnotations == nil {
		k.CommonAnnotations = map[string]string{}
	}
	if err := merge(k.CommonAnnotations, o.CommonAnnotations, "annotation", o.ForceCommonAnnotations); err != nil {
		return err
	}
	if o.Namespace != "" {
		k.Namespace = o.Namespace
	}
	for _, raw := range o.Patches {
		var patch types.Patch
		if err := json.Unmarshal(raw, &patch); err != nil {
			return fmt.Errorf("spec.source.kustomize.patches: %w", err)
		}
		k.Patches = append(k.Patches, patch)
	}
	for _, component := range o.Components {
		if !repo.Exists(path.Join(folder, component)) {
			if o.IgnoreMissingComponents {
				continue
			}
			return fmt.Errorf("the component %q is not in the repository", component)
		}
		if !slices.Contains(k.Components, component) {
			k.Components = append(k.Components, component)
		}
	}
	changed, err := yaml.Marshal(k)
	if err != nil {
		return err
	}
	repo.change(path.Join(folder, file), changed)
	return nil
}

// images does what `kustomize edit set image` does: `[old=]name[:tag][@digest]`, where `*` keeps what is there.
func (o *options) images(k *types.Kustomization) error {
	if len(o.Images) == 0 {
		return nil
	}
	wanted := map[string]types.Image{}
	for _, text := range o.Images {
		image, err := parseImage(text)
		if err != nil {
			return err
		}
		wanted[image.Name] = image
	}
	keep := func(new, old string) string {
		if new == "*" {
			return old
		}
		return new
	}
	for _, old := range k.Images {
		image, ok := wanted[old.Name]
		if !ok {
			wanted[old.Name] = old
			continue
		}
		image.NewName = keep(image.NewName, old.NewName)
		image.NewTag = keep(image.NewTag, old.NewTag)
		image.Digest = keep(image.Digest, old.Digest)
		wanted[old.Name] = image
	}
	k.Images = nil
	for _, image := range wanted {
		image.NewName, image.NewTag, image.Digest = keep(image.NewName, ""), keep(image.NewTag, ""), keep(image.Digest, "")
		k.Images = append(k.Images, image)
	}
	sort.Slice(k.Images, func(i, j int) bool { return k.Images[i].Name < k.Images[j].Name })
	return nil
}

func parseImage(text string) (types.Image, error) {
	old, value, renamed := strings.Cut(text, "=")
	if !renamed {
		value = text
	}
	name, tag, digest := util.SplitImageName(value)
	if name == text {
		return types.Image{}, fmt.Errorf("the image override %q must be one of <image>=<newimage>:<newtag>, "+
			"<image>=<newimage>@<digest>, <image>=<newimage>, <image>:<newtag>, <image>@<digest>", text)
	}
	if renamed {
		return types.Image{Name: old, NewName: name, NewTag: tag, Digest: digest}, nil
	}
	return types.Image{Name: name, NewTag: tag, Digest: digest}, nil
}

func (o *options) replicas(k *types.Kustomization) error {
	if len(o.Replicas) == 0 {
		return nil
	}
	wanted := map[string]types.Replica{}
	for _, r := range o.Replicas {
		var count int64
		text := strings.Trim(string(r.Count), `"`)
		if _, err := fmt.Sscanf(text, "%d", &count); err != nil || fmt.Sprint(count) != text {
			return fmt.Errorf("spec.source.kustomize.replicas: %q is no count for %q", text, r.Name)
		}
		wanted[r.Name] = types.Replica{Name: r.Name, Count: count}
	}
	for _, old := range k.Replicas {
		if _, ok := wanted[old.Name]; !ok {
			wanted[old.Name] = old
		}
	}
	k.Replicas = nil
	for _, r := range wanted {
		k.Replicas = append(k.Replicas, r)
	}
	sort.Slice(k.Replicas, func(i, j int) bool { return k.Replicas[i].Name < k.Replicas[j].Name })
	return nil
}

// labels does what `kustomize edit add label` does.
func (o *options) labels(k *types.Kustomization) error {
	if len(o.CommonLabels) == 0 {
		return nil
	}
	if o.LabelIncludeTemplates && !o.LabelWithoutSelector {
		return errors.New("spec.source.kustomize.labelIncludeTemplates needs labelWithoutSelector")
	}
	if !o.LabelWithoutSelector {
		if k.CommonLabels == nil {
			k.CommonLabels = map[string]string{}
		}
		return merge(k.CommonLabels, o.CommonLabels, "label", o.ForceCommonLabels)
	}
	for i := range k.Labels {
		if !k.Labels[i].IncludeSelectors && k.Labels[i].IncludeTemplates == o.LabelIncludeTemplates {
			if k.Labels[i].Pairs == nil {
				k.Labels[i].Pairs = map[string]string{}
			}
			return merge(k.Labels[i].Pairs, o.CommonLabels, "label", o.ForceCommonLabels)
		}
	}
	k.Labels = append(k.Labels, types.Label{Pairs: o.CommonLabels, IncludeTemplates: o.LabelIncludeTemplates})
	return nil
}

func merge(into, from map[string]string, kind string, force bool) error {
	for key, value := range from {
		if _, there := into[key]; there && !force {
			return fmt.Errorf("%s %s already in kustomization file. Use --force to override.", kind, key)
		}
		into[key] = value
	}
	return nil
}
