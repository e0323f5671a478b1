package auth_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ostiary/auth"
)

// door is a route that takes a bearer token, and what opens it.
type door struct {
	method, path string
	token        string // that is good there
	secret, typ  string // of that token
}

// doors are the routes with a token that is good there. Opening one of them writes to
// the store.
func doors(tokens auth.Tokens) []door {
	return []door{
		{http.MethodGet, "/profile", tokens.AccessToken, accessSecret, "at+jwt"},
		{http.MethodGet, "/refresh", tokens.RefreshToken, refreshSecret, "rt+jwt"},
		{http.MethodPost, "/refresh", tokens.RefreshToken, refreshSecret, "rt+jwt"},
	}
}

// try sends the Authorization headers to the door without a server between, which
// refuses some of them itself.
func (d door) try(t *testing.T, h http.Handler, authorization ...string) reply {
	t.Helper()
	r := newRequest(t, d.method, d.path, "")
	if len(authorization) > 0 {
		r.Header["Authorization"] = authorization
	}
	return direct(t, h, r)
}

// stays is try for headers that open nothing.
func (d door) stays(t *testing.T, h http.Handler, code string, authorization ...string) {
	t.Helper()
	got := d.try(t, h, authorization...)
	what := fmt.Sprintf("%s %s %.200q", d.method, d.path, authorization)
	assert.Equal(t, http.StatusUnauthorized, got.status, what)
	assert.Equal(t, code, got.message(t).Code, what)
	challenge := "Bearer"
	if code != noToken {
		challenge = invalidTokenChallenge
	}
	assert.Equal(t, challenge, got.header.Get("WWW-Authenticate"), what)
}

// onDoors has try run for each door of a fresh user, and then opens the door.
func onDoors(t *testing.T, try func(t *testing.T, h http.Handler, d door)) {
	t.Helper()
	w := onMemory(t)
	w.signUp(t, "ann@example.com")
	tokens := w.logIn(t, "ann@example.com")
	a, script := w.scripted(t)
	h := a.Handler("")
	for _, d := range doors(tokens) {
		t.Run(d.method+d.path, func(t *testing.T) {
			nothingStored(t, w, script, func() { try(t, h, d) })
			assert.Equal(t, http.StatusOK, d.try(t, h, "Bearer "+d.token).status)
		})
	}
}

// ASVS: 15.3.7.
// Advisory: next-auth GHSA-xmf8.
func TestAuthorizationHeaders(t *testing.T) {
	onDoors(t, func(t *testing.T, h http.Handler, d door) {
		t.Helper()
		d.stays(t, h, noToken)
		d.stays(t, h, noToken, "")
		good := "Bearer " + d.token
		for _, values := range [][]string{
			{good, good},
			{good, ""},
			{"", good},
			{"", ""},
			{good, "Basic YTpi"},
			{" "},
			{"Bearer"},
			{"Bearer "},
			{"Bearer     "},
			{"Bearer\t"},
			{d.token},
			{"Basic YTpi"},
			{"Token " + d.token},
			{"DPoP " + d.token},
			{"BearerX " + d.token},
			{"Bearer: " + d.token},
			{"Bearer=" + d.token},
			{"Bearer," + d.token},
			{"Bearer\t" + d.token},
			{"Bearer\u00a0" + d.token},
			{"B\u0435arer " + d.token}, // a Cyrillic letter
			{"\uff22earer " + d.token},
			{" " + good},
			{good + " "},
			{good + "\t"},
			{good + " " + d.token},
			{good + ", " + good},
			{good + "," + d.token},
			{"Bearer " + good},
			{`Bearer "` + d.token + `"`},
			{"Bearer <" + d.token + ">"},
			{"Bearer token=" + d.token},
			{good + "\r\n"},
			{good + "\n"},
			{good + "\r\nX-Other: x"},
			{"Bearer \r\n" + d.token},
			{"Bearer\r\n " + d.token},
			{"Bearer \x00" + d.token},
			{good + "\x00"},
			{good + "\u200b"},
			{good + "é"},
			{good + "\xff"},
			{"Bearer " + strings.ReplaceAll(d.token, ".", "\uff0e")},
			{"Bearer é"},
			{"Bearer \u202e" + d.token},
			{"Bearer null"},
			{"Bearer undefined"},
			{"Bearer {}"},
			{"Bearer " + strings.Repeat(".", 1<<20)},
			{"Bearer " + strings.Repeat("a", 1<<20)},
			{"Bearer " + strings.Repeat("a.b.c.", 1<<17)},
			{"Bearer" + strings.Repeat(" ", 1<<20)},
			{strings.Repeat("Bearer ", 1<<17)},
			{good + strings.Repeat("=", 1<<20)},
		} {
			d.stays(t, h, badToken, values...)
		}
	})
}

// The scheme is in any case (RFC 9110, section 11.1), and spaces may follow it.
func TestAuthorizationScheme(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, "ann@example.com")
	h := w.Handler("")
	for _, d := range doors(w.logIn(t, "ann@example.com")) {
		for _, scheme := range []string{"Bearer ", "bearer ", "BEARER ", "bEaReR ", "Bearer  ", "bearer        "} {
			assert.Equal(t, http.StatusOK, d.try(t, h, scheme+d.token).status, "%q", scheme)
		}
	}
}

// A header that is not in the form is told from a token that is not ours.
func TestAuthorizationHeadersInWords(t *testing.T) {
	w := onMemory(t)
	d := door{method: http.MethodGet, path: "/profile"}
	for value, words := range map[string]string{
		"":              "Please provide your Authorization token",
		"Bearer":        "Invalid Authorization token",
		"Basic YTpi":    "Invalid Authorization token",
		"Bearer a.b.c ": "Invalid Authorization token",
		"Bearer a.b c":  "Invalid Authorization token",
		"Bearer a.b":    "Unauthorized: invalid token",
		"Bearer  a.b.c": "Unauthorized: invalid token",
	} {
		assert.Equal(t, words, d.try(t, w.Handler(""), value).message(t).Message, value)
	}
}

// A token comes in the header alone (RFC 6750, section 2).
//
// ASVS: 14.2.1, 15.3.7.
func TestTokensElsewhere(t *testing.T) {
	onDoors(t, func(t *testing.T, h http.Handler, d door) {
		t.Helper()
		for _, r := range []*http.Request{
			newRequest(t, d.method, d.path+"?access_token="+d.token+"&refresh_token="+d.token+"&token="+d.token, ""),
			newRequest(t, d.method, d.path, "", "Cookie", "access_token="+d.token+"; refresh_token="+d.token),
			newRequest(t, d.method, d.path, "", "Proxy-Authorization", "Bearer "+d.token),
			newRequest(t, d.method, d.path, "", "X-Access-Token", d.token, "X-Authorization", "Bearer "+d.token, "Authentication", "Bearer "+d.token),
			newRequest(t, d.method, d.path, "", "authorization", "Bearer "+d.token), // not as net/http writes it
		} {
			got := direct(t, h, r)
			assert.Equal(t, http.StatusUnauthorized, got.status)
			assert.Equal(t, noToken, got.message(t).Code)
		}
	})
}

// Whatever somebody sends in a header, a guard holds little of it.
//
// ASVS: 15.2.2.
// Advisory: CVE-2025-30204, CVE-2025-27144.
func TestRequireAllocatesLittle(t *testing.T) {
	const limit, mebi = 64 << 10, 1 << 20
	w := onMemory(t)
	h := w.Require(http.NotFoundHandler())
	for _, value := range []string{
		"Bearer " + strings.Repeat(".", mebi),
		"Bearer " + strings.Repeat(".", 8<<10),
		"Bearer " + strings.Repeat("a", mebi),
		"Bearer" + strings.Repeat(" ", mebi),
		strings.Repeat("Bearer ", mebi/7),
		strings.Repeat("b", mebi),
		"Bearer " + strings.Repeat("é", mebi/2),
		"Bearer " + strings.Repeat("{\"", mebi/2),
		"Bearer " + base64URL(headerOf(accessSecret, "at+jwt")) + "." + strings.Repeat("a", mebi) + "." + strings.Repeat("A", 43),
	} {
		r := newRequest(t, http.MethodGet, "/", "", "Authorization", value)
		assert.Less(t, allocated(func() { h.ServeHTTP(nowhere{}, r) }), uint64(limit), "%.20q", value)
	}
}

// allocated is how many bytes f allocates; what others allocate meanwhile counts too, so
// that the least of some runs is the nearest.
func allocated(f func()) uint64 {
	least := ^uint64(0)
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// nowhere is a response that nobody keeps.
type nowhere struct{}

func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (nowhere) WriteHeader(int)             {}
