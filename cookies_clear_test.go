package auth_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/ostiary/auth"
)

// Another tab may have logged in meanwhile: a refresh that is refused leaves the cookies
// as they are, and so do a login and a proof of the password.
func TestCookiesStayWhenARequestIsRefused(t *testing.T) {
	w := onMemory(t, withCookies)
	w.signUp(t, ann)
	tokens := w.logIn(t, ann)
	refused := func(b *tab, status int, path, body string) {
		t.Helper()
		got := b.do(t, "POST", path, body)
		assert.Equal(t, status, got.status, got.body)
		assertNoCookies(t, got)
	}
	b := newTab(w.Handler(""), tokens)
	refused(b, http.StatusUnauthorized, "/login", object(t, "email", ann, "password", "a wrong one"))
	refused(b, http.StatusUnprocessableEntity, "/login", "")
	refused(b, http.StatusUnauthorized, "/reauth", object(t, "password", "a wrong one"))
	refused(b, http.StatusUnprocessableEntity, "/reauth", "")
	refused(newTab(w.Handler(""), auth.Tokens{RefreshToken: "x"}), http.StatusUnauthorized, "/refresh", "")
	refused(newTab(w.Handler(""), auth.Tokens{RefreshToken: ""}), http.StatusUnauthorized, "/refresh", "")
	refused(newTab(w.Handler(""), auth.Tokens{RefreshToken: tokens.AccessToken}), http.StatusUnauthorized, "/refresh", "")

	a, script := w.scripted(t, withCookies)
	script.before = failing(auth.ErrUnavailable, rotateSession)
	refused(newTab(a.Handler(""), tokens), http.StatusServiceUnavailable, "/refresh", "")
	script.before = failing(errors.New("no such thing"), rotateSession)
	refused(newTab(a.Handler(""), tokens), http.StatusInternalServerError, "/refresh", "")

	limit := w.logIn(t, ann)
	for b := newTab(w.Handler(""), limit); ; {
		if got := b.do(t, "POST", "/refresh", ""); got.status != http.StatusOK {
			assert.Equal(t, http.StatusTooManyRequests, got.status)
			assertNoCookies(t, got)
			refused(b, http.StatusTooManyRequests, "/reauth", object(t, "password", password))
			break
		}
	}
	w.refresh(t, tokens.RefreshToken)
	w.advance(2 * time.Minute)
	refused(b, http.StatusUnauthorized, "/refresh", "")
	assert.Equal(t, auth.ReasonReuse, w.state(t, tokens.SessionID).Reason)
	refused(b, http.StatusUnauthorized, "/refresh", "")
	refused(b, http.StatusUnauthorized, "/reauth", object(t, "password", password))
	refused(b, http.StatusUnauthorized, "/logout/all", "")
	w.advance(48 * time.Hour)
	refused(newTab(w.Handler(""), limit), http.StatusUnauthorized, "/refresh", "")
}

// Logout clears the cookies that it was asked by, save where the session may go on.
//
// ASVS: 14.3.1.
func TestCookiesClearedByLogout(t *testing.T) {
	w := onMemory(t, withCookies)
	w.signUp(t, ann)
	broken, script := w.scripted(t, withCookies)
	script.before = failing(auth.ErrUnavailable, revokeSession)
	_, expired := w.logIn(t, ann), w.logIn(t, ann)
	w.advance(48 * time.Hour)
	bearer := func(token string) []string { return []string{"Authorization", "Bearer " + token} }
	for _, c := range []struct {
		name    string
		a       *auth.Authenticator
		cookie  func(good auth.Tokens) string
		body    func(good auth.Tokens) string
		headers func(good auth.Tokens) []string
		status  int
		clears  bool
	}{
		{name: "a good one", status: 200, clears: true},
		{name: "an expired one", cookie: func(auth.Tokens) string { return expired.RefreshToken }, status: 200, clears: true},
		{name: "not ours", cookie: func(auth.Tokens) string { return "x" }, status: 401, clears: true},
		{name: "of another kind", cookie: func(good auth.Tokens) string { return good.AccessToken }, status: 401, clears: true},
		{name: "signed by another", cookie: func(good auth.Tokens) string { return good.RefreshToken[:len(good.RefreshToken)-8] + "AAAAAAAA" }, status: 401, clears: true},
		{name: "none, beside an access token", cookie: func(auth.Tokens) string { return "" }, status: 401, clears: true},
		{name: "the store fails", a: broken, status: 503},
		{name: "by bearer", headers: func(good auth.Tokens) []string { return bearer(good.RefreshToken) }, status: 200},
		{name: "by a bad bearer", headers: func(auth.Tokens) []string { return bearer("x") }, status: 401},
		{name: "by no bearer", headers: func(auth.Tokens) []string { return []string{"Authorization", "Basic YTpi"} }, status: 401},
		{name: "by the body", body: func(good auth.Tokens) string { return object(t, "refresh_token", good.RefreshToken) }, status: 200},
		{name: "by a bad body", body: func(auth.Tokens) string { return object(t, "refresh_token", "x") }, status: 401},
		{name: "a body that is none", body: func(auth.Tokens) string { return "x" }, status: 400},
		{name: "from elsewhere", headers: func(auth.Tokens) []string { return []string{"Sec-Fetch-Site", "cross-site"} }, status: 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			good := w.logIn(t, ann)
			a := w.Authenticator
			if c.a != nil {
				a = c.a
			}
			b := newTab(a.Handler(""), good)
			if c.cookie != nil {
				b.cookies[refreshCookie] = c.cookie(good)
			}
			var body string
			if c.body != nil {
				body = c.body(good)
			}
			var headers []string
			if c.headers != nil {
				headers = c.headers(good)
			}
			got := b.do(t, "POST", "/logout", body, headers...)
			assert.Equal(t, c.status, got.status, got.body)
			if c.clears {
				assertCleared(t, got)
			} else {
				assertNoCookies(t, got)
			}
		})
	}
}

// A browser drops the refresh cookie first, where its token lives shorter than the access
// token: the logout then clears what is left, and says that it ended nothing.
func TestCookiesClearedByLogoutWithoutARefreshToken(t *testing.T) {
	w := onMemory(t, withCookies)
	w.signUp(t, ann)
	tokens := w.logIn(t, ann)
	b := newTab(w.Handler(""), tokens)
	delete(b.cookies, refreshCookie)
	got := b.do(t, "POST", "/logout", "")
	assert.Equal(t, http.StatusUnauthorized, got.status)
	assert.Equal(t, "no_token", got.message(t).Code)
	assertCleared(t, got)
	assert.Empty(t, b.cookies)
	assert.True(t, w.state(t, tokens.SessionID).RevokedAt.IsZero())

	got = b.do(t, "POST", "/logout", "")
	assert.Equal(t, "no_token", got.message(t).Code)
	assertNoCookies(t, got)
}

// So does a logout everywhere, unless this session is kept.
//
// ASVS: 14.3.1.
func TestCookiesClearedByLogoutAll(t *testing.T) {
	w := onMemory(t, withCookies)
	w.signUp(t, ann)
	a, script := w.scripted(t, withCookies)
	script.before = failing(auth.ErrUnavailable, revokeUser)
	for _, c := range []struct {
		name, body string
		a          *auth.Authenticator
		bearer     bool
		status     int
		clears     bool
	}{
		{name: "all", a: w.Authenticator, status: 200, clears: true},
		{name: "all, in a body", body: `{"keep_current":false}`, a: w.Authenticator, status: 200, clears: true},
		{name: "all others", body: `{"keep_current":true}`, a: w.Authenticator, status: 200},
		{name: "neither", body: `{"keep_current":"yes"}`, a: w.Authenticator, status: 422},
		{name: "no body", body: `yes`, a: w.Authenticator, status: 400},
		{name: "the store fails", a: a, status: 503},
		{name: "by bearer", a: w.Authenticator, bearer: true, status: 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			tokens := w.logIn(t, ann)
			var headers []string
			if c.bearer {
				headers = []string{"Authorization", "Bearer " + tokens.AccessToken}
			}
			got := newTab(c.a.Handler(""), tokens).do(t, "POST", "/logout/all", c.body, headers...)
			assert.Equal(t, c.status, got.status, got.body)
			if c.clears {
				assertCleared(t, got)
			} else {
				assertNoCookies(t, got)
			}
		})
	}
}
