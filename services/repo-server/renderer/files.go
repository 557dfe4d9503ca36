package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// repository is a read-only file system whose root is the repository's, filled on demand over the pipe.
type repository struct {
	pipe     *pipe
	stats    map[string]answer
	folders  map[string][]item
	contents map[string][]byte
	// overlay holds files as the application's options changed them, by real path.
	overlay map[string][]byte
	// beside are folders that came without being asked for, and used what of them was then needed.
	beside map[string]*beside
	used   []ask
	// broken is set once the pipe failed; nothing can be believed after it.
	broken error
}

// root is where the repository seems to be, so that a path which leaves it is somewhere else and not clamped to it.
const root = "/repository"

// others is where the other trees that a job may read seem to be, by their numbers.
const others = "/+tree"

var errReadOnly = errors.New("the repository is read-only")

func newRepository(p *pipe) *repository {
	return &repository{
		pipe: p, stats: map[string]answer{}, folders: map[string][]item{}, contents: map[string][]byte{},
		overlay: map[string][]byte{}, beside: map[string]*beside{},
	}
}

func (r *repository) question(what, name string) (answer, error) {
	if !inside(name) {
		return answer{}, fmt.Errorf("'%s' leads out of the repository", name)
	}
	asked := ask{Ask: what, Path: shown(name)}
	if got, known := r.besides(what, asked.Path); known {
		r.used = append(r.used, asked)
		return got, nil
	}
	return r.exchange(asked)
}

// besides is the answer to a question that follows from what came with the job or earlier answers, if one does.
func (r *repository) besides(what, name string) (answer, bool) {
	if folder := r.beside[name]; folder != nil {
		switch what {
		case "stat":
			return answer{Kind: "dir", Real: folder.Real}, true
		case "list":
			return answer{Kind: "dir", Names: folder.Names, Kinds: folder.Kinds}, true
		}
	}
	above, last := "", name
	if at := strings.LastIndexByte(name, '/'); at >= 0 {
		above, last = name[:at], name[at+1:]
	}
	folder := r.beside[above]
	if folder == nil || last == "" {
		return answer{}, false
	}
	at := slices.Index(folder.Names, last)
	if at < 0 {
		return answer{}, true
	}
	content, has := folder.Contents[last]
	switch {
	case folder.Kinds[at] != kindFile || what == "list":
		return answer{}, false
	case what == "stat":
		return answer{Kind: "file", Real: path.Join(folder.Real, last)}, true
	default:
		return answer{Kind: "file", Content: content}, has
	}
}

// show keeps folders that came without being asked for.
func (r *repository) show(folders []*beside) {
	for _, folder := range folders {
		r.beside[folder.Folder] = folder
	}
}

// exchange asks over the pipe.
func (r *repository) exchange(question ask) (answer, error) {
	if r.broken != nil {
		return answer{}, r.broken
	}
	var got answer
	if err := r.pipe.write(question); err != nil {
		r.broken = err
		return answer{}, err
	}
	if err := r.pipe.read(&got); err != nil {
		r.broken = err
		return answer{}, err
	}
	if question.Ask == "remote" {
		// What is brought from elsewhere is seen in a folder that may have come before.
		clear(r.beside)
	}
	r.show(got.Beside)
	if got.Refused != "" {
		return answer{}, errors.New(got.Refused)
	}
	return got, nil
}

// clean is an absolute path without dots.
func clean(name string) string { return path.Clean("/" + name) }

// within is the absolute path of one as the pipe has it: relative to the repository's root, or with a slash and the number
// of another tree.
func within(name string) string {
	if strings.HasPrefix(name, "/") {
		return path.Join(others, name)
	}
	return path.Join(root, name)
}

// treeOf is the root of the tree that a clean absolute path is in; empty where it is in none.
func treeOf(name string) string {
	if name == root || strings.HasPrefix(name, root+"/") {
		return root
	}
	below, other := strings.CutPrefix(name, others+"/")
	number, _, _ := strings.Cut(below, "/")
	if !other || number == "" {
		return ""
	}
	return others + "/" + number
}

func inside(name string) bool { return treeOf(name) != "" }

// shown is the path as the pipe has it.
func shown(name string) string {
	if below, other := strings.CutPrefix(name, others); other {
		return below
	}
	return strings.TrimPrefix(strings.TrimPrefix(name, root), "/")
}

func (r *repository) stat(name string) (answer, error) {
	name = clean(name)
	if known, ok := r.stats[name]; ok {
		return known, nil
	}
	got, err := r.question("stat", name)
	if err != nil {
		return answer{}, err
	}
	r.stats[name] = got
	return got, nil
}

// change has a file be read otherwise, at its own path and where links lead.
func (r *repository) change(name string, content []byte) {
	r.overlay[name] = content
	if got, err := r.stat(name); err == nil && got.Kind == "file" {
		r.overlay[within(got.Real)] = content
	}
}

// put has a file be seen that the repository does not have.
func (r *repository) put(name string, content []byte) {
	r.overlay[name] = content
	r.stats[name] = answer{Kind: "file", Real: shown(name)}
}

func (r *repository) Create(string) (filesys.File, error) { return nil, errReadOnly }
func (r *repository) Mkdir(string) error                  { return errReadOnly }
func (r *repository) MkdirAll(string) error               { return errReadOnly }
func (r *repository) RemoveAll(string) error              { return errReadOnly }
func (r *repository) WriteFile(string, []byte) error      { return errReadOnly }
func (r *repository) Open(string) (filesys.File, error)   { return nil, errReadOnly }

func (r *repository) IsDir(name string) bool {
	got, err := r.stat(name)
	return err == nil && got.Kind == "dir"
}

func (r *repository) Exists(name string) bool {
	got, err := r.stat(name)
	return err == nil && got.Kind != ""
}

// item is an entry of a folder.
type item struct {
	name string
	kind byte
}

func (r *repository) ReadDir(name string) ([]string, error) {
	items, err := r.items(name)
	names := make([]string, 0, len(items))
	for _, item := range items {
		names = append(names, item.name)
	}
	return names, err
}

// items are a folder's entries, sorted by name.
func (r *repository) items(name string) ([]item, error) {
	name = clean(name)
	if known, ok := r.folders[name]; ok {
		return known, nil
	}
	got, err := r.question("list", name)
	if err != nil {
		return nil, err
	}
	if got.Kind != "dir" {
		return nil, &os.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if len(got.Kinds) != len(got.Names) {
		return nil, errors.New("a listing without kinds")
	}
	items := make([]item, 0, len(got.Names))
	for at, name := range got.Names {
		items = append(items, item{name: name, kind: got.Kinds[at]})
	}
	slices.SortFunc(items, func(a, b item) int { return strings.Compare(a.name, b.name) })
	r.folders[name] = items
	return items, nil
}

func (r *repository) CleanedAbs(name string) (filesys.ConfirmedDir, string, error) {
	got, err := r.stat(name)
	if err != nil {
		return "", "", err
	}
	real := within(got.Real)
	switch got.Kind {
	case "dir":
		return filesys.ConfirmedDir(real), "", nil
	case "file":
		return filesys.ConfirmedDir(path.Dir(real)), path.Base(real), nil
	default:
		return "", "", fmt.Errorf("'%s' doesn't exist", shown(clean(name)))
	}
}

func (r *repository) ReadFile(name string) ([]byte, error) {
	name = clean(name)
	if changed, ok := r.overlay[name]; ok {
		return changed, nil
	}
	if known, ok := r.contents[name]; ok {
		return known, nil
	}
	got, err := r.question("read", name)
	if err != nil {
		return nil, err
	}
	switch got.Kind {
	case "file":
	case "dir":
		return nil, fmt.Errorf("'%s' is a folder", shown(name))
	default:
		return nil, &os.PathError{Op: "open", Path: shown(name), Err: fs.ErrNotExist}
	}
	r.contents[name] = got.Content
	return got.Content, nil
}

func (r *repository) Glob(pattern string) ([]string, error) {
	pattern = clean(pattern)
	if !strings.ContainsAny(pattern, "*?[\\") {
		if r.Exists(pattern) {
			return []string{pattern}, nil
		}
		return nil, nil
	}
	folder, last := path.Split(pattern)
	folder = clean(folder)
	folders := []string{folder}
	if strings.ContainsAny(folder, "*?[\\") {
		var err error
		if folders, err = r.Glob(folder); err != nil {
			return nil, err
		}
	}
	var found []string
	for _, dir := range folders {
		if !r.IsDir(dir) {
			continue
		}
		names, err := r.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			matched, err := path.Match(last, name)
			if err != nil {
				return nil, err
			}
			if matched {
				found = append(found, path.Join(dir, name))
			}
		}
	}
	return found, nil
}

// Walk is part of the interface; no kustomization needs it, and a repository has no file infos to give.
func (r *repository) Walk(string, filepath.WalkFunc) error {
	return errors.New("walking the repository is not possible here")
}
