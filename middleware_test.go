package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/mysqltest"
	"github.com/ostiary/auth/memstore"
)

// whoami is a host's handler. It says who the request is from.
func whoami(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(fromHost, "yes")
	claims, ok := auth.FromContext(r.Context())
	id, known := auth.UserIDFromContext(r.Context())
	if ok != known || id != claims.UserID {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	if !ok {
		_, _ = fmt.Fprint(w, "anonymous")
		return
	}
	_, _ = fmt.Fprintf(w, "user %s, session %s, token %s", claims.UserID, claims.SessionID, claims.ID)
}

// ask sends an access token to a guarded whoami.
func ask(t *testing.T, guard func(http.Handler) http.Handler, accessToken string) reply {
	t.Helper()
	return direct(t, guard(http.HandlerFunc(whoami)), newRequest(t, http.MethodGet, "/", "", "Authorization", "Bearer "+accessToken))
}

func assertPasses(t *testing.T, guard func(http.Handler) http.Handler, accessToken string) {
	t.Helper()
	got := ask(t, guard, accessToken)
	assert.Equal(t, http.StatusOK, got.status, got.body)
	claims := payloadOf(t, accessToken)
	assert.Equal(t, fmt.Sprintf("user %s, session %s, token %s", claims["sub"], claims["sid"], claims["jti"]), got.body)
}

func assertStopped(t *testing.T, guard func(http.Handler) http.Handler, accessToken, code string) {
	t.Helper()
	got := ask(t, guard, accessToken)
	assert.Equal(t, http.StatusUnauthorized, got.status, got.body)
	assert.Equal(t, code, got.message(t).Code)
	assert.Equal(t, invalidTokenChallenge, got.header.Get("WWW-Authenticate"))
}

const (
	tokenExpired = "token_expired"
	sessionEnded = "session_ended"
)

func TestRequire(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, "ann@example.com")
	tokens := w.logIn(t, "ann@example.com")
	assertPasses(t, w.Require, tokens.AccessToken)

	var got auth.Claims
	s := serve(t, w.Require(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		got, _ = auth.FromContext(r.Context())
		whoami(rw, r)
	})))
	assert.Equal(t, http.StatusOK, s.do(t, http.MethodDelete, "/any/path?x=1", "", "Authorization", "bEARER   "+tokens.AccessToken).status)
	want, err := w.Verify(tokens.AccessToken)
	require.NoError(t, err)
	assert.Equal(t, want, got)

	stopped := direct(t, w.Require(http.HandlerFunc(whoami)), newRequest(t, http.MethodGet, "/", ""))
	assert.Equal(t, http.StatusUnauthorized, stopped.status)
	assert.Equal(t, message{Code: "no_token", Message: "Please provide your Authorization token"}, stopped.message(t))
	assertStopped(t, w.Require, tokens.RefreshToken, badToken)
	w.advance(20*time.Minute + 30*time.Second)
	assertStopped(t, w.Require, tokens.AccessToken, tokenExpired)
}

func TestOptional(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, "ann@example.com")
	tokens := w.logIn(t, "ann@example.com")
	assertPasses(t, w.Optional, tokens.AccessToken)
	h := w.Optional(http.HandlerFunc(whoami))
	for _, headers := range [][]string{nil, {"Authorization", ""}} {
		got := direct(t, h, newRequest(t, http.MethodGet, "/", "", headers...))
		assert.Equal(t, http.StatusOK, got.status)
		assert.Equal(t, "anonymous", got.body)
	}
	assertStopped(t, w.Optional, tokens.RefreshToken, badToken)
	assertStopped(t, w.Optional, "abc", badToken)
	assertStopped(t, w.Optional, "", badToken)
	got := direct(t, h, newRequest(t, http.MethodGet, "/", "", "Authorization", "Basic YTpi"))
	assert.Equal(t, http.StatusUnauthorized, got.status, "nobody is taken for anonymous by mistake")
	w.advance(21 * time.Minute)
	assertStopped(t, w.Optional, tokens.AccessToken, tokenExpired)
}

func TestFromContextOutsideOfGuards(t *testing.T) {
	claims, ok := auth.FromContext(t.Context())
	assert.False(t, ok)
	assert.Zero(t, claims)
	id, ok := auth.UserIDFromContext(t.Context())
	assert.False(t, ok)
	assert.Empty(t, id)
}

// A guard inside another counts for what is inside of it.
func TestGuardsInGuards(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, "ann@example.com")
	token := w.logIn(t, "ann@example.com").AccessToken
	assertPasses(t, func(h http.Handler) http.Handler { return w.Optional(w.Require(h)) }, token)
	assertPasses(t, func(h http.Handler) http.Handler {
		return w.Require(w.RequireWith(auth.Requirement{Live: true})(w.Optional(h)))
	}, token)
	got := direct(t, w.Optional(w.Require(http.HandlerFunc(whoami))), newRequest(t, http.MethodGet, "/", ""))
	assert.Equal(t, http.StatusUnauthorized, got.status)

	other := w.another(t, func(c *auth.Config) { c.Tokens.Issuer = "another" })
	assertStopped(t, func(h http.Handler) http.Handler { return w.Require(other.Require(h)) }, token, badToken)
}

// Live asks the store whether the session goes on; Require does not.
//
// ASVS: 7.4.1.
// Advisory: GHSA-56p6-qw3c-fq2g, better-auth GHSA-2vg6.
func TestRequireLive(t *testing.T) {
	longAccess := func(c *auth.Config) { c.Tokens.AccessTTL = 48 * time.Hour }
	for name, end := range map[string]func(t *testing.T, w *world, tokens auth.Tokens) (accessToken string){
		"logged out": func(t *testing.T, w *world, tokens auth.Tokens) string {
			t.Helper()
			require.NoError(t, w.Logout(t.Context(), tokens.RefreshToken))
			return tokens.AccessToken
		},
		"revoked for reuse": func(t *testing.T, w *world, tokens auth.Tokens) string {
			t.Helper()
			_, err := w.Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
			require.NoError(t, err)
			w.advance(2 * time.Minute)
			_, err = w.Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
			require.ErrorIs(t, err, auth.ErrSessionEnded)
			return tokens.AccessToken
		},
		"idle for too long": func(t *testing.T, w *world, tokens auth.Tokens) string {
			t.Helper()
			w.clock.add(24*time.Hour - time.Minute)
			assertPasses(t, w.RequireWith(auth.Requirement{Live: true}), tokens.AccessToken)
			w.clock.add(time.Minute + time.Second)
			return tokens.AccessToken
		},
		"user deleted": func(t *testing.T, w *world, tokens auth.Tokens) string {
			t.Helper()
			w.deleteUser(t, tokens.UserID)
			return tokens.AccessToken
		},
		"user's version moved": func(t *testing.T, w *world, tokens auth.Tokens) string {
			t.Helper()
			w.bumpAuthVersion(t, tokens.UserID)
			return tokens.AccessToken
		},
		"no such row": func(t *testing.T, _ *world, tokens auth.Tokens) string {
			t.Helper()
			return accessJWS(membersOf(t, tokens.AccessToken).with("sid", `"0123456789abcdef0123456789abcdef"`).String())
		},
		"another user's": func(t *testing.T, w *world, tokens auth.Tokens) string {
			t.Helper()
			w.signUp(t, "bob@example.com")
			other := w.logIn(t, "bob@example.com").SessionID
			return accessJWS(membersOf(t, tokens.AccessToken).with("sid", `"`+other.String()+`"`).String())
		},
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, w *world) {
				w.signUp(t, "ann@example.com")
				tokens, other := w.logIn(t, "ann@example.com"), w.logIn(t, "ann@example.com")
				live := w.RequireWith(auth.Requirement{Live: true})
				assertPasses(t, live, tokens.AccessToken)
				accessToken := end(t, w, tokens)
				assertStopped(t, live, accessToken, sessionEnded)
				assertPasses(t, w.Require, accessToken)
				if name == "logged out" || name == "revoked for reuse" {
					assertPasses(t, live, other.AccessToken)
				}
			}, longAccess)
		})
	}
}

func (w *world) deleteUser(t *testing.T, id auth.UserID) {
	t.Helper()
	if w.db == nil {
		store, ok := w.stores.Users.(*memstore.Store)
		require.True(t, ok)
		require.NoError(t, store.DeleteUser(t.Context(), id))
		return
	}
	_, err := w.db.ExecContext(t.Context(), "DELETE FROM users WHERE id = ?", string(id))
	require.NoError(t, err)
}

// What a host of its own users does is seen as well, by a second read.
func TestRequireLiveWithTheHostsUsers(t *testing.T) {
	everywhereHosted(t, func(t *testing.T, h host) {
		for name, end := range map[string]func(id auth.UserID) error{
			"password changed": func(id auth.UserID) error { return h.users.SetPassword(t.Context(), id, "another") },
			"deleted":          func(id auth.UserID) error { return h.users.DeleteUser(t.Context(), id) },
		} {
			address := fmt.Sprintf("user%d@example.com", len(name))
			h.signUp(t, address)
			tokens := h.logIn(t, address)
			live := h.RequireWith(auth.Requirement{Live: true})
			assertPasses(t, live, tokens.AccessToken)
			require.NoError(t, end(tokens.UserID))
			assertStopped(t, live, tokens.AccessToken, sessionEnded)
		}
	})
}

// The guards read as little as they say, and tell a store that fails from a bad token.
func TestGuardsReads(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, "ann@example.com")
	token := w.logIn(t, "ann@example.com").AccessToken
	a, script := w.scripted(t)
	live := a.RequireWith(auth.Requirement{Live: true})
	for _, guard := range []func(http.Handler) http.Handler{a.Require, a.Optional, a.RequireWith(auth.Requirement{})} {
		assertPasses(t, guard, token)
		assert.Empty(t, script.calls())
	}
	assertPasses(t, live, token)
	assert.Equal(t, []string{sessionByID}, script.calls())
	script.reset()
	assertStopped(t, live, "abc", badToken)
	assert.Empty(t, script.calls(), "a token that is not ours is not looked up")

	script.before = failing(fmt.Errorf("%w: gone away", auth.ErrUnavailable), sessionByID)
	got := ask(t, live, token)
	assert.Equal(t, http.StatusServiceUnavailable, got.status)
	assert.Equal(t, []string{sessionByID, sessionByID, sessionByID}, script.calls(), "three tries")
	script.reset()
	script.before = failing(fmt.Errorf("%w: gone away", auth.ErrUnavailable), sessionByID, 1)
	assertPasses(t, live, token)
	script.reset()
	script.before = failing(errors.New("Error 1064"), sessionByID)
	assert.Equal(t, http.StatusInternalServerError, ask(t, live, token).status)

	stores := w.stores
	stores.SharedUsers = false
	s := &hostUsers{UserStore: stores.Users}
	stores.Users = s
	b, err := auth.New(stores, config(w.clock, w.log))
	require.NoError(t, err)
	assertPasses(t, b.RequireWith(auth.Requirement{Live: true}), token)
	assert.Equal(t, 1, s.reads)
	s.err = errors.New("the host's own fault")
	assert.Equal(t, http.StatusInternalServerError, ask(t, b.RequireWith(auth.Requirement{Live: true}), token).status)
}

// hostUsers counts the reads of a user, and may fail them.
type hostUsers struct {
	auth.UserStore

	reads int
	err   error
}

func (s *hostUsers) UserByID(ctx context.Context, id auth.UserID) (auth.UserRecord, error) {
	s.reads++
	if s.err != nil {
		return auth.UserRecord{}, s.err
	}
	return s.UserStore.UserByID(ctx, id)
}

// A user who is created more than 5 minutes after a token has its ID from somebody else.
//
// Advisory: CVE-2026-55670.
func TestProfileOfAYoungerUser(t *testing.T) {
	profile := func(t *testing.T, w *world, accessToken string) reply {
		t.Helper()
		return direct(t, w.Handler(""), newRequest(t, http.MethodGet, "/profile", "", "Authorization", "Bearer "+accessToken))
	}
	for _, test := range []struct {
		late   time.Duration
		status int
	}{
		{-time.Hour, http.StatusOK},
		{5 * time.Minute, http.StatusOK},
		{5*time.Minute + time.Microsecond, http.StatusUnauthorized},
		{time.Hour, http.StatusUnauthorized},
	} {
		t.Run(test.late.String(), func(t *testing.T) {
			everywhere(t, func(t *testing.T, w *world) {
				if w.db == nil { // the store's clock alone says when the user was created
					w.pass(w.clock.Now().Truncate(time.Second).Sub(w.clock.Now()) + test.late)
				}
				w.signUp(t, "ann@example.com")
				token := w.logIn(t, "ann@example.com").AccessToken
				claims, err := w.Verify(token)
				require.NoError(t, err)
				if w.db != nil {
					_, err = w.db.ExecContext(t.Context(), "UPDATE users SET created_at = '1970-01-01' + INTERVAL ? MICROSECOND WHERE id = ?",
						claims.IssuedAt.Add(test.late).UnixMicro(), string(claims.UserID))
					require.NoError(t, err)
				}
				// A route of the host's gets the same from Profile.
				_, err = w.Profile(t.Context(), claims.UserID)
				require.NoError(t, err, "without a token there is nothing to compare")
				w.Require(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					_, err = w.Profile(r.Context(), claims.UserID)
				})).ServeHTTP(httptest.NewRecorder(), newRequest(t, http.MethodGet, "/me", "", "Authorization", "Bearer "+token))
				if test.status == http.StatusOK {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, auth.ErrUserNotFound)
				}
				got := profile(t, w, token)
				assert.Equal(t, test.status, got.status, got.body)
				if test.status != http.StatusOK {
					assert.Equal(t, message{Code: sessionEnded, Message: "Unauthorized: session ended"}, got.message(t))
				}
			})
		})
	}
	t.Run("deleted", func(t *testing.T) {
		everywhere(t, func(t *testing.T, w *world) {
			id := w.signUp(t, "ann@example.com")
			token := w.logIn(t, "ann@example.com").AccessToken
			w.deleteUser(t, id)
			got := profile(t, w, token)
			assert.Equal(t, http.StatusUnauthorized, got.status)
			assert.Equal(t, sessionEnded, got.message(t).Code)

			tutorial := w.another(t, func(c *auth.Config) { c.InsecureTutorialMode = true })
			got = direct(t, tutorial.Handler(""), newRequest(t, http.MethodGet, "/profile", "", "Authorization", "Bearer "+token))
			assert.Equal(t, http.StatusNotFound, got.status)
			assert.Equal(t, message{Message: "User not found"}, got.message(t))
		})
	})
}

// The same holds of a user and a session.
//
// Advisory: CVE-2026-55670.
func TestSessionOfAYoungerUser(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		for _, test := range []struct {
			late time.Duration
			ok   bool
		}{
			{5 * time.Minute, true}, {5*time.Minute + time.Microsecond, false}, {time.Hour, false},
		} {
			t.Run(test.late.String(), func(t *testing.T) {
				w := onServer(t, server)
				w.signUp(t, "ann@example.com")
				tokens := w.logIn(t, "ann@example.com")
				_, err := w.db.ExecContext(t.Context(), "UPDATE users u JOIN refresh_tokens s ON s.user_id = u.id SET u.created_at = s.created_at + INTERVAL ? MICROSECOND",
					test.late.Microseconds())
				require.NoError(t, err)
				before := w.row(t, tokens.SessionID)
				s := serve(t, w.Handler(""))
				live := w.RequireWith(auth.Requirement{Live: true})
				if test.ok {
					assertPasses(t, live, tokens.AccessToken)
					s.do(t, http.MethodPost, "/refresh", "", "Authorization", "Bearer "+tokens.RefreshToken).tokens(t)
					return
				}
				assertStopped(t, live, tokens.AccessToken, sessionEnded)
				got := s.do(t, http.MethodPost, "/refresh", "", "Authorization", "Bearer "+tokens.RefreshToken)
				assert.Equal(t, http.StatusUnauthorized, got.status)
				assert.Equal(t, sessionEnded, got.message(t).Code)
				assert.Equal(t, before, w.row(t, tokens.SessionID), "nothing else is touched")
			})
		}
	})
}
