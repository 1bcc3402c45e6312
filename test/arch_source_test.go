package test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// file is one parsed Go file.
type file struct {
	name  string // from the root of the house
	tree  *ast.File
	fset  *token.FileSet
	lines int
	test  bool // _test.go
}

// pkg is all Go files of one folder, whatever their build tags.
type pkg struct {
	dir   string
	files []file
}

// load parses every Go file of a house.
func load(house fs.FS) ([]*pkg, error) {
	byDir := map[string]*pkg{}
	err := fs.WalkDir(house, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if d.IsDir() {
			if name != "." && (base[0] == '.' || base[0] == '_' || slices.Contains([]string{"testdata", "vendor", "node_modules", "bin", "dist", "seawall-data"}, base)) {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" || base[0] == '.' || base[0] == '_' {
			return nil
		}
		text, err := fs.ReadFile(house, name)
		if err != nil {
			return err
		}
		f := file{name: name, fset: token.NewFileSet(), test: strings.HasSuffix(name, "_test.go")}
		f.lines = bytes.Count(text, []byte("\n"))
		if f.tree, err = parser.ParseFile(f.fset, name, text, parser.ParseComments); err != nil {
			return err
		}
		dir := path.Dir(name)
		if byDir[dir] == nil {
			byDir[dir] = &pkg{dir: dir}
		}
		byDir[dir].files = append(byDir[dir].files, f)
		return nil
	})
	var out []*pkg
	for _, p := range byDir {
		out = append(out, p)
	}
	return out, err
}

// checkSource holds a package's files to the rules that have nothing to do with
// floors.
func (p *pkg) checkSource() []string {
	var out []string
	add := func(f file, at token.Pos, what string, args ...any) {
		place := f.name
		if at.IsValid() {
			place += fmt.Sprintf(":%d", f.fset.Position(at).Line)
		}
		out = append(out, place+": "+fmt.Sprintf(what, args...))
	}
	vars := p.packageVars()
	var source, documented []string
	for _, f := range p.files {
		if f.lines > longest && !ast.IsGenerated(f.tree) {
			add(f, token.NoPos, "has %d lines, more than %d: it has two subjects", f.lines, longest)
		}
		if f.test {
			continue
		}
		source = append(source, path.Base(f.name))
		if f.tree.Doc != nil && strings.TrimSpace(f.tree.Doc.Text()) != "" {
			documented = append(documented, path.Base(f.name))
		}
		for _, spec := range f.tree.Imports {
			if spec.Name != nil && spec.Name.Name == "_" && spec.Path.Value != `"embed"` {
				add(f, spec.Pos(), "blank import of %s", spec.Path.Value)
			}
		}
		checkState(f, vars, add)
		if inside(p.dir, detectors) {
			checkNoClock(f, add)
		}
	}
	if inside(p.dir, "internal") && len(source) > 0 {
		if len(documented) != 1 || documented[0] != "doc.go" && len(source) > 1 {
			out = append(out, fmt.Sprintf("%s: the package comment belongs in doc.go, once; it is in %q", p.dir, documented))
		}
	}
	return out
}

// packageVars returns the names of the package's variables, tests' apart.
func (p *pkg) packageVars() map[string]bool {
	vars := map[string]bool{}
	for _, f := range p.files {
		if f.test {
			continue
		}
		for _, spec := range valueSpecs(f.tree, token.VAR) {
			for _, name := range spec.Names {
				vars[name.Name] = true
			}
		}
	}
	delete(vars, "_")
	return vars
}

func valueSpecs(tree *ast.File, kind token.Token) []*ast.ValueSpec {
	var out []*ast.ValueSpec
	for _, d := range tree.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == kind {
			for _, s := range g.Specs {
				out = append(out, s.(*ast.ValueSpec))
			}
		}
	}
	return out
}

type adder func(f file, at token.Pos, what string, args ...any)

// checkState finds init functions and package-level state that changes, as far
// as syntax tells: state hidden behind a method call is not seen, so types that
// are only good for that (locks, pools, atomics, channels, empty maps) are
// refused at their declaration.
func checkState(f file, vars map[string]bool, add adder) {
	for _, spec := range valueSpecs(f.tree, token.VAR) {
		for _, e := range append([]ast.Expr{spec.Type}, spec.Values...) {
			if what := mutable(e); what != "" {
				add(f, spec.Pos(), "package-level %s %s is there to be changed", what, spec.Names[0].Name)
			}
		}
	}
	imports := importNames(f.tree)
	changed := func(e ast.Expr, at token.Pos) {
		name := root(e)
		if name == nil {
			return
		}
		// Names from other files of the package resolve to nothing here.
		local := name.Obj != nil && f.tree.Scope.Lookup(name.Name) != name.Obj
		switch {
		case local:
		case vars[name.Name]:
			add(f, at, "changes the package-level variable %s", name.Name)
		case imports[name.Name] && ast.Expr(name) != ast.Unparen(e):
			add(f, at, "changes a variable of the package %s", name.Name)
		}
	}
	ast.Inspect(f.tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil && n.Name.Name == "init" {
				add(f, n.Pos(), "init function")
			}
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, e := range n.Lhs {
					changed(e, n.Pos())
				}
			}
		case *ast.IncDecStmt:
			changed(n.X, n.Pos())
		case *ast.RangeStmt:
			if n.Tok == token.ASSIGN {
				for _, e := range []ast.Expr{n.Key, n.Value} {
					changed(e, n.Pos())
				}
			}
		case *ast.CallExpr:
			if fn, ok := n.Fun.(*ast.Ident); ok && len(n.Args) > 0 && slices.Contains([]string{"delete", "clear", "copy"}, fn.Name) {
				changed(n.Args[0], n.Pos())
			}
		}
		return true
	})
}

// mutable names the kind of a declaration that makes sense only if it changes.
func mutable(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.UnaryExpr:
		if e.Op == token.AND {
			return mutable(e.X)
		}
	case *ast.StarExpr:
		return mutable(e.X)
	case *ast.CompositeLit:
		if _, isMap := e.Type.(*ast.MapType); isMap && len(e.Elts) == 0 {
			return "empty map"
		}
		return mutable(e.Type)
	case *ast.ChanType:
		return "channel"
	case *ast.IndexExpr: // atomic.Pointer[T]
		return mutable(e.X)
	case *ast.SelectorExpr:
		in, ok := e.X.(*ast.Ident)
		if ok && (in.Name == "atomic" || in.Name == "sync" && e.Sel.Name != "Locker") {
			return in.Name + "." + e.Sel.Name
		}
	case *ast.CallExpr:
		if fn, ok := e.Fun.(*ast.Ident); ok && len(e.Args) > 0 {
			switch fn.Name {
			case "make":
				return "make"
			case "new":
				return mutable(e.Args[0])
			}
		}
	}
	return ""
}

// checkNoClock finds a detector that looks at the time by itself: a recorded
// attack would then not replay as it was.
func checkNoClock(f file, add adder) {
	asks := map[string][]string{
		"time":  {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"},
		"clock": {"New", "Clock"},
	}
	ast.Inspect(f.tree, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if in, ok := s.X.(*ast.Ident); ok && in.Obj == nil && slices.Contains(asks[in.Name], s.Sel.Name) {
				add(f, s.Pos(), "a detector keeps no clock, but uses %s.%s", in.Name, s.Sel.Name)
			}
		}
		return true
	})
}

// root returns the variable that an assignment to e changes: x in x.f[i].
func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.SliceExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

func importNames(tree *ast.File) map[string]bool {
	names := map[string]bool{}
	for _, spec := range tree.Imports {
		if spec.Name != nil {
			names[spec.Name.Name] = true
			continue
		}
		names[path.Base(strings.Trim(spec.Path.Value, `"`))] = true
	}
	return names
}
