package auth_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// Advisory: CVE-2025-24358.
func TestNewChecksTrustedOrigins(t *testing.T) {
	const form, secure, port = "it must be scheme://host", "it must begin with https://", "browsers leave the default port out"
	for origin, want := range map[string]string{
		"https://app.example.com":             "",
		"https://app.example.com:8443":        "",
		"https://app-2.example.com:1":         "",
		"https://localhost":                   "",
		"https://xn--bcher-kva.example":       "",
		"https://192.0.2.1:8443":              "",
		"https://[2001:db8::1]":               "",
		"https://[2001:db8::1]:8443":          "",
		"":                                    form,
		" ":                                   form,
		"null":                                form,
		"*":                                   form,
		"https":                               form,
		"https:":                              form,
		"https://":                            form,
		"https:///":                           form,
		"https://:8443":                       form,
		"//app.example.com":                   form,
		"app.example.com":                     form,
		"app.example.com:8443":                form,
		"https:app.example.com":               form,
		"https://app.example.com/":            form,
		"https://app.example.com/path":        form,
		"https://app.example.com?":            form,
		"https://app.example.com?a=b":         form,
		"https://app.example.com#":            form,
		"https://app.example.com#a":           form,
		"https://*.example.com":               form,
		"https://*":                           form,
		"https://App.example.com":             form,
		"HTTPS://app.example.com":             form,
		"https://user@app.example.com":        form,
		"https://user:pass@app.example.com":   form,
		"https://@app.example.com":            form,
		" https://app.example.com":            form,
		"https://app.example.com ":            form,
		"https://app example.com":             form,
		"https://app.example.com\n":           form,
		"https://bücher.example":              form,
		"https://b%C3%BCcher.example":         form,
		"https://app.example.com\\":           form,
		"https://app.example.com.":            form,
		"https://.example.com":                form,
		"https://app..example.com":            form,
		"https://.":                           form,
		"https://app.example.com:":            port,
		"https://app.example.com:443":         port,
		"https://app.example.com:0443":        form,
		"https://app.example.com:08443":       form,
		"https://app.example.com:0":           form,
		"https://app.example.com:65536":       form,
		"https://app.example.com:port":        form,
		"https://app.example.com:-1":          form,
		"https://a:1:2":                       form,
		"https://2001:db8::1":                 form,
		"https://[]":                          form,
		"https://[::1":                        form,
		"https://::1]":                        form,
		"https://[2001:DB8::1]":               form,
		"https://[2001:db8:0:0:0:0:0:1]":      form,
		"https://[2001:db8::0001]":            form,
		"https://[fe80::1%25eth0]":            form,
		"https://[::ffff:192.0.2.1]":          form,
		"https://[192.0.2.1]":                 form,
		"https://192.0.2.01":                  form,
		"https://192.0.2":                     form,
		"https://3221225985":                  form,
		"https://[app.example.com]":           form,
		"http://app.example.com":              secure,
		"http://localhost":                    secure,
		"http://127.0.0.1:3000":               secure,
		"ws://app.example.com":                secure,
		"ftp://app.example.com":               secure,
		"file://":                             form,
		"capacitor://localhost":               secure,
		"chrome-extension://abcdefgh":         secure,
		"javascript:alert(1)":                 form,
		"https://app.example.com,https://b.c": form,
	} {
		cfg := goodConfig()
		cfg.Cookies = &auth.CookieOptions{TrustedOrigins: []string{origin}}
		_, err := auth.New(memStores(), cfg)
		if want == "" {
			require.NoError(t, err, origin)
			continue
		}
		require.Error(t, err, "%q", origin)
		assert.ErrorContains(t, err, "auth: Config.Cookies.TrustedOrigins: ")
		assert.ErrorContains(t, err, want, "%q", origin)
		assert.NotContains(t, err.Error(), "\n")
	}
}

// For development without TLS a page of this machine may be trusted.
func TestNewChecksTrustedOriginsForDevelopment(t *testing.T) {
	for origin, ok := range map[string]bool{
		"http://localhost:3000":             true,
		"http://localhost":                  true,
		"http://127.0.0.1:3000":             true,
		"http://[::1]:3000":                 true,
		"https://app.example.com":           true,
		"http://localhost:80":               false,
		"http://localhost:3000/":            false,
		"http://app.example.com":            false,
		"http://localhost.example.com:3000": false,
		"http://10.0.0.1:3000":              false,
		"ws://localhost:3000":               false,
	} {
		cfg := goodConfig()
		cfg.Cookies, cfg.InsecureCookies = &auth.CookieOptions{TrustedOrigins: []string{origin}}, true
		_, err := auth.New(memStores(), cfg)
		assert.Equal(t, ok, err == nil, "%s: %v", origin, err)
	}
}

func TestNewReportsEveryProblemOfCookies(t *testing.T) {
	cfg := goodConfig()
	cfg.HashCost, cfg.InsecureTutorialMode = 9, true
	cfg.Cookies = &auth.CookieOptions{TrustedOrigins: []string{"https://a.example/", "https://good.example", "null", "http://b.example"}}
	_, err := auth.New(auth.Stores{}, cfg)
	require.Error(t, err)
	for _, want := range []string{
		`"https://a.example/"`, `"null"`, `"http://b.example"`, "Config.HashCost", "Stores.Users", "Stores.Refresh",
		"Config.Cookies is set beside InsecureTutorialMode",
	} {
		assert.ErrorContains(t, err, want)
	}
	assert.NotContains(t, err.Error(), "good.example")

	cfg = goodConfig()
	cfg.InsecureCookies = true
	_, err = auth.New(memStores(), cfg)
	require.EqualError(t, err, "auth: Config.InsecureCookies is set without Config.Cookies")
}

// What is done to the origins afterwards changes nothing.
func TestCookieOptionsAreCopied(t *testing.T) {
	options := &auth.CookieOptions{TrustedOrigins: []string{"https://app.example.com"}}
	w := onMemory(t, func(c *auth.Config) { c.Cookies = options })
	w.signUp(t, ann)
	tokens := w.logIn(t, ann)
	h := w.Require(http.HandlerFunc(whoami))
	options.TrustedOrigins[0] = "https://other.example"
	*options = auth.CookieOptions{TrustedOrigins: []string{"https://other.example"}}
	assert.Equal(t, http.StatusOK, carrying(t, h, "POST", "/", tokens, byCookie, "cross-site", "https://app.example.com").status)
	assertCrossOrigin(t, carrying(t, h, "POST", "/", tokens, byCookie, "cross-site", "https://other.example"))
}
