package main

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"

	"helm.sh/helm/v3/pkg/chart"
)

// drawn are the functions that may say something else the next time: chance, or the moment. Those that format a time are
// among them, for without one they take the moment, and those that list a map in no order.
var drawn = regexp.MustCompile(`\b(rand(?:AlphaNum|Alpha|Ascii|Numeric|Int|Bytes)|shuffle|uuidv4|gen(?:PrivateKey|CA|SelfSignedCert|SignedCert)(?:WithKey)?|htpasswd|bcrypt|encryptAES|now|ago|date|dateInZone|date_in_zone|htmlDate|htmlDateInZone|durationRound|keys|values)\b`)

// action is what a template computes; text around it says nothing.
var action = regexp.MustCompile(`(?s)\{\{.*?\}\}`)

// chance names the functions of a chart and its values whose answer may differ from render to render. It may name one
// that is never called, which costs a render and nothing else.
func chance(loaded *chart.Chart, values map[string]any) []string {
	found := map[string]struct{}{}
	look := func(text []byte) {
		for _, one := range action.FindAll(text, -1) {
			for _, name := range drawn.FindAll(one, -1) {
				found[string(name)] = struct{}{}
			}
		}
	}
	var enter func(*chart.Chart)
	enter = func(one *chart.Chart) {
		for _, file := range one.Raw {
			look(file.Data)
		}
		for _, dependency := range one.Dependencies() {
			enter(dependency)
		}
	}
	enter(loaded)
	if text, err := json.Marshal(values); err == nil {
		look(text)
	}
	return slices.Sorted(maps.Keys(found))
}
