package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
)

// wanted is a chart that another depends on and that is not there.
type wanted struct {
	Name string `json:"name"`
	// Version is the locked one, or a range where nothing is locked.
	Version string `json:"version"`
	// Repository is written as in the chart, or as in its lock.
	Repository string `json:"repository"`
}

// wantedCharts says where the missing charts come from, by the lock where there is one. It is false when the lock was made
// for other dependencies.
func wantedCharts(loaded *chart.Chart, missing []string) ([]wanted, bool) {
	from := loaded.Metadata.Dependencies
	if lock := loaded.Lock; lock != nil {
		if !locks(loaded, lock) {
			return nil, false
		}
		from = lock.Dependencies
	}
	var all []wanted
	for _, one := range from {
		if one != nil && slices.Contains(missing, one.Name) {
			all = append(all, wanted{Name: one.Name, Version: one.Version, Repository: one.Repository})
		}
	}
	return all, true
}

// locks says whether a lock was made for the chart's dependencies, as `helm dependency build` does.
func locks(loaded *chart.Chart, lock *chart.Lock) bool {
	asked := slices.Clone(loaded.Metadata.Dependencies)
	if loaded.Metadata.APIVersion == chart.APIVersionV1 && digest(map[string][]*chart.Dependency{"dependencies": asked}) == lock.Digest {
		return true // as Helm 2 made it
	}
	for at, one := range asked {
		if one == nil || !(strings.HasPrefix(one.Repository, "@") || strings.HasPrefix(one.Repository, "alias:")) {
			continue
		}
		// A lock has the address that a name stood for.
		named := *one
		for _, locked := range lock.Dependencies {
			if locked != nil && locked.Name == one.Name {
				named.Repository = locked.Repository
			}
		}
		asked[at] = &named
	}
	return digest([2][]*chart.Dependency{asked, lock.Dependencies}) == lock.Digest
}

func digest(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}
