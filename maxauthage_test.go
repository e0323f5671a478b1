package auth_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// A guard with MaxAuthAge lets a token through whose user has proven who they are no
// longer ago than that and the leeway, and tells others to do so (RFC 9470, section 3).
//
// ASVS: 7.5.1, 7.5.3.
func TestRequireMaxAuthAge(t *testing.T) {
	w := onMemory(t)
	w.freeze()
	w.signUp(t, ann)
	first := w.logIn(t, ann)
	guard := w.RequireWith(auth.Requirement{MaxAuthAge: 5 * time.Minute})
	w.advance(5*time.Minute + 30*time.Second)
	assertPasses(t, guard, first.AccessToken)
	w.advance(time.Nanosecond)
	for _, tokens := range []auth.Tokens{first, w.refresh(t, first.RefreshToken)} { // a refresh proves nothing
		got := ask(t, guard, tokens.AccessToken)
		assert.Equal(t, http.StatusUnauthorized, got.status)
		assert.JSONEq(t, `{"status":401,"code":"insufficient_user_authentication","message":"Please authenticate again"}`, got.body)
		assert.Equal(t,
			`Bearer error="insufficient_user_authentication", error_description="A more recent authentication is required", max_age="300"`,
			got.header.Get("WWW-Authenticate"))
		assertPasses(t, w.Require, tokens.AccessToken)
	}
	next := w.reauth(t, first)
	assertPasses(t, guard, next.AccessToken)
	assertPasses(t, guard, w.refresh(t, first.RefreshToken).AccessToken)
	assert.Equal(t, http.StatusUnauthorized, ask(t, guard, first.AccessToken).status, "this one still says when")
	w.advance(4 * time.Minute)
	assertPasses(t, guard, w.refresh(t, next.RefreshToken).AccessToken)
	w.advance(2 * time.Minute)
	assert.Equal(t, http.StatusUnauthorized, ask(t, guard, next.AccessToken).status)
}

func TestRequireMaxAuthAgeOfAnyLength(t *testing.T) {
	w := onMemory(t, func(c *auth.Config) { c.Tokens.Leeway = 10 * time.Second })
	w.freeze()
	w.signUp(t, ann)
	token := w.logIn(t, ann).AccessToken
	w.advance(10*time.Second + 1500*time.Millisecond)
	for _, c := range []struct {
		maxAge time.Duration
		header string // its max_age; "": let through
	}{
		{0, ""},
		{1<<63 - 1, ""},
		{time.Hour, ""},
		{1500 * time.Millisecond, ""},
		{1500*time.Millisecond - 1, "1"},
		{time.Second - 1, "0"},
		{1, "0"},
		{-time.Hour, "0"},
	} {
		got := ask(t, w.RequireWith(auth.Requirement{MaxAuthAge: c.maxAge}), token)
		if c.header == "" {
			assert.Equal(t, http.StatusOK, got.status, c.maxAge)
			continue
		}
		assert.Equal(t, http.StatusUnauthorized, got.status, c.maxAge)
		assert.Contains(t, got.header.Get("WWW-Authenticate"), `max_age="`+c.header+`"`, c.maxAge)
	}
}

// It asks no store, unless Live does; what is no token of ours is refused as such.
//
// ASVS: 7.5.3.
func TestRequireMaxAuthAgeBesideLive(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, ann)
	tokens := w.logIn(t, ann)
	a, s := w.scripted(t)
	fresh, both := auth.Requirement{MaxAuthAge: time.Minute}, auth.Requirement{MaxAuthAge: time.Minute, Live: true}
	assertPasses(t, a.RequireWith(fresh), tokens.AccessToken)
	assert.Empty(t, s.calls())
	assertPasses(t, a.RequireWith(both), tokens.AccessToken)
	assert.Equal(t, []string{sessionByID}, s.calls())
	for _, r := range []auth.Requirement{fresh, both} {
		assertStopped(t, a.RequireWith(r), "abc", badToken)
		assertStopped(t, a.RequireWith(r), tokens.RefreshToken, badToken)
	}
	require.NoError(t, a.Logout(t.Context(), tokens.RefreshToken))
	assertPasses(t, a.RequireWith(fresh), tokens.AccessToken)
	assertStopped(t, a.RequireWith(both), tokens.AccessToken, sessionEnded)
	w.advance(2 * time.Minute)
	assert.Equal(t, "insufficient_user_authentication", ask(t, a.RequireWith(fresh), tokens.AccessToken).message(t).Code)
	w.advance(20 * time.Minute)
	assertStopped(t, a.RequireWith(fresh), tokens.AccessToken, tokenExpired)
}
