// Program evidence checks the tables that name tests as evidence, docs/asvs.md and
// docs/advisories.md: it fails unless each test that they name ran and passed, was not
// skipped, and carries the row's id in a comment.
//
//	go -C e2e run ./evidence .. ../.build
//
// The arguments are the root of the repository, and a folder with the logs of a whole run
// of the tests, which make test writes: files named tests.json, in the form of
// go test -json.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: evidence ROOT LOGS")
		os.Exit(2)
	}
	if err := run(os.DirFS(os.Args[1]), os.DirFS(os.Args[2])); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// page is a page of tables, and the word before the ids in comments at tests.
type page struct{ path, label string }

func pages() []page {
	return []page{{"docs/asvs.md", "ASVS"}, {"docs/advisories.md", "Advisory"}}
}

// run returns every problem, one a line.
func run(root, logs fs.FS) error {
	module, err := modulePath(root)
	if err != nil {
		return err
	}
	sources, err := readSources(root)
	if err != nil {
		return err
	}
	outcomes, err := readLogs(logs)
	if err != nil {
		return err
	}
	var problems []error
	for _, p := range pages() {
		text, err := fs.ReadFile(root, p.path)
		if err != nil {
			return err
		}
		rows, bad := parseRows(string(text))
		bad = append(bad, judge(rows, p.label, module, sources, outcomes)...)
		for _, problem := range bad {
			problems = append(problems, fmt.Errorf("%s: %s", p.path, problem))
		}
		fmt.Printf("%s: %d rows, %d of them with tests\n", p.path, len(rows), withTests(rows))
	}
	return errors.Join(problems...)
}

func withTests(rows []row) int {
	n := 0
	for _, r := range rows {
		if len(r.tests) > 0 {
			n++
		}
	}
	return n
}

// judge is what is wrong with the rows of one page, and with the comments of its label.
func judge(rows []row, label, module string, sources map[testName]source, outcomes map[ran]outcome) []string {
	var problems []string
	named := map[testName][]string{} // the ids of the rows that name a test
	for _, r := range rows {
		for _, test := range r.tests {
			top := test
			top.name, _, _ = strings.Cut(test.name, "/")
			named[top] = append(named[top], r.id)
			src, ok := sources[top]
			if !ok {
				problems = append(problems, fmt.Sprintf("%s: no test is called %s", r.id, test))
				continue
			}
			if !slices.Contains(src.ids[label], r.id) {
				problems = append(problems, fmt.Sprintf("%s: %s (%s) has no comment \"%s: %s.\"", r.id, test, src.at, label, r.id))
			}
			if what := outcomes[test.in(module)].problem(); what != "" {
				problems = append(problems, fmt.Sprintf("%s: %s %s", r.id, test, what))
			}
		}
	}
	for test, src := range sources {
		for _, id := range src.ids[label] {
			if !slices.Contains(named[test], id) {
				problems = append(problems, fmt.Sprintf("%s: %s (%s) has it in a comment, and no row of it names the test", id, test, src.at))
			}
		}
	}
	slices.Sort(problems)
	return problems
}
