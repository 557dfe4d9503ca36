package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"sort"
	"strings"

	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/releaseutil"
	"sigs.k8s.io/yaml"
)

// piece is a part of the command's output: a template's name from the chart's own, what it rendered to, and the object that
// this is, where it has been read already.
type piece struct {
	name   string
	text   string
	object json.RawMessage
}

// objects are those of a piece, as they are read where it is applied.
func (p piece) objects() ([]json.RawMessage, error) {
	if p.object == nil {
		return documents(p.text)
	}
	return appended(nil, p.object)
}

// sorting is what the documents of a chart's files are known by while Helm sorts them.
type sorting map[place]piece

// place is a text in a file.
type place struct{ file, text string }

// piece is the part of the output that a text stands for: itself, where it is no stand-in.
func (s sorting) piece(file, text string) piece {
	if known, there := s[place{file, text}]; there {
		return known
	}
	return piece{name: file, text: text}
}

// standIns are what Helm sorts in place of a chart's files. To sort a document it reads all of it, which is most of what a
// render takes, and it would be read once more for what it is; so each is read here, and what Helm looks at of it stands
// for it. A file with something in it that one of the two readers may see otherwise stays as it is.
func standIns(files map[string]string) (map[string]string, sorting) {
	standing, known := make(map[string]string, len(files)), sorting{}
	for file, text := range files {
		standing[file] = text
		// Helm reads neither.
		if strings.HasPrefix(path.Base(file), "_") || strings.TrimSpace(text) == "" {
			continue
		}
		entries := releaseutil.SplitManifests(text)
		order := slices.Collect(maps.Keys(entries))
		sort.Sort(releaseutil.BySplitManifestsOrder(order))
		var pieces []piece
		var instead []string
		for number, entry := range order {
			object, looked, ok := read(entries[entry])
			if !ok {
				break
			}
			looked.Number = number
			stands, err := json.Marshal(looked)
			if err != nil {
				break
			}
			pieces = append(pieces, piece{name: file, text: entries[entry], object: object})
			instead = append(instead, string(stands))
		}
		if len(pieces) == 0 || len(pieces) < len(order) {
			continue
		}
		standing[file] = strings.Join(instead, "\n---\n")
		for at, stands := range instead {
			known[place{file, stands}] = pieces[at]
		}
	}
	return standing, known
}

// looked is what Helm looks at of a document to sort it: written as JSON, which is YAML too.
type looked struct {
	// Number tells it from the others of its file; Helm does not look at it.
	Number   int      `json:"+"`
	Kind     string   `json:"kind,omitempty"`
	Metadata metadata `json:"metadata"`
}

type metadata struct {
	Annotations map[string]string `json:"annotations,omitempty"`
}

// read reads a document that Helm cut out as it is read where it is applied, and says what Helm sees in it. It is false
// where that is not certain to be the same: Helm reads the text alone, turns numbers into texts, and minds no case.
func read(text string) (json.RawMessage, looked, bool) {
	var seen looked
	if text == "" || strings.HasPrefix(text, "---") || strings.HasPrefix(text, "%") || strings.Contains(text, "\n---") ||
		strings.Contains(text, "\r") || strings.Contains(text, "\ufeff") {
		return nil, seen, false
	}
	object, err := yaml.YAMLToJSON([]byte("---\n" + text + "\n"))
	if err != nil {
		return nil, seen, false
	}
	// Nothing: Helm refuses a text that ends, or has a directive, before anything begins.
	if isNull(object) {
		return object, seen, onlyComments(text)
	}
	fields, ok := fieldsAtTop(object, "apiVersion", "kind", "metadata")
	if !ok || !isText(fields["apiVersion"]) || !isText(fields["kind"]) {
		return nil, seen, false
	}
	if seen.Kind, ok = textOf(fields["kind"]); !ok {
		return nil, seen, false
	}
	about, ok := fieldsAtTop(fields["metadata"], "name", "annotations")
	if !ok || !isText(about["name"]) {
		return nil, seen, false
	}
	annotations, ok := fieldsAtTop(about["annotations"])
	if !ok {
		return nil, seen, false
	}
	for _, value := range annotations {
		if !bytes.HasPrefix(value, []byte(`"`)) {
			return nil, seen, false
		}
	}
	if hook, there := annotations[release.HookAnnotation]; there {
		events, ok := textOf(hook)
		if !ok {
			return nil, seen, false
		}
		seen.Metadata.Annotations = map[string]string{release.HookAnnotation: events}
	}
	return object, seen, true
}

// onlyComments is whether a text has nothing else, in lines as everybody has them.
func onlyComments(text string) bool {
	if strings.ContainsAny(text, "\u0085\u2028\u2029") {
		return false
	}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return false
		}
	}
	return true
}

func isNull(raw []byte) bool { return len(raw) == 0 || string(raw) == "null" }

func isText(raw json.RawMessage) bool { return isNull(raw) || raw[0] == '"' }

// textOf is a text that YAML has as JSON has it.
func textOf(raw json.RawMessage) (string, bool) {
	var text string
	if isNull(raw) {
		return text, true
	}
	if json.Unmarshal(raw, &text) != nil {
		return text, false
	}
	unusual := func(c rune) bool { return c < ' ' || c > '~' }
	return text, !strings.ContainsFunc(text, unusual)
}

// fieldsAtTop are those of an object, or none of nothing; false where it is something else, or has one of the names written
// otherwise.
func fieldsAtTop(raw json.RawMessage, names ...string) (map[string]json.RawMessage, bool) {
	var fields map[string]json.RawMessage
	if isNull(raw) {
		return fields, true
	}
	if json.Unmarshal(raw, &fields) != nil {
		return nil, false
	}
	for field := range fields {
		for _, name := range names {
			if field != name && strings.EqualFold(field, name) {
				return nil, false
			}
		}
	}
	return fields, true
}

// appended are objects with one more, as it was read; nothing is none.
func appended(objects []json.RawMessage, raw []byte) ([]json.RawMessage, error) {
	if isNull(raw) {
		return objects, nil
	}
	if err := named(raw); err != nil {
		return nil, fmt.Errorf("failed to unmarshal manifest: %w", err)
	}
	return append(objects, raw), nil
}
