package auth_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestGuideShowsTheClient compares the client of examples/browser with the one that
// docs/browser.md shows.
func TestGuideShowsTheClient(t *testing.T) {
	_, rest, begins := strings.Cut(readText(t, "docs/browser.md"), "<!-- begin examples/browser/page/client.js -->\n```js\n")
	shown, _, ends := strings.Cut(rest, "```\n<!-- end examples/browser/page/client.js -->\n")
	require.True(t, begins && ends, "the marks around the client")
	assert.Equal(t, readText(t, "examples/browser/page/client.js"), shown)
}
