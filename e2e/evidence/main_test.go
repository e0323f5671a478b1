package main

import (
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A repository whose tables are right, and the log of its tests.
const (
	asvsPage = `# ASVS

## V1

| id | level | requirement | state | shown by, or why |
| --- | --- | --- | --- | --- |
| 1.1.1 | 1 | passwords | met | ` + "`TestOne`, `store.TestLegs/one leg`" + ` |
| 1.1.2 | 1 | phones | host | ours are none: ` + "`Phone`" + ` |
| 1.1.3 | 2 | mails | partly | ` + "`TestOne`, `FuzzBody`, `Example`" + `; mails are missing |
`
	advisoriesPage = `# Advisories

| id | system | what went wrong | shown by |
| --- | --- | --- | --- |
| CVE-2025-1 | a | b | ` + "`TestOne`" + ` |
| system 2.4.1 | a | b | ` + "`store.TestLegs`" + ` |

| another | table |
| --- | --- |
| x | y |
`
	rootTests = `package repo_test

// TestOne tests one.
//
// ASVS: 1.1.1, 1.1.3.
// Advisory: CVE-2025-1.
func TestOne(t *testing.T) {}

func FuzzBody(f *testing.F) {
	// ASVS: 1.1.3.
	f.Add()
}

// ASVS: 1.1.3.
func Example() {}

// ASVS: 9.9.9.
func helper() {}

// Tests is no test.
// ASVS: 9.9.9.
func Testable() {}
`
	storeTests = `package store_test

// ASVS: 1.1.1.
// Advisory: system 2.4.1.
func TestLegs(t *testing.T) {}
`
	log = `{"Action":"run","Package":"example.com/repo","Test":"TestOne"}
{"Action":"pass","Package":"example.com/repo","Test":"TestOne","Elapsed":0.1}
{"Action":"pass","Package":"example.com/repo","Test":"FuzzBody"}
{"Action":"pass","Package":"example.com/repo","Test":"Example"}
{"Action":"pass","Package":"example.com/repo","Elapsed":0.1}
`
	storeLog = `{"Action":"pass","Package":"example.com/repo/store","Test":"TestLegs/one leg"}
{"Action":"skip","Package":"example.com/repo/store","Test":"TestLegs/other"}
{"Action":"pass","Package":"example.com/repo/store","Test":"TestLegs"}
`
)

// change replaces one text of one file.
type change struct{ file, old, new string }

// try runs the checker on the repository with some changes.
func try(t *testing.T, changes ...change) error {
	t.Helper()
	files := map[string]string{
		"go.mod":                  "module example.com/repo\n\ngo 1.26.0\n",
		"docs/asvs.md":            asvsPage,
		"docs/advisories.md":      advisoriesPage,
		"repo_test.go":            rootTests,
		"store/store_test.go":     storeTests,
		"testdata/x_test.go":      "no Go\n",
		".build/tests.json":       log,
		".build/store/tests.json": storeLog,
		".build/store/other.json": "no log",
	}
	for _, c := range changes {
		require.Equal(t, 1, strings.Count(files[c.file], c.old), "%s in %s", c.old, c.file)
		files[c.file] = strings.Replace(files[c.file], c.old, c.new, 1)
	}
	root := fstest.MapFS{}
	for name, text := range files {
		root[name] = &fstest.MapFile{Data: []byte(text)}
	}
	logs, err := fs.Sub(root, ".build")
	require.NoError(t, err)
	return run(root, logs)
}

func TestRun(t *testing.T) {
	require.NoError(t, try(t))

	const store = ".build/store/tests.json"
	for name, c := range map[string]struct {
		change change
		want   string
	}{
		"no such test":       {change{"docs/asvs.md", "`FuzzBody`", "`FuzzBodies`"}, "docs/asvs.md: 1.1.3: no test is called FuzzBodies"},
		"elsewhere":          {change{"docs/advisories.md", "store.", ""}, "docs/advisories.md: system 2.4.1: no test is called TestLegs"},
		"not run":            {change{".build/tests.json", `{"Action":"pass","Package":"example.com/repo","Test":"FuzzBody"}`, ""}, "1.1.3: FuzzBody did not run"},
		"begun alone":        {change{".build/tests.json", `"pass","Package":"example.com/repo","Test":"TestOne"`, `"output","Package":"example.com/repo","Test":"TestOne"`}, "1.1.1: TestOne did not run"},
		"skipped":            {change{".build/tests.json", `"pass","Package":"example.com/repo","Test":"TestOne"`, `"skip","Package":"example.com/repo","Test":"TestOne"`}, "1.1.1: TestOne was skipped"},
		"failed":             {change{".build/tests.json", `"pass","Package":"example.com/repo","Test":"TestOne"`, `"fail","Package":"example.com/repo","Test":"TestOne"`}, "1.1.1: TestOne failed"},
		"failed once":        {change{".build/tests.json", `"run"`, `"fail"`}, "1.1.1: TestOne failed"},
		"subtest skipped":    {change{store, `"pass","Package":"example.com/repo/store","Test":"TestLegs/one leg"`, `"skip","Package":"example.com/repo/store","Test":"TestLegs/one leg"`}, "1.1.1: store.TestLegs/one leg was skipped"},
		"subtests skipped":   {change{store, `"pass","Package":"example.com/repo/store","Test":"TestLegs/one leg"`, `"skip","Package":"example.com/repo/store","Test":"TestLegs/one leg"`}, "system 2.4.1: store.TestLegs skipped all of its subtests"},
		"subtest not run":    {change{"docs/asvs.md", "TestLegs/one leg", "TestLegs/two"}, "1.1.1: store.TestLegs/two did not run"},
		"below a subtest":    {change{store, "TestLegs/one leg", "TestLegs/one leg/deep"}, "1.1.1: store.TestLegs/one leg did not run"},
		"no comment":         {change{"store/store_test.go", "// ASVS: 1.1.1.\n", ""}, `1.1.1: store.TestLegs/one leg (store/store_test.go:4) has no comment "ASVS: 1.1.1."`},
		"another comment":    {change{"store/store_test.go", "Advisory: system 2.4.1", "Advisory: system 2.4.2"}, `system 2.4.2: store.TestLegs (store/store_test.go:5) has it in a comment, and no row of it names the test`},
		"another label":      {change{"store/store_test.go", "Advisory:", "ASVS:"}, `system 2.4.1: store.TestLegs (store/store_test.go:5) has no comment "Advisory: system 2.4.1."`},
		"not named":          {change{"docs/asvs.md", ", `FuzzBody`", ""}, "1.1.3: FuzzBody (repo_test.go:9) has it in a comment, and no row of it names the test"},
		"twice":              {change{"docs/asvs.md", "| 1.1.2 |", "| 1.1.1 |"}, "1.1.1: stands in two rows"},
		"met by nothing":     {change{"docs/asvs.md", "| host |", "| met |"}, "1.1.2: names no test"},
		"not met by a test":  {change{"docs/asvs.md", "`Phone`", "`TestOne`"}, "1.1.2: names a test and is not met"},
		"no test of its own": {change{"docs/advisories.md", "`TestOne`", "`One`"}, "CVE-2025-1: names no test"},
		"too many cells":     {change{"docs/asvs.md", "phones", "a | b"}, "1.1.2: 6 cells, not 5"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.ErrorContains(t, try(t, c.change), c.want)
		})
	}
}

func TestRunFindsEveryProblem(t *testing.T) {
	err := try(t, change{"docs/asvs.md", "`FuzzBody`", "`FuzzBodies`"}, change{"docs/advisories.md", "`TestOne`", "`One`"})
	require.ErrorContains(t, err, "docs/asvs.md: 1.1.3: no test is called FuzzBodies\n")
	assert.ErrorContains(t, err, "docs/advisories.md: CVE-2025-1: names no test")
}

func TestRunRefuses(t *testing.T) {
	require.ErrorContains(t, try(t, change{"go.mod", "module", "modul"}), "names no module")
	require.ErrorContains(t, try(t, change{"repo_test.go", "package repo_test", ""}), "repo_test.go:")
	require.ErrorContains(t, try(t, change{".build/tests.json", `"run"`, `run`}), "tests.json:")
	require.ErrorContains(t, try(t, change{".build/tests.json", log, ""}, change{".build/store/tests.json", storeLog, ""}), "run make test")
	require.ErrorIs(t, run(os.DirFS("nowhere"), os.DirFS("nowhere")), os.ErrNotExist)
}
