package main

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// testName is a test: the folder of its package below the root, and its name, with
// subtests after slashes.
type testName struct{ dir, name string }

func (t testName) String() string {
	if t.dir == "." {
		return t.name
	}
	return t.dir + "." + t.name
}

// in is how a log names the test, in a module whose nested modules are named for their
// folders.
func (t testName) in(module string) ran { return ran{path.Join(module, t.dir), t.name} }

// row is a line of a table whose first cell is an id and whose last cell names tests.
type row struct {
	id    string
	tests []testName
}

// testSpan is a code span that names a test: `TestX` of the root, `mysqlstore.TestX`,
// `internal/email.FuzzX`, `TestX/some_subtest`.
var testSpan = regexp.MustCompile("`(?:([a-z0-9_/]+)\\.)?((?:Test|Fuzz|Example)\\w*(?:/[^`]*)?)`")

// parseRows returns the rows of the tables whose first column is headed "id", and what is
// wrong with their form: an id twice, or a row that has to name a test and names none, or
// the other way around. Where a table has a column "state", the states "met" and "partly"
// want a test and no other may name one; in other tables every row wants one.
func parseRows(text string) (rows []row, problems []string) {
	seen := map[string]bool{}
	var head []string
	for line := range strings.Lines(text) {
		cells, ok := cells(line)
		switch {
		case !ok:
			head = nil
			continue
		case head == nil:
			head = cells
			continue
		case head[0] != "id" || strings.Trim(cells[0], "-: ") == "":
			continue
		case len(cells) != len(head):
			problems = append(problems, fmt.Sprintf("%s: %d cells, not %d", cells[0], len(cells), len(head)))
			continue
		}
		r := row{id: cells[0]}
		for _, m := range testSpan.FindAllStringSubmatch(cells[len(cells)-1], -1) {
			r.tests = append(r.tests, testName{path.Clean(m[1]), m[2]})
		}
		if seen[r.id] {
			problems = append(problems, r.id+": stands in two rows")
		}
		seen[r.id] = true
		wanted := true
		if i := slices.Index(head, "state"); i >= 0 {
			wanted = cells[i] == "met" || cells[i] == "partly"
		}
		switch {
		case wanted && len(r.tests) == 0:
			problems = append(problems, r.id+": names no test")
		case !wanted && len(r.tests) > 0:
			problems = append(problems, r.id+": names a test and is not met")
		}
		rows = append(rows, r)
	}
	return rows, problems
}

// cells are the cells of a table's line.
func cells(line string) ([]string, bool) {
	line = strings.TrimSpace(line)
	if len(line) < 2 || line[0] != '|' || line[len(line)-1] != '|' {
		return nil, false
	}
	cells := strings.Split(line[1:len(line)-1], "|")
	for i, c := range cells {
		cells[i] = strings.TrimSpace(c)
	}
	return cells, true
}
