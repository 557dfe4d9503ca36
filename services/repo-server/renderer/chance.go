package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
)

// drawn are the functions that may say something else the next time: chance, or the moment. Those that format a time are
// among them, for without one they take the moment, and those that list a map in no order.
var drawn = func() map[string]bool {
	names := map[string]bool{}
	for _, name := range strings.Fields(`
		randAlphaNum randAlpha randAscii randNumeric randInt randBytes shuffle uuidv4
		genPrivateKey genPrivateKeyWithKey genCA genCAWithKey genSelfSignedCert genSelfSignedCertWithKey genSignedCert
		genSignedCertWithKey htpasswd bcrypt encryptAES
		now ago date dateInZone date_in_zone htmlDate htmlDateInZone durationRound
		keys values`) {
		names[name] = true
	}
	return names
}()

// noName is whether no function's name has that character.
func noName(c rune) bool {
	return c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
}

// chance names the functions of a chart and its values whose answer may differ from render to render. It may name one
// that is never called, which costs a render and nothing else.
func chance(loaded *chart.Chart, values map[string]any) []string {
	found := map[string]struct{}{}
	look := func(text []byte) {
		// What a template computes; text around it says nothing, nor does a comment.
		for {
			_, rest, begun := bytes.Cut(text, []byte("{{"))
			if after, is := afterComment(rest); is {
				text = after
				continue
			}
			action, after, ended := bytes.Cut(rest, []byte("}}"))
			if !begun || !ended {
				return
			}
			for _, word := range bytes.FieldsFunc(action, noName) {
				if drawn[string(word)] {
					found[string(word)] = struct{}{}
				}
			}
			text = after
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
		// A break before a word is no letter of it.
		look(unbroken.ReplaceAll(text, []byte(" ")))
	}
	return slices.Sorted(maps.Keys(found))
}

var unbroken = regexp.MustCompile(`\\[nrt]`)

// afterComment is what follows a comment that begins an action, `/* */}}` or `- /* */ -}}`, as templates have it.
func afterComment(action []byte) ([]byte, bool) {
	blank := func(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
	if len(action) > 1 && action[0] == '-' && blank(action[1]) {
		action = action[2:]
	}
	comment, begun := bytes.CutPrefix(action, []byte("/*"))
	_, after, ended := bytes.Cut(comment, []byte("*/"))
	if !begun || !ended {
		return nil, false
	}
	if len(after) > 0 && blank(after[0]) {
		if trimmed, trims := bytes.CutPrefix(after[1:], []byte("-}}")); trims {
			return trimmed, true
		}
	}
	return bytes.CutPrefix(after, []byte("}}"))
}
