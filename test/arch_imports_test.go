package test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// checkImports holds a package's imports to the floors and to the owners of
// heavy dependencies. Tests are held to them too: a test that needs two rooms
// of a floor belongs to app or to this folder.
func (p *pkg) checkImports() []string {
	var out []string
	home, known := roomOf(p.dir)
	if !known && !within(p.dir, outside) {
		return []string{p.dir + ": this folder has no floor: add it to the design first"}
	}
	for _, f := range p.files {
		for _, spec := range f.tree.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				continue
			}
			wrong := ""
			if dir, ours := strings.CutPrefix(path, module); ours {
				wrong = mayImport(p.dir, home, dir)
			} else {
				wrong = mayDependOn(p.dir, path)
			}
			if wrong != "" {
				out = append(out, fmt.Sprintf("%s: imports %s: %s", f.name, path, wrong))
			}
		}
	}
	return out
}

// mayImport says why the package in folder from, which lies in the room home,
// may not import the one in folder to; "" if it may.
func mayImport(from, home, to string) string {
	there, known := roomOf(to)
	switch {
	case from == to || within(from, outside):
		return ""
	case !known:
		return "it has no floor"
	case there == cmd:
		return "commands are not imported"
	case inside(from, kit):
		if slices.Contains(kitShared, to) {
			return ""
		}
		return "kit packages import only kit/clock and kit/problem"
	case inside(from, detectors) && from != detectors:
		if within(to, detectorSees) {
			return ""
		}
		return "detectors see only traffic, attack, match and kit"
	case home == there:
		// A parent brings its sub-rooms together; they do not know each other.
		if inside(to, from) {
			return ""
		}
		return "rooms do not import their siblings or their parent"
	case floors[there] == floors[home]:
		return fmt.Sprintf("both are on floor %d", floors[home])
	case floors[there] > floors[home]:
		return fmt.Sprintf("floor %d is above floor %d", floors[there], floors[home])
	case there == kit || from == app || inside(from, app):
		return ""
	case to != there:
		return "a sub-room is imported by its parent or by app only"
	case home == cmd && floors[there] < cmdLowest && !slices.Contains(words, to):
		return fmt.Sprintf("cmd imports floors %d to 9, kit and the words", cmdLowest)
	}
	return ""
}

// mayDependOn says why a package may not import something from outside.
func mayDependOn(from, path string) string {
	if inside(from, detectors) && from != detectors && slices.Contains(detectorHas, path) {
		return "detectors do no I/O"
	}
	if within(from, outside) {
		return ""
	}
	for dependency, owner := range owners {
		if inside(path, dependency) && !inside(from, owner) {
			return "only " + owner + " may"
		}
	}
	return ""
}

// roomOf returns the room that a folder lies in.
func roomOf(dir string) (room string, known bool) {
	for room = range floors {
		if inside(dir, room) {
			return room, true
		}
	}
	return "", false
}

// inside says whether dir is folder or below it.
func inside(dir, folder string) bool {
	return dir == folder || strings.HasPrefix(dir, folder+"/")
}

func within(dir string, folders []string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return inside(dir, f) })
}
