package main

import (
	"encoding/json"
	"reflect"
	"testing"
)

// What is put together by hand says what the encoder would say of it.
func TestAnOutcomeIsWrittenWhole(t *testing.T) {
	made := func(text, path string, generated bool) object {
		return object{Object: json.RawMessage(text), Path: path, Generated: generated}
	}
	for name, one := range map[string]struct {
		out      outcome
		expected string
	}{
		"nothing": {outcome{Done: &result{}}, `{"done":{"objects":[]}}`},
		"one": {outcome{Done: &result{Objects: []object{made(`{"kind":"<A>"}`, "", false)}}},
			`{"done":{"objects":[{"object":{"kind":"<A>"}}]}}`},
		"all": {
			outcome{
				Done: &result{
					Objects: []object{made(`{"kind":"A"}`, "a \"b\".yaml", true), made("{}", "c.yaml", false)},
					Chance:  []string{"now"},
				},
				Used:   []ask{{Ask: "read", Path: "a"}},
				Retire: true,
			},
			`{"done":{"objects":[{"object":{"kind":"A"},"path":"a \"b\".yaml","generated":true},{"object":{},"path":"c.yaml"}],` +
				`"chance":["now"]},"used":[{"ask":"read","path":"a"}],"retire":true}`,
		},
		"a failure": {outcome{Failed: &failure{Kind: kindBuild, Error: "why"}, Retire: true},
			`{"failed":{"kind":"build","error":"why"},"retire":true}`},
	} {
		frame, err := one.out.frame()
		if err != nil {
			t.Fatal(name, err)
		}
		var got, expected any
		if err := json.Unmarshal(frame, &got); err != nil {
			t.Errorf("%s: %s is no JSON: %s", name, frame, err)
			continue
		}
		if err := json.Unmarshal([]byte(one.expected), &expected); err != nil {
			t.Fatal(name, err)
		}
		if !reflect.DeepEqual(got, expected) {
			t.Errorf("%s: %s", name, frame)
		}
	}
}

// Where an object's kind is not at its beginning it is looked for, and nothing passes for one.
func TestAnObjectHasAKind(t *testing.T) {
	for text, has := range map[string]bool{
		`{"apiVersion":"v1","kind":"A","metadata":{}}`: true,
		`{"Kind":"A","apiVersion":"v1"}`:               true,
		`{"kind":"A"}`:                                 true,
		`{"apiVersion":"v1","kind":"\u0041"}`:          true,
		`{"apiVersion":"v1","kind":""}`:                false,
		`{"apiVersion":"v1","kind":1}`:                 false,
		`{"apiVersion":"v1","data":{"kind":"A"}}`:      false,
		`{"apiVersion":"v1\",\"kind\":\"A"}`:           false,
		`[]`:                                           false,
	} {
		if err := named([]byte(text)); (err == nil) != has {
			t.Errorf("%s: %v", text, err)
		}
	}
}
