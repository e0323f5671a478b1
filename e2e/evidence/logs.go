package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
)

// ran is a test as a log names it: the import path of its package, and its name.
type ran struct{ pkg, test string }

// outcome is what became of a test in all of its runs.
type outcome struct {
	passed, skipped, failed bool
	subtests, subtestsRan   bool // it has subtests; some that have none themselves passed
}

// problem is why the outcome is no evidence, and "" if it is.
func (o outcome) problem() string {
	switch {
	case o.failed:
		return "failed"
	case o.skipped:
		return "was skipped"
	case !o.passed:
		return "did not run"
	case o.subtests && !o.subtestsRan:
		return "skipped all of its subtests"
	}
	return ""
}

// readLogs reads the files tests.json of a folder, which go test -json wrote.
func readLogs(logs fs.FS) (map[ran]outcome, error) {
	found := map[ran]outcome{}
	err := fs.WalkDir(logs, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() != "tests.json" {
			return err
		}
		file, err := logs.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		if err := readLog(file, found); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	})
	addSubtests(found)
	if err == nil && len(found) == 0 {
		err = errors.New("the logs name no tests: run make test, without TESTFLAGS")
	}
	return found, err
}

func readLog(r io.Reader, found map[ran]outcome) error {
	events := json.NewDecoder(r)
	for {
		var event struct {
			Action  string `json:"Action"`
			Package string `json:"Package"`
			Test    string `json:"Test"`
		}
		err := events.Decode(&event)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if event.Test == "" {
			continue
		}
		test := ran{event.Package, event.Test}
		o := found[test]
		o.passed = o.passed || event.Action == "pass"
		o.skipped = o.skipped || event.Action == "skip"
		o.failed = o.failed || event.Action == "fail"
		found[test] = o
	}
}

// addSubtests tells each test what became of the subtests below it that have none
// themselves.
func addSubtests(found map[ran]outcome) {
	change := func(test ran, set func(*outcome)) {
		for i, c := range test.test {
			if c == '/' {
				parent := ran{test.pkg, test.test[:i]}
				o := found[parent]
				set(&o)
				found[parent] = o
			}
		}
	}
	tests := slices.Collect(maps.Keys(found))
	for _, test := range tests {
		change(test, func(o *outcome) { o.subtests = true })
	}
	for _, test := range tests {
		if o := found[test]; o.passed && !o.subtests {
			change(test, func(o *outcome) { o.subtestsRan = true })
		}
	}
}
