package auth_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// Tests of docs/advisories.md that stand nowhere else.

// A refresh token that is ours but for its exp is none: nobody can log out by it, and
// nothing breaks over it.
//
// Advisory: GHSA-fpw6-hrg5-q5x5.
func TestLogoutOfATokenWithoutExp(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, ann)
		tokens := w.logIn(t, ann)
		s := serve(t, w.Handler(""))
		own := membersOf(t, tokens.RefreshToken)
		for _, m := range own {
			forged := refreshJWS(own.without(m.name).String())
			for _, path := range []string{"/logout", "/refresh"} {
				got := s.do(t, http.MethodPost, path, object(t, "refresh_token", forged))
				assert.Equal(t, http.StatusUnauthorized, got.status, m.name)
				assert.Equal(t, badToken, got.message(t).Code, m.name)
			}
			require.ErrorIs(t, w.Logout(t.Context(), forged), auth.ErrInvalidToken)
		}
		assert.True(t, w.state(t, tokens.SessionID).RevokedAt.IsZero())
		w.refresh(t, refreshJWS(own.String()))
	})
}

// An address that is longer than any is refused for its length: it costs next to no memory
// and no hash, and no store is asked.
//
// Advisory: CVE-2025-61725.
func TestLongAddressesAreNotParsed(t *testing.T) {
	const limit, mebi = 64 << 10, 1 << 20
	w := onMemory(t)
	w.signUp(t, ann)
	a, script := w.scripted(t, noLimits)
	hashes := countHashes(a)
	script.reset()
	for _, address := range []string{
		strings.Repeat("a", mebi) + "@example.com", "a@" + strings.Repeat("a.", mebi/2) + "com", strings.Repeat("@", mebi),
		strings.Repeat("(", mebi) + ann, strings.Repeat("<", mebi) + ann, `"` + strings.Repeat(`\"`, mebi/2) + `"@example.com`,
		strings.Repeat("a@[", mebi/3), "a@[" + strings.Repeat("1.", mebi/2) + "]", strings.Repeat("=?utf-8?q?a?=", mebi/13) + ann,
		strings.Repeat("\u0301", mebi/2) + "@example.com", strings.Repeat("a,", mebi/2) + ann,
	} {
		assert.Less(t, allocated(func() {
			_, err := a.Login(t.Context(), auth.LoginInput{Email: address, Password: password})
			assert.ErrorAs(t, err, new(*auth.ValidationError))
			_, err = a.Signup(t.Context(), auth.SignupInput{Name: "Ann Lee", Email: address, Password: password})
			assert.ErrorAs(t, err, new(*auth.ValidationError))
		}), uint64(limit), "%.20q", address)
	}
	assert.Zero(t, hashes.Load())
	assert.Empty(t, script.calls())
}

// Users who sign up at once have an ID each, which is nobody else's.
//
// Advisory: CVE-2026-42560.
func TestEveryUserHasAnID(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		const users = 30 // as many as one client may have waiting
		var mu sync.Mutex
		ids := map[auth.UserID]int{}
		storm(users, func(i int) {
			user, err := w.Signup(t.Context(), auth.SignupInput{Name: "Ann Lee", Email: stranger(i), Password: password})
			if assert.NoError(t, err) {
				mu.Lock()
				defer mu.Unlock()
				ids[user.ID] = i
			}
		})
		assert.Len(t, ids, users)
		for id, i := range ids {
			user, err := w.Profile(t.Context(), id)
			require.NoError(t, err)
			assert.Equal(t, stranger(i), user.Email)
		}
	}, noLimits)
}

// What a proxy's headers say of the scheme and the host counts for nothing: cookies are as
// secure, and an origin as foreign, as without them.
//
// Advisory: CVE-2026-33495.
func TestForwardedProtoIsNotRead(t *testing.T) {
	forwarded := []string{
		"X-Forwarded-Proto", "http", "X-Forwarded-Host", "localhost", "X-Forwarded-Port", "80", "X-Forwarded-Scheme", "http",
		"X-Forwarded-Ssl", "off", "Forwarded", "proto=http;host=localhost", "X-Original-Host", "localhost", "X-Url-Scheme", "http",
	}
	w := onMemory(t, func(c *auth.Config) { withCookies(c); c.InsecureCookies = true })
	w.signUp(t, ann)
	h := w.Handler("")
	headers := slices.Concat(forwarded, []string{"Sec-Fetch-Site", "same-origin"})
	for _, c := range direct(t, h, newRequest(t, http.MethodPost, ownOrigin+"/login", loginBody(t, ann), headers...)).setCookies(t) {
		assert.Contains(t, c.attributes, "Secure")
	}
	for _, origin := range []string{"http://localhost", insecureOrigin, "https://localhost"} {
		headers := slices.Concat(forwarded, []string{"Origin", origin})
		assertCrossOrigin(t, direct(t, h, newRequest(t, http.MethodPost, ownOrigin+"/login", loginBody(t, ann), headers...)), origin)
	}
}
