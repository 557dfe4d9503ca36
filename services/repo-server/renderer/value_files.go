package main

import (
	"fmt"
	"path"
	"strings"
)

// maxPatternDepth bounds how deep `**` looks.
const maxPatternDepth = 64

// valueFile is a file with values, and the entry of valueFiles that names it.
type valueFile struct {
	name, written string
}

// valueFiles are the files that valueFiles names, in the order in which they are merged: a pattern's in the order of their
// names, those of a folder before those below it. What one pattern or an entry of its own names is in no other pattern.
func (o *helmOptions) valueFiles(repo *repository, folder string, trees map[string]int) ([]valueFile, *failure) {
	taken := map[string]bool{}
	for _, written := range o.ValueFiles {
		if name, refused := resolve(folder, written, trees); refused == nil && !isPattern(written) {
			taken[name] = true
		}
	}
	var files []valueFile
	for _, written := range o.ValueFiles {
		name, refused := resolve(folder, written, trees)
		if refused != nil {
			return nil, refused
		}
		got, err := repo.stat(name)
		if err != nil {
			return nil, &failure{Kind: kindBuild, File: shown(name), Error: unrooted(err)}
		}
		if got.Kind != "" {
			files = append(files, valueFile{name, written})
			continue
		}
		if isPattern(written) {
			found, err := matches(repo, treeOf(name), strings.Split(strings.TrimPrefix(name, treeOf(name)+"/"), "/"), 0)
			if err != nil {
				return nil, &failure{Kind: kindOption, Feature: "spec.source.helm.valueFiles",
					Error: fmt.Sprintf("%s: %s", written, unrooted(err))}
			}
			for _, match := range found {
				if !taken[match] {
					taken[match] = true
					files = append(files, valueFile{match, written})
				}
			}
			if len(found) > 0 {
				continue
			}
		}
		if !o.IgnoreMissingValueFiles {
			return nil, &failure{Kind: kindMissing, File: shown(name), Feature: "spec.source.helm.valueFiles",
				Error: fmt.Sprintf("open %s: no such file or directory", shown(name))}
		}
	}
	return files, nil
}

func isPattern(written string) bool { return strings.ContainsAny(written, "*?[") }

// matches are the files below a folder that a pattern names, segment by segment; `**` is any number of folders, and goes
// through no link.
func matches(repo *repository, folder string, pattern []string, depth int) ([]string, error) {
	first, rest := pattern[0], pattern[1:]
	if depth > maxPatternDepth {
		return nil, fmt.Errorf("the folders lie deeper than %d", maxPatternDepth)
	}
	if first != "**" && !isPattern(first) {
		name := path.Join(folder, first)
		got, err := repo.stat(name)
		switch {
		case err != nil:
			return nil, err
		case len(rest) == 0 && got.Kind == "file":
			return []string{name}, nil
		case len(rest) > 0 && got.Kind == "dir":
			return matches(repo, name, rest, depth+1)
		}
		return nil, nil
	}
	items, err := repo.items(folder)
	if err != nil {
		return nil, err
	}
	var found []string
	if first == "**" {
		if len(rest) == 0 {
			rest = []string{"*"}
		}
		if rest[0] == "**" {
			return matches(repo, folder, rest, depth)
		}
		if found, err = matches(repo, folder, rest, depth+1); err != nil {
			return nil, err
		}
	}
	for _, item := range items {
		name, next := path.Join(folder, item.name), rest
		if first == "**" {
			if item.kind != kindFolder {
				continue
			}
			next = pattern
		} else if matched, err := path.Match(first, item.name); err != nil {
			return nil, err
		} else if !matched {
			continue
		}
		kind := item.kind
		if kind == kindLink {
			got, err := repo.stat(name)
			if err != nil {
				return nil, err
			}
			switch got.Kind {
			case "dir":
				kind = kindFolder
			case "file":
				kind = kindFile
			}
		}
		switch {
		case kind == kindFile && len(next) == 0:
			found = append(found, name)
		case kind == kindFolder && len(next) > 0:
			more, err := matches(repo, name, next, depth+1)
			if err != nil {
				return nil, err
			}
			found = append(found, more...)
		}
	}
	return found, nil
}
