package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// source is a test function: where it is, and the ids in its comments, by their label.
type source struct {
	at  string
	ids map[string][]string
}

var (
	moduleLine = regexp.MustCompile(`(?m)^module (\S+)$`)
	testFunc   = regexp.MustCompile(`^(Test|Fuzz|Example)([^a-z]|$)`)
	// idLine is "ASVS: 6.2.1, 6.2.5." or "Advisory: CVE-2025-30204.", a line of its own in
	// a test's doc comment or in a comment inside of it.
	idLine = regexp.MustCompile(`(?m)^(ASVS|Advisory): (.+)\.$`)
)

func modulePath(root fs.FS) (string, error) {
	text, err := fs.ReadFile(root, "go.mod")
	if err != nil {
		return "", err
	}
	m := moduleLine.FindSubmatch(text)
	if m == nil {
		return "", errors.New("go.mod names no module")
	}
	return string(m[1]), nil
}

// readSources finds every test function of a repository, nested modules included.
func readSources(root fs.FS) (map[testName]source, error) {
	found := map[testName]source{}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, "_test.go"):
			return nil
		}
		return readSource(root, name, found)
	})
	return found, err
}

func readSource(root fs.FS, name string, found map[testName]source) error {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return err
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Recv != nil || !testFunc.MatchString(f.Name.Name) {
			continue
		}
		src := source{fmt.Sprintf("%s:%d", name, fset.Position(f.Pos()).Line), map[string][]string{}}
		for _, group := range file.Comments {
			if group != f.Doc && (group.Pos() < f.Pos() || group.End() > f.End()) {
				continue
			}
			for _, m := range idLine.FindAllStringSubmatch(group.Text(), -1) {
				src.ids[m[1]] = append(src.ids[m[1]], strings.Split(m[2], ", ")...)
			}
		}
		found[testName{path.Dir(name), f.Name.Name}] = src
	}
	return nil
}
