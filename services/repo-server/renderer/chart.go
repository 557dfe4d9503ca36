package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/ignore"
)

// maxChartDepth bounds how deep the folders of a chart may lie.
const maxChartDepth = 64

var byteOrderMark = []byte{0xEF, 0xBB, 0xBF}

// loadChart reads the chart of a folder as Helm's own loader reads one from a disk: every file that .helmignore does not
// leave out, links followed within the repository.
func loadChart(repo *repository, folder string) (*chart.Chart, error) {
	rules := ignore.Empty()
	if name := path.Join(folder, ignore.HelmIgnore); repo.Exists(name) {
		text, err := repo.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if rules, err = ignore.Parse(bytes.NewReader(text)); err != nil {
			return nil, err
		}
	}
	rules.AddDefaults()
	walk := &chartWalk{repo: repo, folder: folder, rules: rules}
	if err := walk.enter("", 0); err != nil {
		return nil, err
	}
	return loader.LoadFiles(walk.files)
}

type chartWalk struct {
	repo   *repository
	folder string
	rules  *ignore.Rules
	files  []*loader.BufferedFile
}

func (w *chartWalk) enter(below string, depth int) error {
	if depth > maxChartDepth {
		return fmt.Errorf("the folders of the chart lie deeper than %d", maxChartDepth)
	}
	items, err := w.repo.items(path.Join(w.folder, below))
	if err != nil {
		return err
	}
	for _, item := range items {
		name := path.Join(below, item.name)
		kind := item.kind
		if kind == kindLink {
			got, err := w.repo.stat(path.Join(w.folder, name))
			if err != nil {
				return err
			}
			switch got.Kind {
			case "dir":
				kind = kindFolder
			case "file":
				kind = kindFile
			default:
				return fmt.Errorf("error evaluating symlink %s: no such file or directory", name)
			}
		}
		if w.rules.Ignore(name, entry{name: item.name, folder: kind == kindFolder}) {
			continue
		}
		switch kind {
		case kindFolder:
			if err := w.enter(name, depth+1); err != nil {
				return err
			}
		default:
			data, err := w.repo.ReadFile(path.Join(w.folder, name))
			if err != nil {
				return fmt.Errorf("error reading %s: %w", name, err)
			}
			if int64(len(data)) > loader.MaxDecompressedFileSize {
				return fmt.Errorf("chart file %q is larger than the maximum file size %d", name, loader.MaxDecompressedFileSize)
			}
			w.files = append(w.files, &loader.BufferedFile{Name: name, Data: bytes.TrimPrefix(data, byteOrderMark)})
		}
	}
	return nil
}

// entry is what Helm's rules look at of a file.
type entry struct {
	name   string
	folder bool
}

func (e entry) Name() string       { return e.name }
func (e entry) Size() int64        { return 0 }
func (e entry) ModTime() time.Time { return time.Time{} }
func (e entry) IsDir() bool        { return e.folder }
func (e entry) Sys() any           { return nil }
func (e entry) Mode() fs.FileMode {
	if e.folder {
		return fs.ModeDir
	}
	return 0
}
