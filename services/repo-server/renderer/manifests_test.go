package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/releaseutil"
)

// output is what Helm's sorting makes of a chart's files, with the objects that are read of it.
func output(files map[string]string, known sorting) (lines []string) {
	hooks, manifests, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
	if err != nil {
		return []string{err.Error()}
	}
	say := func(what string, one piece) {
		objects, err := one.objects()
		lines = append(lines, fmt.Sprintf("%s %s %q %s %v", what, one.name, one.text, objects, err))
	}
	for _, manifest := range manifests {
		say("manifest", known.piece(manifest.Name, manifest.Content))
	}
	for _, hook := range hooks {
		say(fmt.Sprint("hook", slices.Contains(hook.Events, release.HookTest)), known.piece(hook.Path, hook.Manifest))
	}
	return lines
}

// What stands for a document is sorted as the document is, and what was read of it is what would be read.
func TestStandInsAreSortedAsWhatTheyStandFor(t *testing.T) {
	hook := func(annotations string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  annotations:\n" + annotations
	}
	texts := map[string]struct {
		text string
		// once is whether it is read once.
		once bool
	}{
		"one":            {"apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n", true},
		"several":        {"---\n# Source\nkind: Secret\n---\nkind: Namespace\n--- # more\nkind: Zebra\n---\nkind: Ant", true},
		"last line":      {"kind: ConfigMap\ndata:\n  a: |\n    text", true},
		"kept lines":     {"kind: ConfigMap\ndata:\n  a: |+\n    text\n\n\n", true},
		"values":         {"kind: A\nx: [1.0, 1e3, 0777, yes, ~, 12345678901234567890, \"<&>\"]\ny: {1: a, true: b}", true},
		"anchors":        {"kind: A\na: &a {b: 1}\nc: {<<: *a, d: 2}", true},
		"comments":       {"# nothing\n---\n# at all\n", true},
		"JSON":           {"{\"kind\": \"A\", \"b\": [1]}", true},
		"kind twice":     {"kind: A\nkind: Namespace", true},
		"a hook":         {hook("    helm.sh/hook: pre-install, test\n    helm.sh/hook-weight: \"5\"\n"), true},
		"no hook":        {hook("    a: b\n"), true},
		"unknown hook":   {hook("    helm.sh/hook: another\n"), true},
		"empty hook":     {hook("    helm.sh/hook: \"\"\n"), true},
		"old hook":       {hook("    helm.sh/hook: TEST-success\n"), true},
		"no annotations": {"kind: A\nmetadata:\n  annotations:\n", true},
		"no metadata":    {"kind: A\nmetadata:\n", true},
		"no kind":        {"apiVersion: v1\nmetadata: {name: a}", true},
		"a document end": {"kind: A\n...\nkind: B", true},
		"an end at once": {"...\nkind: A", false},
		"an end then":    {"# nothing\n...\nkind: A", false},
		"an end of old":  {"kind: A\n---\n# nothing\u2028...\nkind: B", false},
		"directive then": {"# nothing\n%YAML 1.1\n---\nkind: A", false},
		"a tag then":     {"# nothing\n%TAG ! tag:a,2000:\n---\nkind: A", false},
		"null":           {"null", false},
		"a merge":        {"kind: A\nmetadata: &m\n  name: a\nb:\n  <<: *m\n  c: d", true},
		"numbers":        {"kind: A\nx: [0o14, 014, 1_000, 0b11, 1e400, -0, .5]", true},
		"a tab":          {"kind: A\nx:\ty", true},
		"a tab before":   {"kind: A\n\tx: y", false},
		"breaks of old":  {"kind: A\u0085metadata:\u0085  name: a", true},
		"a long key":     {"kind: A\n\"" + strings.Repeat("k", 2000) + "\": x", false},
		"a stand-in":     {"{\"+\":1,\"kind\":\"A\",\"metadata\":{}}", true},
		"a hook of none": {hook("    helm.sh/hook:\n"), false},
		"a hook of all":  {hook("    helm.sh/hook: [test]\n"), false},
		"a hook of one":  {hook("    helm.sh/hook: true\n"), false},
		"a weight":       {hook("    helm.sh/hook: test\n    helm.sh/hook-weight: 5\n"), false},
		"kind apart":     {"Kind: Namespace", false},
		"metadata apart": {"kind: Pod\nMETADATA:\n  annotations: {helm.sh/hook: test}", false},
		"other apart":    {"kind: Pod\nmetadata:\n  Annotations: {helm.sh/hook: test}", false},
		"a long s":       {"kind: Pod\nmetadata:\n  annotation\u017f: {helm.sh/hook: test}", false},
		"kind of number": {"kind: 12", false},
		"kind of list":   {"kind: [A]", false},
		"name of number": {"kind: A\nmetadata: {name: 12}", false},
		"name of map":    {"kind: A\nmetadata: {name: {a: b}}", false},
		"metadata text":  {"kind: A\nmetadata: text", false},
		"kind abroad":    {"kind: \u00c4", false},
		"a list":         {"- kind: A", false},
		"a text":         {"text", false},
		"broken":         {"kind: A\n  b: c", false},
		"infinity":       {"kind: A\nx: .inf", false},
		"two begins":     {"---\n---\nkind: A\n---\n---\nkind: B", false},
		"a directive":    {"%YAML 1.1\n---\nkind: A", false},
		"returns":        {"kind: A\r\nb: |\r\n  c\r\n", false},
		"a mark":         {"kind: A\nb: c\n---\n\ufeffkind: B", false},
	}
	for name, one := range texts {
		files := map[string]string{
			"c/templates/" + name + ".yaml": one.text,
			"c/templates/z.yaml":            "kind: Namespace\n",
			"c/templates/_part.yaml":        "kind: A",
			"c/templates/blank.yaml":        " \n",
		}
		standing, known := standIns(files)
		expected, got := output(files, nil), output(standing, known)
		if !reflect.DeepEqual(got, expected) {
			t.Errorf("%s:\n%s\nand not\n%s", name, strings.Join(got, "\n"), strings.Join(expected, "\n"))
		}
		for file, text := range files {
			once := one.once && strings.Contains(file, name) || strings.HasSuffix(file, "/z.yaml")
			if stands := standing[file] != text; stands != once {
				t.Errorf("%s: %s is read once: %v", name, file, stands)
			}
		}
	}
	// All of them beside each other, but for what ends the sorting.
	files := map[string]string{}
	for name, one := range texts {
		if got := output(map[string]string{name: one.text}, nil); len(got) != 1 || !strings.HasPrefix(got[0], "YAML parse error") {
			files[name] = one.text
		}
	}
	standing, known := standIns(files)
	if expected := output(files, nil); len(expected) < 25 || !reflect.DeepEqual(output(standing, known), expected) {
		t.Errorf("%d pieces of all", len(expected))
	}
}
