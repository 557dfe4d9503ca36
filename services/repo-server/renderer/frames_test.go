package main

import (
	"encoding/binary"
	"encoding/json"
	"reflect"
	"strings"
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

// What comes in is taken apart by what it says itself, and refused where that is not so.
func TestFilesFollowTheFrameThatNamesThem(t *testing.T) {
	body := func(text, files string) []byte {
		return append(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...), files...)
	}
	const folders = `"beside":[{"folder":"a","real":"a","names":["x","y","z"],"kinds":"fdf","sizes":[3,-1,0]}]`
	var got answer
	if err := unpack(body(`{"kind":"file","size":2,`+folders+`}`, "\x00\xffabc"), &got); err != nil {
		t.Fatal(err)
	}
	contents := map[string][]byte{"x": []byte("abc"), "z": {}}
	if string(got.Content) != "\x00\xff" || !reflect.DeepEqual(got.Beside[0].Contents, contents) {
		t.Errorf("%q, %q", got.Content, got.Beside[0].Contents)
	}
	if _ = append(got.Content, '!'); string(got.Beside[0].Contents["x"]) != "abc" {
		t.Error("one file is written over the next")
	}
	var request jobRequest
	if err := unpack(body(`{"job":{"tool":"helm"},`+folders+`}`, "abc"), &request); err != nil {
		t.Fatal(err)
	}
	if request.Job.Tool != "helm" || !reflect.DeepEqual(request.Beside[0].Contents, contents) {
		t.Errorf("%+v", request)
	}
	for name, broken := range map[string][]byte{
		"nothing":             nil,
		"JSON that is short":  binary.BigEndian.AppendUint32(nil, 1),
		"no JSON":             body("x", ""),
		"files that are not":  body(`{"size":1}`, ""),
		"files of none":       body(`{}`, "x"),
		"a negative size":     body(`{"size":-1}`, ""),
		"a folder half":       body(`{"beside":[{"names":["x"],"kinds":"f"}]}`, ""),
		"a folder of nothing": body(`{"beside":[null]}`, ""),
		"a large size":        body(`{"beside":[{"names":["x"],"kinds":"f","sizes":[9223372036854775807]}]}`, ""),
	} {
		if unpack(broken, &answer{}) == nil {
			t.Errorf("%s: it is taken", name)
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

// What an evaluation is indented by counts toward no frame.
func TestAnEvaluationIsOneObjectOrSeveral(t *testing.T) {
	for text, expected := range map[string]string{
		"{\n   \"kind\": \"A  b\"\n}\n":                                      `{"kind":"A  b"}`,
		"[\n   {\n      \"kind\": \"A\"\n   },\n   { \"kind\": \"B\" }\n]\n": `{"kind":"A"} {"kind":"B"}`,
		"[ ]\n":            "",
		"null\n":           "",
		"{ }\n":            "Object 'Kind' is missing",
		"[\n   \"A\"\n]\n": "json: cannot unmarshal",
	} {
		objects, err := evaluated(text)
		var said []string
		for _, made := range objects {
			said = append(said, string(made))
		}
		if err != nil {
			said = append(said, err.Error())
		}
		if got := strings.Join(said, " "); !strings.HasPrefix(got, expected) || (expected == "") != (got == "") {
			t.Errorf("%s: %s", text, got)
		}
	}
}

// Whatever a chart makes its templates say, it is an object of its frame or refused.
func TestNoManifestEndsItsFrame(t *testing.T) {
	taken := 0
	for _, text := range []string{
		"kind: A",
		"kind: 'A\"}],\"used\":[]},\"retire\":true,\"x\":{\"'",
		`{"apiVersion":"v1","kind":"A"}`,
		`{"apiVersion":"v1","kind":"A","kind":""}`,
		`{"apiVersion":"v1","kind":"A"}}],"chance":["now"]},"retire":true,"done":{"objects":[{"object":{}`,
		"{\n  \"apiVersion\": \"v1\", \"kind\": \"A\"\n}\n{\"apiVersion\":\"v1\",\"kind\":\"B\"}",
		"apiVersion: v1\nkind: A\nmetadata: {name: \"\\u2028</x>\", n: 1e400, m: 123456789012345678901234567890}",
		"apiVersion: v1\nkind: A\nx: .inf",
		"apiVersion: v1\nkind: A\nx: \xff",
		"- kind: A",
		"A",
	} {
		objects, err := documents(text)
		if err != nil {
			continue
		}
		out := outcome{Done: &result{}}
		for _, made := range objects {
			taken++
			out.Done.Objects = append(out.Done.Objects, object{Object: made, Path: text})
		}
		frame, err := out.frame()
		if err != nil {
			t.Fatal(text, err)
		}
		var got map[string]map[string][]map[string]any
		if err := json.Unmarshal(frame, &got); err != nil {
			t.Errorf("%s: %s: %s", text, frame, err)
			continue
		}
		if len(got) != 1 || len(got["done"]) != 1 || len(got["done"]["objects"]) != len(objects) {
			t.Errorf("%s: %s", text, frame)
		}
		for _, made := range got["done"]["objects"] {
			whole, is := made["object"].(map[string]any)
			if kind, _ := whole["kind"].(string); !is || kind == "" || len(made) != 2 {
				t.Errorf("%s: %s", text, frame)
			}
		}
	}
	if taken < 3 {
		t.Errorf("only %d objects were taken", taken)
	}
}
