package main_test

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	host "github.com/ostiary/auth/examples/browser"
	"github.com/ostiary/auth/memstore"
)

func handler(t *testing.T) http.Handler {
	t.Helper()
	a, err := auth.New(memstore.New(memstore.Options{}).Stores(), auth.Config{
		Tokens: auth.TokenOptions{
			AccessKeys:  []auth.Key{auth.HMACKey([]byte("an access secret of tests, 32 bytes and more"))},
			RefreshKeys: []auth.Key{auth.HMACKey([]byte("a refresh secret of tests, 32 bytes and more"))},
		},
		Cookies: &auth.CookieOptions{},
	})
	require.NoError(t, err)
	h, err := host.Handler(a)
	require.NoError(t, err)
	return h
}

func get(t *testing.T, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, http.NoBody))
	return w
}

// TestPage gets everything that the page names.
func TestPage(t *testing.T) {
	h := handler(t)
	index := get(t, h, "/")
	assert.Equal(t, http.StatusOK, index.Code)
	assert.Equal(t, "no-cache", index.Header().Get("Cache-Control"))
	for path, contentType := range map[string]string{
		"/app.js":    "text/javascript; charset=utf-8",
		"/client.js": "text/javascript; charset=utf-8",
		"/style.css": "text/css; charset=utf-8",
		"/icon.svg":  "image/svg+xml",
	} {
		got := get(t, h, path)
		assert.Equal(t, http.StatusOK, got.Code, path)
		assert.Equal(t, contentType, got.Header().Get("Content-Type"), path)
	}
	for _, named := range regexp.MustCompile(`(?:href|src)="([^"]*)"`).FindAllStringSubmatch(index.Body.String(), -1) {
		assert.Equal(t, http.StatusOK, get(t, h, "/"+named[1]).Code, named[1])
	}
	assert.Equal(t, http.StatusNotFound, get(t, h, "/nothing").Code)
}

// TestHeaders are on the page, the API and errors alike.
func TestHeaders(t *testing.T) {
	h := handler(t)
	for _, path := range []string{"/", "/app.js", "/nothing", "/api/profile", "/api/nothing"} {
		header := get(t, h, path).Header()
		policy := header.Get("Content-Security-Policy")
		assert.Contains(t, policy, "default-src 'none'", path)
		assert.Contains(t, policy, "frame-ancestors 'none'", path)
		assert.NotContains(t, policy, "unsafe", path)
		assert.Equal(t, "nosniff", header.Get("X-Content-Type-Options"), path)
		assert.Equal(t, "same-origin", header.Get("Referrer-Policy"), path)
		assert.Equal(t, "same-origin", header.Get("Cross-Origin-Opener-Policy"), path)
		assert.Equal(t, "same-origin", header.Get("Cross-Origin-Resource-Policy"), path)
		assert.Equal(t, "DENY", header.Get("X-Frame-Options"), path)
	}
}

// TestPageKeepsToItsPolicy looks for what the policy would stop, and for what would let a
// name or an address become markup.
func TestPageKeepsToItsPolicy(t *testing.T) {
	files := os.DirFS("page")
	paths, err := fs.Glob(files, "*")
	require.NoError(t, err)
	for _, path := range paths {
		text, err := fs.ReadFile(files, path)
		require.NoError(t, err)
		if filepath.Ext(path) == ".html" {
			assert.NotRegexp(t, `(?i)<script[^>]*>[^<]|<style|\sstyle=|\son[a-z]+=|https?://`, string(text), path)
		}
		if filepath.Ext(path) == ".js" {
			assert.NotRegexp(t, `innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|document\.cookie|localStorage|sessionStorage\.`, withoutComments(string(text)), path)
		}
	}
}

func withoutComments(script string) string {
	return regexp.MustCompile(`(?m)^\s*//.*$`).ReplaceAllString(script, "")
}

// TestForms have a label, a hint for password managers and a place for its problem at
// each field.
func TestForms(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("page", "index.html"))
	require.NoError(t, err)
	inputs := regexp.MustCompile(`<input id="([^"]+)"[^>]*>`).FindAllStringSubmatch(string(page), -1)
	assert.Len(t, inputs, 5)
	for _, input := range inputs {
		assert.Contains(t, string(page), `<label for="`+input[1]+`">`)
		assert.Contains(t, string(page), `<p id="`+input[1]+`-problem"`)
		assert.Contains(t, input[0], `aria-describedby="`+input[1]+`-problem"`)
		assert.Contains(t, input[0], "autocomplete=")
	}
}
