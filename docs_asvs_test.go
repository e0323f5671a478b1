package auth_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// TestDocumentedRequirements wants a row in docs/asvs.md for every requirement of V6, V7, V9
// and V10.4, and rows for others that exist alone, each once, in order and at its level. The
// requirements are in testdata/asvs.txt, with their levels. Whether the tests that a row
// names ran is for e2e/evidence to say.
func TestDocumentedRequirements(t *testing.T) {
	levels := map[string]string{}
	var order []string
	for line := range strings.Lines(readText(t, "testdata/asvs.txt")) {
		id, level, ok := strings.Cut(strings.TrimSpace(line), " ")
		require.True(t, ok, line)
		levels[id] = level
		order = append(order, id)
	}
	require.Len(t, levels, len(order))

	states := map[string]bool{"met": true, "partly": true, "documented": true, "host": true, "not yet": true, "n/a": true}
	text, lines := readText(t, "docs/asvs.md"), 0
	rows := regexp.MustCompile(`(?m)^\| (\d+\.\d+\.\d+) \| (\d) \| ([^|]+) \| ([^|]+) \| ([^|]*) ?\|$`).FindAllStringSubmatch(text, -1)
	var got []string
	for _, m := range rows {
		id, level, state, why := m[1], m[2], m[4], m[5]
		got = append(got, id)
		assert.Equal(t, levels[id], level, id)
		assert.True(t, states[state], "%s: %s", id, state)
		switch state {
		case "documented":
			assert.Contains(t, why, "](", "%s has no link", id)
		case "not yet", "n/a":
			assert.NotEmpty(t, why, "%s has no reason", id)
		}
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "| ") && line[2] >= '0' && line[2] <= '9' {
			lines++
		}
	}
	assert.Len(t, rows, lines, "a line has not the form of a row")
	var want []string
	listed := map[string]bool{}
	for _, id := range got {
		assert.False(t, listed[id], "%s twice", id)
		listed[id] = true
	}
	whole := regexp.MustCompile(`^([679]|10\.4)\.`)
	for _, id := range order {
		if listed[id] || whole.MatchString(id) {
			want = append(want, id)
		}
	}
	assert.Equal(t, want, got)
}

// TestDocumentedLimits compares the budgets of docs/security.md with those of the code, in
// their order.
//
// ASVS: 6.1.1.
func TestDocumentedLimits(t *testing.T) {
	_, section, ok := strings.Cut(readText(t, "docs/security.md"), "\n## Limits\n")
	require.True(t, ok)
	section, _, _ = strings.Cut(section, "\n## ")
	var got []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| [^|]+ \\| (\\d+) \\| (\\w+) \\| [^|]{20,} \\|$").FindAllStringSubmatch(section, -1) {
		every, err := time.ParseDuration(m[3])
		require.NoError(t, err)
		got = append(got, fmt.Sprint(m[1], " ", m[2], " ", every))
	}
	var want []string
	for _, p := range auth.Policies() {
		want = append(want, fmt.Sprint(p.Name, " ", p.Size, " ", p.Every))
	}
	assert.Equal(t, want, got)
	assert.Contains(t, section, "Nobody can lock a user out")
}
