package main

import (
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
)

// Functions of chance are found in what a template computes, wherever it stands, and not in what is said of it.
func TestChanceIsWhatIsComputed(t *testing.T) {
	for text, expected := range map[string]string{
		"now {{ .Values.a }} date":                     "",
		"{{ now }}":                                    "now",
		"{{- date \"x\" . -}}":                         "date",
		"{{ .Values.now }}":                            "now",
		"{{ nowhere }}{{ renow }}{{ a_now }}":          "",
		"{{/* now */}}{{ date }}":                      "date",
		"{{- /* keys and\nvalues */ -}}":               "",
		"{{/* {{ now }} */}}{{ keys . }}":              "keys",
		"{{-\n/* now */\n-}}":                          "",
		"{{ /* now */}}":                               "now",
		"{{/* now }}":                                  "now",
		"{{/* a */ now }}":                             "now",
		"{{/* a */-}} now }}{{ date }}":                "date",
		"{{ if now }}{{/* date */}}{{ values . }}{{ }": "now values",
		"{{ cat \"}}\" now }}":                         "now",
		"{{ cat `}}\n\\` now }} date":                  "now",
		"{{ cat \"\\\"}}\" '}' now }} date":            "now",
		"{{ tpl (printf \"{{ %s }}\" \"now\") . }}":    "now",
		"{{ \"{{/*\" }}{{ now }}{{ \"*/}}\" }}":        "now",
		"{{ it's\n}} date {{ now }}":                   "now",
		"{{ now":                                       "now",
		"\"{{ f \\\"a\\\" }}\", \"now\", \"}}\"":       "",
		"date }} {{":                                   "",
	} {
		file := &chart.File{Name: "templates/a.yaml", Data: []byte(text)}
		if got := strings.Join(chance(&chart.Chart{Raw: []*chart.File{file}}, nil), " "); got != expected {
			t.Errorf("%q: %s", text, got)
		}
		values := map[string]any{"a": []any{map[string]any{"b": text}}}
		if got := strings.Join(chance(&chart.Chart{}, values), " "); got != expected {
			t.Errorf("%q as a value: %s", text, got)
		}
	}
	values := map[string]any{"a": "{{\nnow }}"}
	if got := chance(&chart.Chart{}, values); len(got) != 1 {
		t.Errorf("after a break: %s", got)
	}
	values = map[string]any{"{{ now }}": 1, "a": "{{", "b": "date }}", "c": "x\f{{<now}}", "keys": []any{true, nil, "values"}}
	if got := chance(&chart.Chart{}, values); strings.Join(got, " ") != "date now" {
		t.Errorf("in keys, over several and beside signs: %s", got)
	}
}
