package auth_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// An origin that New takes is one that a browser may write, and nothing but an origin:
// what is read out of it makes the same text again. Its pages, and no others, are trusted.
func FuzzTrustedOrigin(f *testing.F) {
	for _, origin := range []string{
		"https://app.example.com", "https://app.example.com:8443", "https://[2001:db8::1]:8443", "https://192.0.2.1", "http://localhost:3000", "http://[::1]",
		"https://app.example.com/", "https://app.example.com:443", "https://a..b", "https://a.b.", "https://*.example.com", "HTTPS://example.com", "https://Example.com",
		"https://user@example.com", "https://example.com?a#b", "https://[::FFFF:1.2.3.4]", "https://1.2.3", "https://1.2.3.04", "https://a:08", "https://a:65536",
		"https://[fe80::1%25en0]", "https://é.example", "https://xn--9ca.example", "null", "", "://", "https://%61", "https://a\x00b", "https:\\\\a", "file:///", "javascript:1",
	} {
		f.Add(origin, false)
		f.Add(origin, true)
	}
	name := regexp.MustCompile(`\A(https|http)://(([a-z0-9-]+\.)*[a-z0-9-]*[a-z-][a-z0-9-]*|(\d{1,3}\.){3}\d{1,3}|\[[0-9a-f:]+\])(:[1-9][0-9]{0,4})?\z`)
	f.Fuzz(func(t *testing.T, origin string, insecure bool) {
		w := onMemory(t)
		cfg := config(w.clock, w.log, trusting(origin), func(c *auth.Config) { c.InsecureCookies = insecure })
		a, err := auth.New(w.stores, cfg)
		if err != nil {
			require.ErrorContains(t, err, "auth: Config.Cookies.TrustedOrigins: ")
			assert.Nil(t, a)
			return
		}
		assert.Regexp(t, name, origin)
		u, err := url.Parse(origin)
		require.NoError(t, err)
		assert.Equal(t, origin, (&url.URL{Scheme: u.Scheme, Host: u.Host}).String())
		assert.NotContains(t, []string{"https:443", "http:80"}, u.Scheme+":"+u.Port())
		own := "https://own.test"
		if u.Scheme == "http" {
			own = "http://localhost:8080" // such an origin counts on a loopback host alone
			assert.True(t, insecure)
			assert.Regexp(t, `^(localhost|127\..*|::1)$`, u.Hostname())
		}
		status := func(origin string) int {
			r := newRequest(t, http.MethodPost, own+"/login", "", "Sec-Fetch-Site", "cross-site", "Origin", origin)
			return direct(t, a.Handler(""), r).status
		}
		assert.Equal(t, http.StatusUnprocessableEntity, status(origin))
		for _, other := range []string{origin + "0", origin + ".", origin + ":1", "https://x" + strings.TrimPrefix(origin, "https://"), strings.ToUpper(origin)} {
			assert.Equal(t, http.StatusForbidden, status(other), other)
		}
	})
}

// Whatever cookies come, the token of the run opens by its cookie and by nothing else,
// and changes something only for a page of our own.
func FuzzCookieHeader(f *testing.F) {
	const token = "TOKEN" // stands for the token of the run
	for _, value := range []string{
		"__Host-auth-access=TOKEN", "a=b; __Host-auth-access=TOKEN; c=d", `__Host-auth-access="TOKEN"`, "__Host-auth-access=TOKEN; __Host-auth-access=TOKEN",
		"__Host-auth-access=x; __Host-auth-access=TOKEN", "__host-auth-access=TOKEN", "auth-access=TOKEN", "__Host-auth-access = TOKEN", "__Host-auth-access=TOKEN=",
		"__Host-auth-access=TOKEN,x", "__Host-auth-access=\"TOKEN", "__Host-auth-access=TOK;EN", "__Host-auth-access=", "__Host-auth-access", "__Host-auth-refresh=TOKEN",
		"=__Host-auth-access=TOKEN", ";;; __Host-auth-access=TOKEN;", " __Host-auth-access=TOKEN ", "\t__Host-auth-access=TOKEN\x00", "__Host-auth-access=\xff", "$Version=1", "",
	} {
		f.Add(value, "", "same-origin")
		f.Add(value, value, "same-origin")
		f.Add(value, "", "cross-site")
		f.Add("a=b", value, "")
	}
	f.Fuzz(func(t *testing.T, first, second, site string) {
		w := onMemory(t, withCookies)
		id := w.signUp(t, ann)
		tokens, err := w.StartSession(t.Context(), id, auth.Client{})
		require.NoError(t, err)
		r := newRequest(t, http.MethodPost, ownOrigin+"/", "", "Sec-Fetch-Site", site)
		for _, value := range []string{first, second} {
			r.Header["Cookie"] = append(r.Header["Cookie"], strings.ReplaceAll(value, token, tokens.AccessToken))
		}
		got := direct(t, w.Require(http.HandlerFunc(whoami)), r)
		assert.Contains(t, []int{200, 400, 401, 403}, got.status)
		ours := regexp.MustCompile(`(^|;)[ \t]*` + accessCookie + `[ \t]*=[ \t]*"?` + regexp.QuoteMeta(tokens.AccessToken) + `"?[ \t]*(;|$)`)
		count := 0
		for _, value := range r.Header["Cookie"] {
			count += len(ours.FindAllString(value, -1))
		}
		own := site == "same-origin" || site == "none"
		switch {
		case got.status == http.StatusOK:
			assert.Equal(t, 1, count, "%q", r.Header["Cookie"])
			assert.True(t, own)
		case !own && got.status == http.StatusForbidden:
			assert.Equal(t, "cross_origin", got.message(t).Code)
		}
		alone := strings.TrimSpace(first) == accessCookie+"="+token && second == ""
		if alone && own {
			assert.Equal(t, http.StatusOK, got.status)
		}

		// The same header at the routes makes nothing of ours either.
		refresh := newRequest(t, http.MethodPost, ownOrigin+"/refresh", "", "Sec-Fetch-Site", site)
		refresh.Header["Cookie"] = r.Header["Cookie"]
		assert.Contains(t, []int{400, 401, 403}, direct(t, w.Handler(""), refresh).status, "an access token refreshes nothing")
		assert.Equal(t, int64(1), w.state(t, tokens.SessionID).Generation)
	})
}
