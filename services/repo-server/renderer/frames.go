package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
)

// maxFrame bounds what either side has to take in at once.
const maxFrame = 64 << 20

// pipe speaks frames: four bytes of length, big-endian, then that much. What goes out is JSON. What comes in has four bytes of
// length again, that much JSON, and then the bytes of the files whose sizes stand in it.
type pipe struct {
	in  *bufio.Reader
	out *bufio.Writer
}

// told is what comes in.
type told interface {
	// fill takes the bytes of its files, in the order of their sizes.
	fill(from *files) error
}

// files are the bytes that follow a frame's JSON.
type files struct{ left []byte }

func (f *files) take(size int) ([]byte, error) {
	if size < 0 || size > len(f.left) {
		return nil, errors.New("a frame without all of its files")
	}
	// Whoever appends to one must not write into the next.
	taken := f.left[:size:size]
	f.left = f.left[size:]
	return taken, nil
}

func (p *pipe) read(into told) error {
	var head [4]byte
	if _, err := io.ReadFull(p.in, head[:]); err != nil {
		return err
	}
	length := binary.BigEndian.Uint32(head[:])
	if length > maxFrame {
		return errors.New("frame too large")
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(p.in, body); err != nil {
		return err
	}
	return unpack(body, into)
}

// unpack reads what a frame holds; the bytes of files stay where they are in it.
func unpack(body []byte, into told) error {
	if len(body) < 4 {
		return errors.New("a frame without JSON")
	}
	text, rest := binary.BigEndian.Uint32(body), body[4:]
	if uint64(text) > uint64(len(rest)) {
		return errors.New("a frame without all of its JSON")
	}
	if err := json.Unmarshal(rest[:text], into); err != nil {
		return err
	}
	following := &files{left: rest[text:]}
	if err := into.fill(following); err != nil {
		return err
	}
	if len(following.left) > 0 {
		return errors.New("a frame with more than its files")
	}
	return nil
}

func (p *pipe) write(value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return p.send(body)
}

// end writes how a job ended.
func (p *pipe) end(out outcome) error {
	body, err := out.frame()
	if err != nil {
		return err
	}
	if len(body) > maxFrame {
		// Whether it leaves something behind is not asked again: its successor is cheap.
		failed := &failure{Kind: kindTooLarge, Error: "the result is larger than a frame"}
		body, _ = json.Marshal(outcome{Failed: failed, Retire: true})
	}
	return p.send(body)
}

func (p *pipe) send(body []byte) error {
	var head [4]byte
	binary.BigEndian.PutUint32(head[:], uint32(len(body)))
	if _, err := p.out.Write(head[:]); err != nil {
		return err
	}
	if _, err := p.out.Write(body); err != nil {
		return err
	}
	return p.out.Flush()
}

// jobRequest is what starts a job.
type jobRequest struct {
	Job job `json:"job"`
	// Beside are folders that the job will probably ask for.
	Beside []*beside `json:"beside,omitempty"`
}

// job is one folder to render.
type job struct {
	// Tool is `kustomize`, `helm` or `jsonnet`, or `details` for what can be set of a chart.
	Tool string `json:"tool"`
	// Path of the folder from the repository's root, without a leading slash; empty for the root.
	Path string `json:"path"`
	// Options of the application for that tool, build variables already filled in.
	Options *options        `json:"options,omitempty"`
	Build   buildOptions    `json:"build"`
	Helm    *helmOptions    `json:"helm,omitempty"`
	Jsonnet *jsonnetOptions `json:"jsonnet,omitempty"`
	// Trees are the numbers of the trees that Helm's options name so, `$name`.
	Trees map[string]int `json:"trees,omitempty"`
}

// ask is a question about the repository, or about the cluster that is rendered for.
type ask struct {
	// Ask is `stat`, `list` or `read` of a path; `kube` for the cluster's version, `apis` for its APIs, or `api` for
	// whether it has the one in Path; `remote` for where the folder of another repository is that the address in Path names,
	// or the file of a web server that Folder takes.
	Ask    string `json:"ask"`
	Path   string `json:"path"`
	Folder string `json:"folder,omitempty"`
}

// answer is what the repository has there; of a cluster, Names.
type answer struct {
	// Kind is `file`, `dir`, `api` or empty when nothing is there.
	Kind string `json:"kind"`
	// Real is the path after symbolic links.
	Real string `json:"real"`
	// Names are a folder's entries.
	Names []string `json:"names"`
	// Kinds has a letter for each of Names: kindFile, kindFolder or kindLink.
	Kinds string `json:"kinds"`
	// Size is how many bytes a file has, and Content are those.
	Size    int    `json:"size"`
	Content []byte `json:"-"`
	// Refused says why the question has no answer.
	Refused string `json:"refused"`
	// Beside are folders that were not asked for and probably will be.
	Beside []*beside `json:"beside"`
}

// beside is a folder with what is in it.
type beside struct {
	Folder string `json:"folder"`
	// Real is its path after symbolic links.
	Real string `json:"real"`
	// Names are its entries, and Kinds has a letter for each.
	Names []string `json:"names"`
	Kinds string   `json:"kinds"`
	// Sizes has for each of Names how many bytes come along of it, less than nothing where it does not; Contents are those.
	Sizes    []int             `json:"sizes"`
	Contents map[string][]byte `json:"-"`
}

func (r *jobRequest) fill(from *files) error { return fill(r.Beside, from) }

func (a *answer) fill(from *files) error {
	var err error
	if a.Content, err = from.take(a.Size); err != nil {
		return err
	}
	return fill(a.Beside, from)
}

func fill(folders []*beside, from *files) error {
	for _, folder := range folders {
		if folder == nil || len(folder.Names) != len(folder.Kinds) || len(folder.Names) != len(folder.Sizes) {
			return errors.New("a folder without kinds or sizes")
		}
		folder.Contents = make(map[string][]byte, len(folder.Names))
		for at, size := range folder.Sizes {
			if size < 0 {
				continue
			}
			content, err := from.take(size)
			if err != nil {
				return err
			}
			folder.Contents[folder.Names[at]] = content
		}
	}
	return nil
}

// outcome ends a job: exactly one of the first two is set.
type outcome struct {
	Done   *result  `json:"done,omitempty"`
	Failed *failure `json:"failed,omitempty"`
	// Used are questions that were answered by what came beside the job or other answers.
	Used []ask `json:"used,omitempty"`
	// Retire says that the job left something behind in the process: it must not have another one.
	Retire bool `json:"retire,omitempty"`
}

// frame is the outcome as it is written. Objects go in as they are: whatever made them has seen to it that they are JSON, and the
// encoder would read every byte of them once more to say the same.
func (o outcome) frame() ([]byte, error) {
	if o.Done == nil {
		return json.Marshal(o)
	}
	objects := o.Done.Objects
	length := 64
	for _, made := range objects {
		length += len(made.Object) + len(made.Path) + 64
	}
	body := append(make([]byte, 0, length), `{"done":{"objects":[`...)
	for at, made := range objects {
		if at > 0 {
			body = append(body, ',')
		}
		body = append(append(body, `{"object":`...), made.Object...)
		beside, err := json.Marshal(made)
		if err != nil {
			return nil, err
		}
		body = joined(body, beside)
	}
	done, err := json.Marshal(o.Done)
	if err != nil {
		return nil, err
	}
	body = joined(append(body, ']'), done)
	o.Done = nil
	ended, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	return joined(body, ended), nil
}

// joined is an object that is still open with the fields of another one, which ends it.
func joined(open, fields []byte) []byte {
	if len(fields) > len("{}") {
		open = append(open, ',')
	}
	return append(open, fields[1:]...)
}

type result struct {
	Objects []object `json:"-"`
	// Chance are functions that were named whose values are drawn, or of the moment.
	Chance []string `json:"chance,omitempty"`
	// Details are what can be set of a chart, where that was asked.
	Details *details `json:"details,omitempty"`
	// Written is where the objects of a kustomization may stand, where it is not said of each.
	Written *written `json:"written,omitempty"`
}

// written are the places where the objects of a kustomization come from.
type written struct {
	// Files are those that it takes objects of, from the repository's root.
	Files []string `json:"files"`
	// Generated are the objects that it makes of other files.
	Generated []generated `json:"generated"`
}

// generated is an object that a kustomization makes: of which kind, by which name before it is changed, and the
// kustomization.
type generated struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	Path string `json:"path"`
}

type object struct {
	Object json.RawMessage `json:"-"`
	// Path is the file that the object was written in, from the repository's root; empty when unknown.
	Path string `json:"path,omitempty"`
	// Generated is set when the object does not stand in Path as it is, but was made from it.
	Generated bool `json:"generated,omitempty"`
}

// The letters of answer.Kinds.
const (
	kindFile   = 'f'
	kindFolder = 'd'
	kindLink   = 'l'
)

const (
	kindBuild      = "build"
	kindRefused    = "refused"
	kindHelmOff    = "helm-off"
	kindRemote     = "remote"
	kindOutside    = "outside"
	kindTooLarge   = "too-large"
	kindTooMany    = "too-many"
	kindMissing    = "missing"
	kindOption     = "option"
	kindDependency = "dependency"
	kindLock       = "lock"
)

type failure struct {
	Kind string `json:"kind"`
	// File is the file concerned, from the repository's root.
	File string `json:"file,omitempty"`
	// Line in it; 0 when unknown.
	Line int `json:"line,omitempty"`
	// Feature is what was refused, or the option concerned.
	Feature string `json:"feature,omitempty"`
	Error   string `json:"error"`
	// Wanted are the charts that are missing, for kindDependency.
	Wanted []wanted `json:"wanted,omitempty"`
	// Remotes are addresses of folders in other repositories that have to be opened first.
	Remotes []string `json:"remotes,omitempty"`
}
