package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
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
			if !begun {
				return
			}
			action, after := actionOf(rest)
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
	look(texts(nil, values))
	return slices.Sorted(maps.Keys(found))
}

// texts are all keys and texts of values, each on a line of its own, behind what is there already.
func texts(all []byte, value any) []byte {
	line := func(text string) { all = append(append(all, text...), '\n') }
	switch value := value.(type) {
	case string:
		line(value)
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			line(key)
			all = texts(all, value[key])
		}
	case []any:
		for _, inner := range value {
			all = texts(all, inner)
		}
	case nil, bool, int, int64, uint64, float64, json.Number:
	default:
		// Whatever else holds texts, as well as it can be told.
		line(fmt.Sprint(value))
	}
	return all
}

// actionOf is the rest of an action that has begun, and what follows it: its end may stand in a text of it, which ends
// nothing. One without an end is all that is left.
func actionOf(rest []byte) (action, after []byte) {
	var quote byte
	for at := 0; at < len(rest); at++ {
		switch c := rest[at]; {
		case quote == '`':
			if c == quote {
				quote = 0
			}
		case quote != 0:
			switch c {
			case '\\':
				at++
			case quote, '\n':
				quote = 0
			}
		case c == '\\':
			// In no template: one that stands in a text of JSON, whose quotes are none here.
			at++
		case c == '"' || c == '\'' || c == '`':
			quote = c
		case c == '}' && bytes.HasPrefix(rest[at:], []byte("}}")):
			return rest[:at], rest[at+len("}}"):]
		}
	}
	return rest, nil
}

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
