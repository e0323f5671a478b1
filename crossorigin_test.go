package auth_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

const (
	trustedOrigin  = "https://app.example.com:8443"
	insecureOrigin = "http://example.com" // of our host, which a network may answer for
)

func trusting(origins ...string) func(*auth.Config) {
	return func(c *auth.Config) { c.Cookies = &auth.CookieOptions{TrustedOrigins: origins} }
}

// provenance is what is made of a request by what its headers say of where it comes from.
type provenance int

const (
	homely  provenance = iota // it may change something
	foreign                   // it may not
	unknown                   // it may, unless it carries our cookies
)

// crossOriginRows are all the values of Sec-Fetch-Site with all those of Origin.
func crossOriginRows() []struct {
	site string
	rows map[string]provenance
} {
	return []struct {
		site string
		rows map[string]provenance // by Origin
	}{
		{"", map[string]provenance{"": unknown, ownOrigin: homely, trustedOrigin: homely, "https://other.example": foreign, "null": foreign, insecureOrigin: foreign}},
		{"same-origin", map[string]provenance{"": homely, ownOrigin: homely, trustedOrigin: homely, "https://other.example": homely, "null": homely, insecureOrigin: foreign}},
		{"none", map[string]provenance{"": homely, ownOrigin: homely, trustedOrigin: homely, "https://other.example": homely, "null": homely, insecureOrigin: foreign}},
		{"same-site", map[string]provenance{"": foreign, ownOrigin: foreign, trustedOrigin: homely, "https://other.example": foreign, "null": foreign, insecureOrigin: foreign}},
		{"cross-site", map[string]provenance{"": foreign, ownOrigin: foreign, trustedOrigin: homely, "https://other.example": foreign, "null": foreign, insecureOrigin: foreign}},
		{"garbage", map[string]provenance{"": foreign, ownOrigin: foreign, trustedOrigin: homely, "https://other.example": foreign, "null": foreign, insecureOrigin: foreign}},
		{"Same-Origin", map[string]provenance{"": foreign, ownOrigin: foreign, trustedOrigin: homely, "https://other.example": foreign, "null": foreign, insecureOrigin: foreign}},
	}
}

// The carriers of a request's token.
const (
	byCookie = iota
	byBearer
	byBoth    // the bearer counts
	byNeither // no token at all
	carriers
)

var allMethods = []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"}

func unsafeMethod(method string) bool {
	return method != "GET" && method != "HEAD" && method != "OPTIONS"
}

// carrying sends a request from that site and origin, with the tokens by that carrier.
func carrying(t *testing.T, h http.Handler, method, path string, tokens auth.Tokens, carrier int, site, origin string) reply {
	t.Helper()
	r := newRequest(t, method, ownOrigin+path, "")
	if site != "" {
		r.Header.Set("Sec-Fetch-Site", site)
	}
	if origin != "" {
		r.Header.Set("Origin", origin)
	}
	if carrier == byCookie || carrier == byBoth {
		r.Header.Set("Cookie", accessCookie+"="+tokens.AccessToken+"; "+refreshCookie+"="+tokens.RefreshToken)
	}
	if carrier == byBearer || carrier == byBoth {
		bearer := tokens.AccessToken
		if path == "/refresh" || path == "/logout" {
			bearer = tokens.RefreshToken
		}
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	return direct(t, h, r)
}

// refuses says whether such a request is answered with 403.
func (p provenance) refuses(method string, carrier int) bool {
	return unsafeMethod(method) && (carrier == byCookie && p != homely || carrier == byNeither && p == foreign)
}

func assertCrossOrigin(t *testing.T, got reply, context ...any) {
	t.Helper()
	assert.Equal(t, http.StatusForbidden, got.status, context...)
	assert.Equal(t, message{Code: "cross_origin", Message: "Forbidden: cross-origin request"}, got.message(t), context...)
	assertNoCookies(t, got)
}

// On our routes.
//
// ASVS: 3.5.1.
// Advisory: CVE-2025-47910.
func TestCrossOriginOnRoutes(t *testing.T) {
	const sessionPath = "/sessions/"
	w := onMemory(t, trusting(trustedOrigin), noLimits)
	id := w.signUp(t, ann)
	h := w.Handler("")
	routes := map[string]map[string][carriers]int{ // the status of each method that there is, if it is not refused
		"/signup":     {"POST": {422, 422, 422, 422}},
		"/login":      {"POST": {422, 422, 422, 422}},
		"/profile":    {"GET": {200, 200, 200, 401}},
		"/refresh":    {"GET": {401, 200, 200, 401}, "POST": {200, 200, 200, 401}},
		"/logout":     {"POST": {200, 200, 200, 401}},
		"/logout/all": {"POST": {200, 200, 200, 401}},
		"/sessions":   {"GET": {200, 200, 200, 401}},
		sessionPath:   {"DELETE": {200, 200, 200, 401}},
		"/reauth":     {"POST": {422, 422, 422, 401}},
		"/jwks.json":  {"GET": {200, 200, 200, 200}},
	}
	start := func() auth.Tokens {
		tokens, err := w.StartSession(t.Context(), id, auth.Client{})
		require.NoError(t, err)
		return tokens
	}
	tokens := start()
	for _, by := range crossOriginRows() {
		for origin, from := range by.rows {
			for path, served := range routes {
				for _, method := range allMethods {
					for carrier := range carriers {
						at := path
						if path == sessionPath {
							at += tokens.SessionID.String()
						}
						statuses, ok := served[method]
						want := statuses[carrier]
						if !ok {
							want = http.StatusMethodNotAllowed
						} else if from.refuses(method, carrier) {
							want = http.StatusForbidden
						}
						row := w.row(t, tokens.SessionID)
						got := carrying(t, h, method, at, tokens, carrier, by.site, origin)
						require.Equal(t, want, got.status, "%s %s, carrier %d, Sec-Fetch-Site %q, Origin %q", method, path, carrier, by.site, origin)
						if want == http.StatusForbidden {
							assertCrossOrigin(t, got)
						}
						if after := w.row(t, tokens.SessionID); want != http.StatusOK {
							require.Equal(t, row, after)
						} else if !after.RevokedAt.IsZero() {
							tokens = start()
						}
					}
				}
			}
		}
	}
}

// Routes one by one are those of Handler.
//
// Advisory: CVE-2025-47910.
func TestCrossOriginOnSingleRoutes(t *testing.T) {
	w := onMemory(t, withCookies)
	w.signUp(t, ann)
	tokens := w.logIn(t, ann)
	for _, route := range w.Routes("/api") {
		path := strings.Replace(route.Path, "{id}", tokens.SessionID.String(), 1)
		got := carrying(t, route.Handler, route.Method, path, tokens, byCookie, "cross-site", "https://other.example")
		if unsafeMethod(route.Method) {
			assertCrossOrigin(t, got, route.Path)
		} else {
			assert.NotEqual(t, http.StatusForbidden, got.status, route.Path)
		}
	}
	assert.Equal(t, int64(1), w.state(t, tokens.SessionID).Generation)
	assert.True(t, w.state(t, tokens.SessionID).RevokedAt.IsZero())
}

// On a host's routes, behind each guard.
//
// ASVS: 3.5.1.
func TestCrossOriginOnHostsRoutes(t *testing.T) {
	w := onMemory(t, trusting(trustedOrigin))
	w.signUp(t, ann)
	tokens := w.logIn(t, ann)
	for name, guard := range guards(w) {
		called := 0
		h := guard(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { called++; whoami(rw, r) }))
		for _, by := range crossOriginRows() {
			for origin, from := range by.rows {
				for _, method := range append(allMethods, "TRACE", "PURGE") {
					for carrier := range carriers {
						before := called
						got := carrying(t, h, method, "/orders", tokens, carrier, by.site, origin)
						want := http.StatusOK
						switch {
						case carrier == byNeither && name == "Optional": // the host's own to refuse
						case carrier == byNeither:
							want = http.StatusUnauthorized
						case from.refuses(method, carrier):
							want = http.StatusForbidden
							assertCrossOrigin(t, got)
						}
						require.Equal(t, want, got.status, "%s, %s, carrier %d, Sec-Fetch-Site %q, Origin %q", name, method, carrier, by.site, origin)
						require.Equal(t, want == http.StatusOK, called > before)
						if carrier == byNeither && name == "Optional" {
							require.Equal(t, "anonymous", got.body)
						}
					}
				}
			}
		}
	}
}

// Where Sec-Fetch-Site says nothing, Origin is compared whole.
//
// ASVS: 3.5.1.
// Advisory: CVE-2025-24358.
func TestCrossOriginOrigins(t *testing.T) {
	w := onMemory(t, trusting("https://app.example.com", "https://app.example.com:8443"))
	w.signUp(t, ann)
	tokens := w.logIn(t, ann)
	h := w.Require(http.HandlerFunc(whoami))
	for origin, passes := range map[string]bool{
		"https://app.example.com":           true,
		"https://app.example.com:8443":      true,
		ownOrigin:                           true,
		"http://app.example.com":            false,
		"https://app.example.com:443":       false,
		"https://app.example.com:8444":      false,
		"https://app.example.com/":          false,
		"https://APP.example.com":           false,
		"https://app.example.com.":          false,
		"https://app.example.com.other.com": false,
		"https://xapp.example.com":          false,
		"https://sub.app.example.com":       false,
		"https://other.example.com":         false,
		insecureOrigin:                      false,
		"https://example.com:8080":          false,
		"https://example.com.other.com":     false,
		"https://com":                       false,
		"app.example.com":                   false,
		"chrome-extension://abc":            false,
		"NULL":                              false,
		"*":                                 false,
	} {
		for _, site := range []string{"", "cross-site"} {
			want := passes && (site == "" || origin != ownOrigin)
			got := carrying(t, h, "POST", "/", tokens, byCookie, site, origin)
			assert.Equal(t, want, got.status == http.StatusOK, "Sec-Fetch-Site %q, Origin %q", site, origin)
		}
	}
}

// A page without TLS may be anybody's on the way: its requests change something on a
// loopback host with InsecureCookies alone.
//
// Advisory: CVE-2025-24358.
func TestCrossOriginWithoutTLS(t *testing.T) {
	insecure := func(c *auth.Config) { withCookies(c); c.InsecureCookies = true }
	for _, c := range []struct {
		host   string
		edit   func(*auth.Config)
		passes bool
	}{
		{"localhost:3000", insecure, true},
		{"localhost:3000", withCookies, false},
		{"example.com", insecure, false},
		{"example.com", withCookies, false},
	} {
		w := onMemory(t, c.edit)
		w.signUp(t, ann)
		for _, site := range []string{"", "same-origin"} {
			r := newRequest(t, "POST", "http://"+c.host+"/login", loginBody(t, ann), "Origin", "http://"+c.host)
			if site != "" {
				r.Header.Set("Sec-Fetch-Site", site)
			}
			got := direct(t, w.Handler(""), r)
			if c.passes {
				assert.Equal(t, http.StatusOK, got.status, got.body)
			} else {
				assertCrossOrigin(t, got, c.host, site)
			}
		}
	}
}

// Any cookie of ours makes a request tell where it comes from.
//
// ASVS: 3.5.2.
// Advisory: CVE-2025-46721.
func TestCrossOriginOfAnyCookie(t *testing.T) {
	w := onMemory(t, withCookies)
	for _, cookies := range []string{
		accessCookie + "=x", refreshCookie + "=x", accessCookie + "=x; " + accessCookie + "=x", refreshCookie + "=; " + refreshCookie + "=",
	} {
		for _, path := range []string{"/login", "/signup", "/refresh", "/logout", "/logout/all", "/reauth"} {
			got := direct(t, w.Handler(""), newRequest(t, "POST", ownOrigin+path, "", "Cookie", cookies))
			assertCrossOrigin(t, got, path, cookies)
		}
	}
	got := direct(t, w.Handler(""), newRequest(t, "POST", ownOrigin+"/login", "", "Cookie", "a=b; auth-access=x; "+accessCookie+"="))
	assert.Equal(t, http.StatusUnprocessableEntity, got.status, "none of ours")
}

// Only a bearer token frees a request from telling where it comes from: browsers send
// other credentials by themselves.
func TestCrossOriginOfOtherCredentials(t *testing.T) {
	w := onMemory(t, withCookies)
	w.signUp(t, ann)
	for _, header := range []string{"Basic YTpi", "Bearer", "Bearer a b", "Negotiate abc", ""} {
		got := direct(t, w.Handler(""), newRequest(t, "POST", ownOrigin+"/login", loginBody(t, ann), "Authorization", header, "Sec-Fetch-Site", "cross-site"))
		assertCrossOrigin(t, got, header)
	}
}

// A page of another origin logs nobody in as somebody else.
//
// ASVS: 7.6.2.
func TestCrossOriginLogin(t *testing.T) {
	w := onMemory(t, withCookies)
	w.signUp(t, ann)
	a, script := w.scripted(t, withCookies)
	h := a.Handler("")
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site", "Origin", "https://evil.example.com"},
		{"Origin", "https://other.example"},
		{"Origin", "null"},
		{"Origin", "https://other.example", "Cookie", accessCookie + "=x"},
	} {
		for _, path := range []string{"/login", "/signup"} {
			assertCrossOrigin(t, direct(t, h, newRequest(t, "POST", ownOrigin+path, signupBody(t, ann), headers...)), path, headers)
		}
	}
	assert.Empty(t, script.calls())
	got := direct(t, h, newRequest(t, "POST", ownOrigin+"/login", loginBody(t, ann)))
	assert.Equal(t, http.StatusOK, got.status, "a program that keeps cookies")
}
