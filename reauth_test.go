package auth_test

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// claims are those of the tokens' access token.
func (w *world) claims(t *testing.T, tokens auth.Tokens) auth.Claims {
	t.Helper()
	claims, err := w.Verify(tokens.AccessToken)
	require.NoError(t, err)
	return claims
}

// reauth is a reauthentication that must succeed.
func (w *world) reauth(t *testing.T, tokens auth.Tokens) auth.Tokens {
	t.Helper()
	next, err := w.Reauthenticate(t.Context(), w.claims(t, tokens), auth.ReauthInput{Password: password})
	require.NoError(t, err)
	return next
}

// assertAuthTime checks that both tokens say that the user was authenticated then.
func (w *world) assertAuthTime(t *testing.T, at time.Time, tokens auth.Tokens) {
	t.Helper()
	assert.Equal(t, at.Unix(), w.claims(t, tokens).AuthTime.Unix())
	assert.Equal(t, at.Unix(), claimsOf(t, tokens.RefreshToken).AuthTime)
}

// It is the same session, one generation on, with a new auth_time, which later refreshes
// and the answers within Grace have too.
//
// ASVS: 7.2.4.
func TestReauthenticate(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.freeze()
		began := w.clock.Now()
		w.signUp(t, ann)
		first, other := w.logIn(t, ann), w.logIn(t, ann)
		w.advance(time.Hour)
		second := w.refresh(t, first.RefreshToken)
		w.assertAuthTime(t, began, second)
		w.advance(10 * time.Minute)
		at := w.clock.Now()
		before := w.row(t, first.SessionID)
		client := auth.Client{IP: netip.MustParseAddr("::ffff:192.0.2.7"), UserAgent: "an\x00 agent"}
		third, err := w.Reauthenticate(t.Context(), w.claims(t, second), auth.ReauthInput{Password: password, Client: client})
		require.NoError(t, err)

		assert.Equal(t, first.SessionID, third.SessionID)
		assert.Equal(t, first.UserID, third.UserID)
		assert.Equal(t, 20*time.Minute, third.ExpiresIn)
		assert.Equal(t, 24*time.Hour, third.RefreshExpiresIn)
		w.assertAuthTime(t, at, third)
		claims := claimsOf(t, third.RefreshToken)
		assert.Equal(t, refreshClaims{
			Subject: string(first.UserID), SessionID: first.SessionID.String(), Generation: 3,
			ExpiresAt: at.Add(24 * time.Hour).Unix(), AuthTime: at.Unix(), Max: began.Add(30 * 24 * time.Hour).Unix(),
		}, claims)
		row := w.row(t, first.SessionID)
		assert.Equal(t, before.CreatedAt, row.CreatedAt)
		assert.Equal(t, before.MaxExpiresAt, row.MaxExpiresAt)
		assert.EqualValues(t, 3, row.Generation)
		assert.Len(t, row.Retired, 2)
		assert.Equal(t, before.Retired[0], row.Retired[1])
		assert.NotEqual(t, before.RotatedBy, row.RotatedBy)
		assert.Equal(t, at.Unix(), row.AuthenticatedAt.Unix())
		assert.Equal(t, at.Add(24*time.Hour).Unix(), row.ExpiresAt.Unix())
		assert.Equal(t, auth.Client{IP: netip.MustParseAddr("192.0.2.7"), UserAgent: "an agent"}, row.Client)

		w.advance(30 * time.Second)
		retried := w.refresh(t, second.RefreshToken)
		assert.Equal(t, third.RefreshToken, retried.RefreshToken)
		w.assertAuthTime(t, at, retried)
		fourth := w.refresh(t, third.RefreshToken)
		w.assertAuthTime(t, at, fourth)
		for _, old := range []auth.Tokens{second, third} { // the one from before, and the one from after
			retried = w.refresh(t, old.RefreshToken)
			assert.Equal(t, fourth.RefreshToken, retried.RefreshToken)
			w.assertAuthTime(t, at, retried)
		}
		w.assertAuthTime(t, began, w.refresh(t, other.RefreshToken))

		w.advance(grace + time.Second)
		require.ErrorIs(t, w.refreshError(t, second.RefreshToken), auth.ErrSessionEnded, "it was replaced")
		assert.Equal(t, auth.ReasonReuse, w.state(t, first.SessionID).Reason)
	})
}

// An old access token will do, if it has not expired: it names the session.
func TestReauthenticateByAnOlderAccessToken(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, ann)
		first := w.logIn(t, ann)
		second := w.refresh(t, first.RefreshToken)
		third := w.reauth(t, first)
		assert.EqualValues(t, 3, generationOf(t, third))
		assert.Equal(t, third.RefreshToken, w.refresh(t, second.RefreshToken).RefreshToken)
	})
}

// No expiry passes the session's end, reauthenticated or not.
func TestReauthenticateBeforeTheSessionsEnd(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.freeze()
		w.signUp(t, ann)
		tokens := w.logIn(t, ann)
		end := w.clock.Now().Add(time.Hour)
		w.advance(50 * time.Minute)
		next := w.reauth(t, tokens)
		assert.Equal(t, end.Unix(), claimsOf(t, next.RefreshToken).ExpiresAt)
		assert.Equal(t, end.Unix(), w.claims(t, next).ExpiresAt.Unix())
		assert.Equal(t, end.Unix(), w.state(t, tokens.SessionID).ExpiresAt.Unix())
	}, func(c *auth.Config) {
		c.Tokens.MaxTTL, c.Tokens.IdleTTL, c.Tokens.AccessTTL = time.Hour, time.Hour, time.Hour
	})
}

// What is refused changes nothing.
func TestReauthenticateRefuses(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, ann)
		bobID := w.signUp(t, bob)
		tokens := w.logIn(t, ann)
		good := w.claims(t, tokens)
		row := w.row(t, tokens.SessionID)
		refuses := func(claims auth.Claims, password string) error {
			t.Helper()
			next, err := w.Reauthenticate(t.Context(), claims, auth.ReauthInput{Password: password})
			require.Error(t, err)
			assert.Equal(t, auth.Tokens{}, next)
			assert.Equal(t, row, w.row(t, tokens.SessionID))
			return err
		}
		for _, wrong := range []string{wrongPassword, "x", password + " ", " " + password, strings.ToUpper(password)} {
			require.Equal(t, auth.ErrInvalidCredentials, refuses(good, wrong), wrong)
		}
		for _, nobodys := range []string{"", "a\x00b", "\xff", strings.Repeat("x", 1025)} {
			var invalid *auth.ValidationError
			require.ErrorAs(t, refuses(good, nobodys), &invalid, "%.10q", nobodys)
			assert.Len(t, invalid.Fields, 1)
			assert.NotEmpty(t, invalid.Fields["password"])
		}
		for name, claims := range map[string]auth.Claims{
			"another user":    {UserID: bobID, SessionID: good.SessionID},
			"no user":         {UserID: "999", SessionID: good.SessionID},
			"no ID of a user": {UserID: "x", SessionID: good.SessionID},
			"no session":      {UserID: good.UserID, SessionID: auth.SessionID{1}},
			"zero":            {},
		} {
			require.ErrorIs(t, refuses(claims, password), auth.ErrSessionEnded, name)
		}
		require.NoError(t, w.Logout(t.Context(), tokens.RefreshToken))
		row = w.row(t, tokens.SessionID)
		require.ErrorIs(t, refuses(good, password), auth.ErrSessionEnded)
	})
}

// A session whose time is over, or whose user is disabled or gone, cannot be continued.
func TestReauthenticateAfterTheEnd(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, w *world, id auth.UserID){
		"idle": func(t *testing.T, w *world, _ auth.UserID) { t.Helper(); w.advance(25 * time.Hour) },
		"disabled": func(t *testing.T, w *world, id auth.UserID) {
			t.Helper()
			require.NoError(t, w.DisableUser(t.Context(), id))
		},
		"deleted": func(t *testing.T, w *world, id auth.UserID) {
			t.Helper()
			require.NoError(t, w.stores.Accounts.DeleteUser(t.Context(), id))
		},
		"changed": func(t *testing.T, w *world, id auth.UserID) { t.Helper(); w.bumpAuthVersion(t, id) },
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, w *world) {
				id := w.signUp(t, ann)
				claims := w.claims(t, w.logIn(t, ann))
				end(t, w, id)
				next, err := w.Reauthenticate(t.Context(), claims, auth.ReauthInput{Password: password})
				require.ErrorIs(t, err, auth.ErrSessionEnded)
				assert.Equal(t, auth.Tokens{}, next)
			})
		})
	}
}

// Whoever holds the access token of a session that is over learns nothing about a password
// by it: no hash is spent, and no failed login is told of.
func TestReauthenticateAfterTheEndTellsNothing(t *testing.T) {
	for _, c := range endings() {
		c.each(t, func(t *testing.T, w *world, newUser func() auth.Tokens) {
			t.Helper()
			tokens := newUser()
			claims := w.claims(t, tokens)
			require.NoError(t, c.do(t.Context(), w, tokens))
			r := &recorder{}
			a := w.another(t, r.on)
			a.OnHash(func(int) { assert.Fail(t, "a hash was spent") })
			for _, tried := range []string{password, wrongPassword} {
				next, err := a.Reauthenticate(t.Context(), claims, auth.ReauthInput{Password: tried})
				require.ErrorIs(t, err, auth.ErrSessionEnded, tried)
				assert.Equal(t, auth.Tokens{}, next)
				got := direct(t, a.Handler(""), newRequest(t, http.MethodPost, "/reauth", object(t, "password", tried), bearer(tokens.AccessToken)...))
				assert.Equal(t, http.StatusUnauthorized, got.status, tried)
				assert.Equal(t, sessionEnded, got.message(t).Code, tried)
			}
			assert.Empty(t, r.take())
		})
	}
}

// A user that changes between the check of the password and the rotation gets nothing,
// nor does one who was read as they were before.
func TestReauthenticateWhileTheUserChanges(t *testing.T) {
	for _, c := range endings() {
		c.each(t, func(t *testing.T, w *world, newUser func() auth.Tokens) {
			t.Helper()
			for _, at := range []string{theHash, readSession, rotateSession} {
				tokens := newUser()
				a, s := w.scripted(t)
				end := sync.OnceFunc(func() { assert.NoError(t, c.do(t.Context(), w, tokens)) })
				if at == theHash {
					a.OnHash(func(int) { end() })
				} else {
					s.before = doing(at, end)
				}
				next, err := a.Reauthenticate(t.Context(), w.claims(t, tokens), auth.ReauthInput{Password: password})
				require.ErrorIs(t, err, auth.ErrSessionEnded, at)
				assert.Equal(t, auth.Tokens{}, next)
				w.assertOver(t, tokens)
			}
		})
	}
	t.Run("an earlier user was read", func(t *testing.T) {
		everywhere(t, func(t *testing.T, w *world) {
			id := w.signUp(t, ann)
			earlier, err := w.stores.Users.UserByID(t.Context(), id)
			require.NoError(t, err)
			require.NoError(t, w.stores.Accounts.SetPassword(t.Context(), id, hashOf(t, wrongPassword, 4)))
			tokens, err := w.tryLogin(t, ann, wrongPassword)
			require.NoError(t, err)
			row := w.row(t, tokens.SessionID)
			a, s := w.scripted(t)
			s.users = earlierUser{s.users, earlier}
			next, err := a.Reauthenticate(t.Context(), w.claims(t, tokens), auth.ReauthInput{Password: password})
			require.Equal(t, auth.ErrInvalidCredentials, err)
			assert.Equal(t, auth.Tokens{}, next)
			assert.Equal(t, row, w.row(t, tokens.SessionID))
		})
	})
}

// earlierUser is read as it was.
type earlierUser struct {
	auth.UserStore

	user auth.UserRecord
}

func (s earlierUser) UserByID(context.Context, auth.UserID) (auth.UserRecord, error) {
	return s.user, nil
}

func TestReauthenticateHostsUsers(t *testing.T) {
	everywhereHosted(t, func(t *testing.T, h host) {
		id := h.signUp(t, ann)
		tokens := h.logIn(t, ann)
		a, s := h.scripted(t)
		next, err := a.Reauthenticate(t.Context(), h.claims(t, tokens), auth.ReauthInput{Password: password})
		require.NoError(t, err)
		assert.Equal(t, []string{
			sessionByID, userByID, // is it live
			userByID, // for the hash
			userByID, // after it
			readSession, rotateSession,
		}, s.calls())
		assert.EqualValues(t, 2, generationOf(t, next))
		assert.EqualValues(t, 1, s.rotations[0].AuthVersion)
		assert.EqualValues(t, 3, generationOf(t, h.refresh(t, next.RefreshToken)))
		h.bumpAuthVersion(t, id)
		_, err = h.Reauthenticate(t.Context(), h.claims(t, next), auth.ReauthInput{Password: password})
		require.ErrorIs(t, err, auth.ErrSessionEnded)
	})
}

// While the password is checked, a host's user gets another, or is disabled: the one that
// was checked counts no more.
func TestReauthenticateWhileTheHostsUserChanges(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(t *testing.T, h host, s *script, id auth.UserID)
		want   error
	}{
		{"another password", func(t *testing.T, h host, _ *script, id auth.UserID) {
			t.Helper()
			assert.NoError(t, h.users.SetPassword(t.Context(), id, hashOf(t, wrongPassword, 4)))
		}, auth.ErrInvalidCredentials},
		{"disabled, with the AuthVersion that it had", func(_ *testing.T, h host, s *script, _ auth.UserID) {
			s.users = disabledUsers{h.users}
		}, auth.ErrInvalidCredentials},
		{"deleted", func(_ *testing.T, _ host, s *script, _ auth.UserID) {
			s.before = failing(auth.ErrUserNotFound, userByID)
		}, auth.ErrSessionEnded},
	} {
		t.Run(c.name, func(t *testing.T) {
			everywhereHosted(t, func(t *testing.T, h host) {
				id := h.signUp(t, ann)
				tokens := h.logIn(t, ann)
				row := h.row(t, tokens.SessionID)
				a, s := h.scripted(t)
				a.OnHash(func(int) { c.change(t, h, s, id) })
				next, err := a.Reauthenticate(t.Context(), h.claims(t, tokens), auth.ReauthInput{Password: password})
				require.Equal(t, c.want, err)
				assert.Equal(t, auth.Tokens{}, next)
				assert.NotContains(t, s.calls(), rotateSession)
				assert.Equal(t, row, h.row(t, tokens.SessionID))
			})
		})
	}
}

// It is a rotation like others, and counts as one.
func TestReauthenticateIsLimited(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, ann)
		tokens := w.logIn(t, ann)
		for i := range auth.RetiredKept {
			if i%2 == 0 {
				tokens = w.reauth(t, tokens)
			} else {
				tokens = w.refresh(t, tokens.RefreshToken)
			}
		}
		row := w.row(t, tokens.SessionID)
		next, err := w.Reauthenticate(t.Context(), w.claims(t, tokens), auth.ReauthInput{Password: password})
		var limit *auth.RateLimitError
		require.ErrorAs(t, err, &limit)
		assert.InDelta(t, grace.Seconds(), limit.RetryAfter.Seconds(), 30)
		assert.LessOrEqual(t, limit.RetryAfter, grace)
		assert.Equal(t, auth.Tokens{}, next)
		require.ErrorAs(t, w.refreshError(t, tokens.RefreshToken), &limit)
		assert.Equal(t, row, w.row(t, tokens.SessionID))
		w.advance(grace + time.Second)
		tokens = w.reauth(t, tokens)

		unlimited := w.another(t, noLimits)
		for range auth.RetiredKept {
			tokens, err = unlimited.Reauthenticate(t.Context(), w.claims(t, tokens), auth.ReauthInput{Password: password})
			require.NoError(t, err)
		}
	})
}
