package auth_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

const (
	ownOrigin     = "https://example.com"
	accessCookie  = "__Host-auth-access"
	refreshCookie = "__Host-auth-refresh"
	deviceCookie  = "__Host-auth-device"
)

func withCookies(c *auth.Config) { c.Cookies = &auth.CookieOptions{} }

// setCookie is a Set-Cookie header as it is written (RFC 6265, section 4.1.1).
type setCookie struct {
	value      string
	attributes []string // sorted
}

// setCookies are a response's by their names, each of which must be there once.
func (r reply) setCookies(t *testing.T) map[string]setCookie {
	t.Helper()
	all := map[string]setCookie{}
	for _, line := range r.header["Set-Cookie"] {
		pair, attributes, _ := strings.Cut(line, "; ")
		name, value, ok := strings.Cut(pair, "=")
		require.True(t, ok, line)
		require.NotContains(t, all, name)
		c := setCookie{value, strings.Split(attributes, "; ")}
		slices.Sort(c.attributes)
		all[name] = c
	}
	return all
}

// attributes are those of our cookies where the connection is secure, and no others: no
// Domain, no Expires.
func attributes(maxAge time.Duration) []string {
	return []string{"HttpOnly", fmt.Sprintf("Max-Age=%d", int(maxAge.Seconds())), "Path=/", "SameSite=Lax", "Secure"}
}

// assertCookies checks that a response sets both cookies for as long as their tokens
// live and gives no token otherwise, and returns the tokens.
func assertCookies(t *testing.T, got reply, accessLife, refreshLife time.Duration) auth.Tokens {
	t.Helper()
	return assertTokensSet(t, got, got.setCookies(t), accessLife, refreshLife)
}

// assertLoginCookies is assertCookies for a login, which sets the device's cookie beside
// them.
func assertLoginCookies(t *testing.T, got reply, refreshLife time.Duration) auth.Tokens {
	t.Helper()
	set := got.setCookies(t)
	device := set[deviceCookie]
	assert.Equal(t, attributes(400*24*time.Hour), device.attributes)
	assert.Len(t, device.value, 75)
	delete(set, deviceCookie)
	return assertTokensSet(t, got, set, 20*time.Minute, refreshLife)
}

func assertTokensSet(t *testing.T, got reply, set map[string]setCookie, accessLife, refreshLife time.Duration) auth.Tokens {
	t.Helper()
	require.Equal(t, http.StatusOK, got.status, got.body)
	assert.JSONEq(t, fmt.Sprintf(`{"status":200,"expires_in":%d}`, int(accessLife.Seconds())), got.body)
	require.Len(t, set, 2, "%q", got.header["Set-Cookie"])
	access, refresh := set[accessCookie], set[refreshCookie]
	assert.Equal(t, attributes(accessLife), access.attributes)
	assert.Equal(t, attributes(refreshLife), refresh.attributes)
	assert.Len(t, strings.Split(access.value, "."), 3)
	assert.Len(t, strings.Split(refresh.value, "."), 3)
	return auth.Tokens{AccessToken: access.value, RefreshToken: refresh.value}
}

func assertCleared(t *testing.T, got reply) {
	t.Helper()
	assert.Equal(t, map[string]setCookie{accessCookie: {"", attributes(0)}, refreshCookie: {"", attributes(0)}}, got.setCookies(t))
}

func assertNoCookies(t *testing.T, got reply) {
	t.Helper()
	assert.Empty(t, got.header["Set-Cookie"])
}

// tab is a page of the site in a browser.
type tab struct {
	handler http.Handler
	origin  string
	cookies map[string]string
}

// newTab is a page with the cookies of the tokens.
func newTab(h http.Handler, tokens auth.Tokens) *tab {
	return &tab{h, ownOrigin, map[string]string{accessCookie: tokens.AccessToken, refreshCookie: tokens.RefreshToken}}
}

// do sends a request with the cookies, and keeps those of the response.
func (b *tab) do(t *testing.T, method, path, body string, headers ...string) reply {
	t.Helper()
	r := newRequest(t, method, b.origin+path, body, append([]string{"Sec-Fetch-Site", "same-origin"}, headers...)...)
	for _, name := range slices.Sorted(maps.Keys(b.cookies)) {
		r.AddCookie(&http.Cookie{Name: name, Value: b.cookies[name]})
	}
	got := direct(t, b.handler, r)
	for name, c := range got.setCookies(t) {
		if b.cookies[name] = c.value; slices.Contains(c.attributes, "Max-Age=0") {
			delete(b.cookies, name)
		}
	}
	return got
}

// ASVS: 3.3.1, 3.3.2, 3.3.3, 3.3.4, 14.3.3.
func TestCookiesAttributeByAttribute(t *testing.T) {
	w := onMemory(t, withCookies, func(c *auth.Config) { c.Tokens.MaxTTL, c.Tokens.IdleTTL = 2*time.Hour, time.Hour })
	id := w.signUp(t, ann)
	b := &tab{w.Handler(""), ownOrigin, map[string]string{}}
	tokens := assertLoginCookies(t, b.do(t, "POST", "/login", loginBody(t, ann)), time.Hour)
	claims, err := w.Verify(tokens.AccessToken)
	require.NoError(t, err)
	assert.Equal(t, id, claims.UserID)
	assert.Equal(t, int64(1), generationOf(t, tokens))

	w.advance(time.Minute)
	tokens = assertCookies(t, b.do(t, "POST", "/refresh", ""), 20*time.Minute, time.Hour)
	assert.Equal(t, int64(2), generationOf(t, tokens))
	w.advance(59 * time.Minute)
	assertCookies(t, b.do(t, "POST", "/refresh", ""), 20*time.Minute, time.Hour)
	w.advance(50 * time.Minute) // 10 minutes before the end of MaxTTL
	tokens = assertCookies(t, b.do(t, "POST", "/refresh", ""), 10*time.Minute, 10*time.Minute)
	retried := assertCookies(t, newTab(w.Handler(""), tokens).do(t, "POST", "/refresh", ""), 10*time.Minute, 10*time.Minute)
	w.advance(30 * time.Second)
	again := assertCookies(t, newTab(w.Handler(""), tokens).do(t, "POST", "/refresh", ""), 570*time.Second, 570*time.Second)
	assert.Equal(t, retried.RefreshToken, again.RefreshToken, "a retry within the grace")
	w.advance(10*time.Minute - 31*time.Second)
	assertCookies(t, b.do(t, "POST", "/reauth", object(t, "password", password)), time.Second, time.Second)
	device := b.cookies[deviceCookie]
	assertCleared(t, b.do(t, "POST", "/logout", ""))
	assert.Equal(t, map[string]string{deviceCookie: device}, b.cookies, "the device stays known")

	assertLoginCookies(t, b.do(t, "POST", "/login", loginBody(t, ann)), time.Hour)
	assertCleared(t, b.do(t, "POST", "/logout/all", ""))
	assert.Equal(t, []string{deviceCookie}, slices.Collect(maps.Keys(b.cookies)))
}

// The browser's requests are served by the cookies alone.
//
// ASVS: 3.3.4.
func TestCookiesServeEveryRoute(t *testing.T) {
	w := onMemory(t, withCookies)
	w.signUp(t, ann)
	for _, value := range []string{"", "Authorization"} { // an empty header is none
		headers := []string{"X-Empty", ""}
		if value != "" {
			headers = []string{value, ""}
		}
		b := &tab{w.Handler(""), ownOrigin, map[string]string{}}
		assertNoCookies(t, b.do(t, "POST", "/signup", signupBody(t, "bob"+value+"@example.com")))
		assertLoginCookies(t, b.do(t, "POST", "/login", loginBody(t, ann), headers...), 24*time.Hour)
		other := w.logIn(t, ann)
		for _, route := range [][2]string{
			{"GET", "/profile"}, {"GET", "/sessions"}, {"POST", "/refresh"}, {"DELETE", "/sessions/" + other.SessionID.String()}, {"GET", "/profile"},
		} {
			got := b.do(t, route[0], route[1], "", headers...)
			assert.Equal(t, http.StatusOK, got.status, "%s: %s", route, got.body)
		}
		assert.Equal(t, http.StatusOK, b.do(t, "POST", "/reauth", object(t, "password", password), headers...).status)
		assert.Equal(t, http.StatusOK, b.do(t, "POST", "/logout", "", headers...).status)
	}
}

// A browser's own rules for cookies, here those of net/http, keep and send them.
func TestCookiesInAJar(t *testing.T) {
	w := onMemory(t, withCookies)
	w.signUp(t, ann)
	s := httptest.NewTLSServer(w.Handler(""))
	t.Cleanup(s.Close)
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	client := s.Client()
	client.Jar = jar
	status := func(method, path, body string) int {
		res, err := client.Do(newRequest(t, method, s.URL+path, body, "Origin", s.URL))
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res.StatusCode
	}
	assert.Equal(t, http.StatusUnauthorized, status("GET", "/profile", ""))
	assert.Equal(t, http.StatusOK, status("POST", "/login", loginBody(t, ann)))
	assert.Equal(t, http.StatusOK, status("GET", "/profile", ""))
	assert.Equal(t, http.StatusOK, status("POST", "/refresh", ""))
	assert.Equal(t, http.StatusOK, status("GET", "/sessions", ""))
	assert.Equal(t, http.StatusOK, status("POST", "/logout", ""))
	assert.Equal(t, http.StatusUnauthorized, status("GET", "/profile", ""))
	assert.Equal(t, http.StatusUnauthorized, status("POST", "/refresh", ""))
}

// Without TLS it takes a host that is this machine, and InsecureCookies.
func TestCookiesInsecureOnLoopbackHostsOnly(t *testing.T) {
	insecure := func(c *auth.Config) { withCookies(c); c.InsecureCookies = true }
	for _, test := range []struct {
		host  string
		plain bool
	}{
		{"localhost", true},
		{"localhost:3000", true},
		{"127.0.0.1", true},
		{"127.0.0.1:8080", true},
		{"127.1.2.3", true},
		{"[::1]", true},
		{"[::1]:8080", true},
		{"[::ffff:127.0.0.1]", true},
		{"example.com", false},
		{"example.com:8080", false},
		{"localhost.example.com", false},
		{"127.0.0.1.example.com", false},
		{"example.com.localhost", false},
		{"localhost.", false},
		{"LOCALHOST", false},
		{"notlocalhost", false},
		{"127.0.0.1x", false},
		{"10.0.0.1", false},
		{"0.0.0.0", false},
		{"128.0.0.1", false},
		{"[::]", false},
		{"[::2]:8080", false},
		{"", false},
	} {
		for name, edit := range map[string]func(*auth.Config){"insecure": insecure, "secure": withCookies} {
			w := onMemory(t, edit)
			w.signUp(t, ann)
			plain := test.plain && name == "insecure"
			send := func(method, path, body string, cookies ...string) reply {
				r := newRequest(t, method, "http://example.com"+path, body, "Sec-Fetch-Site", "same-origin", "Cookie", strings.Join(cookies, "; "))
				r.Host = test.host
				return direct(t, w.Handler(""), r)
			}
			prefix, want := "__Host-", attributes(20*time.Minute)
			otherPrefix := ""
			if plain {
				prefix, otherPrefix, want = otherPrefix, prefix, want[:4] // not Secure
			}
			set := send("POST", "/login", loginBody(t, ann)).setCookies(t)
			assert.Equal(t, []string{prefix + "auth-access", prefix + "auth-device", prefix + "auth-refresh"}, slices.Sorted(maps.Keys(set)), "%s, %s", test.host, name)
			assert.Equal(t, slices.Contains(want, "Secure"), slices.Contains(set[prefix+"auth-device"].attributes, "Secure"))
			access, refresh := set[prefix+"auth-access"], set[prefix+"auth-refresh"].value
			assert.Equal(t, want, access.attributes, "%s, %s", test.host, name)

			assert.Equal(t, http.StatusOK, send("GET", "/profile", "", prefix+"auth-access="+access.value, otherPrefix+"auth-access=x").status)
			assert.Equal(t, http.StatusUnauthorized, send("GET", "/profile", "", otherPrefix+"auth-access="+access.value).status, "%s, %s", test.host, name)
			assert.Equal(t, http.StatusUnauthorized, send("POST", "/refresh", "", otherPrefix+"auth-refresh="+refresh).status)
			cleared := send("POST", "/logout", "", prefix+"auth-refresh="+refresh).setCookies(t)
			assert.Equal(t, []string{prefix + "auth-access", prefix + "auth-refresh"}, slices.Sorted(maps.Keys(cleared)))
			assert.Equal(t, slices.Contains(want, "Secure"), slices.Contains(cleared[prefix+"auth-refresh"].attributes, "Secure"))
		}
	}
}

// A token that a browser might not keep is refused before anything is done. It takes
// claims that a header would hold.
//
// ASVS: 3.3.5.
func TestCookiesTooLarge(t *testing.T) {
	length := 10
	extra := func(c *auth.Config) {
		c.ExtraClaims = func(context.Context, auth.UserID, auth.Session) (any, error) {
			return map[string]string{"x": strings.Repeat("x", length)}, nil
		}
	}
	w := onMemory(t, withCookies, extra)
	bearers := w.another(t, extra)
	id := w.signUp(t, ann)
	tokens := w.logIn(t, ann)
	a, script := w.scripted(t, withCookies, extra)
	b := newTab(a.Handler(""), tokens)
	length = 3500
	row := w.row(t, tokens.SessionID)
	for _, route := range [][2]string{
		{"/login", loginBody(t, ann)}, {"/refresh", ""}, {"/reauth", object(t, "password", password)},
	} {
		got := b.do(t, "POST", route[0], route[1])
		assert.Equal(t, http.StatusServiceUnavailable, got.status, route[0])
		assertNoCookies(t, got)
	}
	_, err := w.StartSession(t.Context(), id, auth.Client{})
	require.ErrorIs(t, err, auth.ErrUnavailable)
	for _, write := range []string{createSession, rotateSession, recoverSession, revokeSession} {
		assert.NotContains(t, script.calls(), write)
	}
	assert.Equal(t, row, w.row(t, tokens.SessionID))
	assert.Contains(t, w.log.String(), "more than 4096: make Config.ExtraClaims shorter")
	_, err = bearers.StartSession(t.Context(), id, auth.Client{})
	require.NoError(t, err, "a header holds it")
	length = 10
	assert.Equal(t, http.StatusOK, b.do(t, "POST", "/refresh", "").status)

	accepted, size := 0, 0
	for length = 2400; size <= 4096; length++ {
		bare, err := bearers.StartSession(t.Context(), id, auth.Client{})
		require.NoError(t, err)
		size = len(accessCookie + "=" + bare.AccessToken + "; Path=/; Max-Age=1200; HttpOnly; Secure; SameSite=Lax")
		if _, err = w.StartSession(t.Context(), id, auth.Client{}); size <= 4096 {
			require.NoError(t, err, "%d bytes", size)
			accepted = size
		} else {
			require.ErrorIs(t, err, auth.ErrUnavailable, "%d bytes", size)
		}
	}
	assert.GreaterOrEqual(t, accepted, 4094, "the largest of those that there are")
}

// A grace answer that would be too large is refused as well, and writes nothing.
//
// ASVS: 3.3.5.
func TestCookiesTooLargeInGrace(t *testing.T) {
	length := 10
	w := onMemory(t, withCookies, func(c *auth.Config) {
		c.ExtraClaims = func(context.Context, auth.UserID, auth.Session) (any, error) {
			return map[string]string{"x": strings.Repeat("x", length)}, nil
		}
	})
	w.signUp(t, ann)
	first := w.logIn(t, ann)
	second := w.refresh(t, first.RefreshToken)
	length = 3500
	row := w.row(t, first.SessionID)
	got := newTab(w.Handler(""), first).do(t, "POST", "/refresh", "")
	assert.Equal(t, http.StatusServiceUnavailable, got.status)
	assertNoCookies(t, got)
	assert.Equal(t, row, w.row(t, first.SessionID))
	length = 10
	assert.Equal(t, second.RefreshToken, w.refresh(t, first.RefreshToken).RefreshToken)
}

// Of two cookies of our name one is not ours, and nobody knows which.
//
// ASVS: 15.3.7.
func TestCookiesTwiceAreRefused(t *testing.T) {
	w := onMemory(t, withCookies)
	w.signUp(t, ann)
	tokens := w.logIn(t, ann)
	a, script := w.scripted(t, withCookies)
	whoAmI := http.HandlerFunc(whoami)
	for _, target := range []struct {
		name, method, path, cookie, token string
		handler                           http.Handler
	}{
		{"Require", "GET", "/", accessCookie, tokens.AccessToken, a.Require(whoAmI)},
		{"RequireWith", "GET", "/", accessCookie, tokens.AccessToken, a.RequireWith(auth.Requirement{Live: true})(whoAmI)},
		{"Optional", "POST", "/", accessCookie, tokens.AccessToken, a.Optional(whoAmI)},
		{"profile", "GET", "/profile", accessCookie, tokens.AccessToken, a.Handler("")},
		{"refresh", "POST", "/refresh", refreshCookie, tokens.RefreshToken, a.Handler("")},
		{"logout", "POST", "/logout", refreshCookie, tokens.RefreshToken, a.Handler("")},
	} {
		c := target.cookie
		for _, cookies := range [][]string{
			{c + "=" + target.token + "; " + c + "=" + target.token},
			{c + "=" + target.token, c + "=" + target.token},
			{c + "=other; a=b; " + c + "=" + target.token},
			{c + "=" + target.token + "; " + c + "="},
			{c + "=; " + c + "=" + target.token},
			{c + "=; " + c + "="},
		} {
			r := newRequest(t, target.method, ownOrigin+target.path, "", "Sec-Fetch-Site", "same-origin")
			r.Header["Cookie"] = cookies
			got := direct(t, target.handler, r)
			assert.Equal(t, http.StatusBadRequest, got.status, "%s: %q", target.name, cookies)
			assert.Equal(t, message{Code: "duplicate_cookie", Message: "The cookie " + c + " was sent more than once"}, got.message(t))
			assertNoCookies(t, got)
		}
	}
	assert.Empty(t, script.calls())

	// Another name in another case, or without the prefix, is another cookie.
	r := newRequest(t, "GET", ownOrigin+"/profile", "", "Cookie", "auth-access=x; __host-auth-access=x; "+accessCookie+"="+tokens.AccessToken+"; auth-access=x")
	assert.Equal(t, http.StatusOK, direct(t, w.Handler(""), r).status)
}

// Who sends a bearer token means that one: no cookie is looked at.
//
// ASVS: 15.3.7.
func TestCookiesBesideABearer(t *testing.T) {
	w := onMemory(t, withCookies)
	w.signUp(t, ann)
	w.signUp(t, "bob@example.com")
	anns, bobs := w.logIn(t, ann), w.logIn(t, "bob@example.com")
	for name, guard := range guards(w) {
		h := guard(http.HandlerFunc(whoami))
		for _, cookies := range []string{accessCookie + "=" + anns.AccessToken, accessCookie + "=x", accessCookie + "=x; " + accessCookie + "=y"} {
			got := direct(t, h, newRequest(t, "POST", ownOrigin+"/", "", "Authorization", "Bearer "+bobs.AccessToken, "Cookie", cookies, "Sec-Fetch-Site", "cross-site"))
			assert.Equal(t, http.StatusOK, got.status, name)
			assert.Contains(t, got.body, "session "+bobs.SessionID.String(), name)
		}
		for _, bad := range []string{"Bearer x", "Bearer", "Bearer " + anns.RefreshToken, "Basic YTpi", " ", anns.AccessToken} {
			got := direct(t, h, newRequest(t, "GET", ownOrigin+"/", "", "Authorization", bad, "Cookie", accessCookie+"="+anns.AccessToken))
			assert.Equal(t, http.StatusUnauthorized, got.status, "%s: %q", name, bad)
			assert.Equal(t, badToken, got.message(t).Code)
		}
	}
	b := newTab(w.Handler(""), anns)
	annsRow := w.row(t, anns.SessionID)
	assertCookies(t, b.do(t, "POST", "/refresh", "", "Authorization", "Bearer "+bobs.RefreshToken), 20*time.Minute, 24*time.Hour)
	assert.Equal(t, int64(2), w.state(t, bobs.SessionID).Generation)
	b = newTab(w.Handler(""), anns)
	assertCookies(t, b.do(t, "POST", "/refresh", object(t, "refresh_token", bobs.RefreshToken)), 20*time.Minute, 24*time.Hour)
	b = newTab(w.Handler(""), anns)
	for _, header := range []string{"Bearer x", "Basic YTpi"} {
		got := b.do(t, "POST", "/refresh", "", "Authorization", header)
		assert.Equal(t, http.StatusUnauthorized, got.status)
		assertNoCookies(t, got)
	}
	assert.Equal(t, annsRow, w.row(t, anns.SessionID))
}

// Without Config.Cookies nothing reads a cookie, sets one or looks at where a request
// comes from.
func TestCookiesAreOffByDefault(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, ann)
	tokens := w.logIn(t, ann)
	b := newTab(w.Handler(""), tokens)
	b.cookies["auth-access"], b.cookies["auth-refresh"] = tokens.AccessToken, tokens.RefreshToken
	other := []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://other.example"}
	for _, origin := range []string{ownOrigin, "http://localhost"} {
		b.origin = origin
		for _, route := range [][2]string{
			{"GET", "/profile"},
			{"GET", "/sessions"},
			{"GET", "/refresh"},
			{"POST", "/refresh"},
			{"POST", "/logout"},
			{"POST", "/logout/all"},
			{"POST", "/reauth"},
			{"DELETE", "/sessions/" + tokens.SessionID.String()},
		} {
			got := b.do(t, route[0], route[1], "", other...)
			assert.Equal(t, http.StatusUnauthorized, got.status, route)
			assert.Equal(t, "no_token", got.message(t).Code, route)
			assertNoCookies(t, got)
		}
		b.handler = w.Optional(http.HandlerFunc(whoami))
		assert.Equal(t, "anonymous", b.do(t, "POST", "/", "", other...).body)
		b.handler = w.Handler("")
	}
	got := b.do(t, "POST", "/login", loginBody(t, ann), other...)
	assert.NotEmpty(t, got.tokens(t).RefreshToken)
	assertNoCookies(t, got)
	assertNoCookies(t, b.do(t, "POST", "/logout/all", "", append(other, "Authorization", "Bearer "+tokens.AccessToken)...))
	assert.True(t, w.state(t, tokens.SessionID).Reason == auth.ReasonLogoutAll)
}

// What a browser sends by itself changes nothing by GET.
//
// ASVS: 3.5.3, 7.6.2.
func TestCookiesAreNotReadByGetRefresh(t *testing.T) {
	w := onMemory(t, withCookies)
	w.signUp(t, ann)
	tokens := w.logIn(t, ann)
	a, script := w.scripted(t, withCookies)
	b := newTab(a.Handler(""), tokens)
	for _, body := range []string{"", object(t, "refresh_token", tokens.RefreshToken)} {
		got := b.do(t, "GET", "/refresh", body)
		assert.Equal(t, http.StatusUnauthorized, got.status)
		assert.Equal(t, "no_token", got.message(t).Code)
		assertNoCookies(t, got)
	}
	assert.Empty(t, script.calls())
	assertCookies(t, b.do(t, "GET", "/refresh", "", "Authorization", "Bearer "+tokens.RefreshToken), 20*time.Minute, 24*time.Hour)
}
