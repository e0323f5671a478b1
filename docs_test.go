package auth_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// testFunctions are the tests of the tree, each with the folders that have it.
func testFunctions(t *testing.T) map[string][]string {
	t.Helper()
	pattern := regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	found := map[string][]string{}
	require.NoError(t, filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, m := range pattern.FindAllStringSubmatch(readText(t, path), -1) {
			found[m[1]] = append(found[m[1]], filepath.ToSlash(filepath.Dir(path)))
		}
		return nil
	}))
	return found
}

// TestDocumentedInvariants wants a test for each invariant of docs/refresh.md, in every
// place that the page says.
func TestDocumentedInvariants(t *testing.T) {
	functions := testFunctions(t)
	tested := func(name, under string) bool {
		for function, dirs := range functions {
			rest, ok := strings.CutPrefix(function, name)
			ok = ok && (rest == "" || rest[0] < '0' || rest[0] > '9')
			if ok && slices.ContainsFunc(dirs, func(dir string) bool { return dir == under || strings.HasPrefix(dir, under+"/") }) {
				return true
			}
		}
		return false
	}
	row := regexp.MustCompile("(?m)^\\| (\\d+) \\| .* \\| `(TestInvariant\\d\\d)` \\| ([a-z0-9, ]+) \\|$")
	rows := row.FindAllStringSubmatch(readText(t, "docs/refresh.md"), -1)
	require.Len(t, rows, 16)
	for i, m := range rows {
		name := fmt.Sprintf("TestInvariant%02d", i+1)
		assert.Equal(t, []string{fmt.Sprint(i + 1), name}, m[1:3])
		for place := range strings.SplitSeq(m[3], ", ") {
			dir, ok := map[string]string{"here": ".", "e2e": "e2e"}[place]
			assert.True(t, ok && tested(name, dir), "%s is not in %q", name, place)
		}
	}
}

// TestDocumentedDefaults compares the settings of docs/refresh.md with the fields' own
// comments.
//
// ASVS: 7.1.1.
func TestDocumentedDefaults(t *testing.T) {
	_, section, ok := strings.Cut(readText(t, "docs/refresh.md"), "\n## Settings\n")
	require.True(t, ok)
	section, _, _ = strings.Cut(section, "\n## ")
	rows := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (.*?) \\|").FindAllStringSubmatch(section, -1)
	require.Len(t, rows, 7)
	for _, m := range rows {
		comment := regexp.MustCompile(`Default: ([^.]*)\.\n\t` + m[1] + " ")
		found := comment.FindStringSubmatch(readText(t, "tokens.go") + readText(t, "config.go"))
		if assert.NotNil(t, found, "%s has no default", m[1]) {
			assert.Equal(t, found[1], m[2], m[1])
		}
	}
}

// TestDocumentedEvents wants every kind of event, and every reason, in docs/refresh.md.
func TestDocumentedEvents(t *testing.T) {
	_, section, ok := strings.Cut(readText(t, "docs/refresh.md"), "\n## Events\n")
	require.True(t, ok)
	kinds := regexp.MustCompile(`EventKind = "(\w+)"`).FindAllStringSubmatch(readText(t, "events.go"), -1)
	reasons := regexp.MustCompile(`(?m)^\tReason\w+ += "(\w+)"`).FindAllStringSubmatch(readText(t, "events.go")+readText(t, "store.go"), -1)
	require.NotEmpty(t, kinds)
	require.NotEmpty(t, reasons)
	for _, m := range append(kinds, reasons...) {
		assert.Contains(t, section, "`"+m[1]+"`")
	}
}

// TestDocumentedRoutes wants every route in the README's table, and no other.
//
// ASVS: 6.3.4, 6.4.2.
func TestDocumentedRoutes(t *testing.T) {
	var want, got []string
	for _, route := range newExample().Routes("") {
		want = append(want, route.Method+" "+route.Path)
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Z]+ /[^`]*)` \\|").FindAllStringSubmatch(readText(t, "README.md"), -1) {
		got = append(got, m[1])
	}
	assert.ElementsMatch(t, want, got)
}

// TestDocumentedCodes wants every code that an answer may have in the README's table, and
// no other.
func TestDocumentedCodes(t *testing.T) {
	sources, err := filepath.Glob("*.go")
	require.NoError(t, err)
	want, got := map[string]bool{}, map[string]bool{}
	for _, source := range sources {
		if strings.HasSuffix(source, "_test.go") {
			continue
		}
		for _, m := range regexp.MustCompile(`(?:code: |unauthorized\(|badRequest\()"(\w+)"`).FindAllStringSubmatch(readText(t, source), -1) {
			want[m[1]] = true
		}
	}
	for _, row := range regexp.MustCompile(`(?m)^\| [45]\d\d[^|]*\| ([^|]*) \|`).FindAllStringSubmatch(readText(t, "README.md"), -1) {
		for _, code := range codeSpan.FindAllString(row[1], -1) {
			got[strings.Trim(code, "`")] = true
		}
	}
	assert.Equal(t, want, got)
}

var (
	codeBlock = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	codeSpan  = regexp.MustCompile("`[^`\n]*`")
	heading   = regexp.MustCompile(`(?m)^#+ (.*)$`)
	mdLink    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
)

// anchors are the targets that a page's headings make.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(codeBlock.ReplaceAllString(text, ""), -1) {
		found[strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
				return r
			}
			return -1
		}, strings.ToLower(m[1]))] = true
	}
	return found
}

// TestLinks follows every relative link of the pages for people.
func TestLinks(t *testing.T) {
	pages, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	require.NotEmpty(t, pages)
	pages = append(pages, "README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md")
	for _, page := range pages {
		text := readText(t, page)
		plain := codeSpan.ReplaceAllString(codeBlock.ReplaceAllString(text, ""), "code")
		for _, m := range mdLink.FindAllStringSubmatch(plain, -1) {
			path, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(m[1], "://") {
				continue
			}
			target := text
			if path != "" {
				path = filepath.Join(filepath.Dir(page), path)
				if _, err := os.Stat(path); !assert.NoError(t, err, "%s links to %s", page, m[1]) {
					continue
				}
			}
			if anchor == "" {
				continue
			}
			if path != "" {
				target = readText(t, path)
			}
			assert.True(t, anchors(target)[anchor], "%s links to %s, which has no such heading", page, m[1])
		}
	}
}
