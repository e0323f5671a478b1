package auth_test

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// A session ends when IdleTTL passes without a refresh, and not before.
//
// ASVS: 7.3.1.
func TestIdleEnd(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.freeze()
		w.signUp(t, ann)
		last := w.logIn(t, ann)
		for range 3 {
			w.advance(time.Hour - time.Second)
			last = w.refresh(t, last.RefreshToken)
			assert.Equal(t, w.clock.Now().Add(time.Hour).Unix(), claimsOf(t, last.RefreshToken).ExpiresAt)
			assert.Equal(t, w.clock.Now().Add(time.Hour).Unix(), w.state(t, last.SessionID).ExpiresAt.Unix())
		}
		w.advance(time.Hour)
		require.ErrorIs(t, w.refreshError(t, last.RefreshToken), auth.ErrSessionEnded)
		assert.True(t, w.state(t, last.SessionID).RevokedAt.IsZero(), "its time was over: nobody reused anything")
	}, func(c *auth.Config) { c.Tokens.IdleTTL = time.Hour })
}

// The default lifetimes are a day and thirty days.
//
// ASVS: 7.1.1, 7.3.1.
func TestDefaultLifetimes(t *testing.T) {
	w := onMemory(t)
	w.freeze()
	w.signUp(t, ann)
	tokens := w.logIn(t, ann)
	now := w.clock.Now()
	claims := claimsOf(t, tokens.RefreshToken)
	assert.Equal(t, now.Add(24*time.Hour).Unix(), claims.ExpiresAt)
	assert.Equal(t, now.Add(30*24*time.Hour).Unix(), claims.Max)
	assert.Equal(t, now.Unix(), claims.AuthTime)
	assert.Equal(t, 20*time.Minute, tokens.ExpiresIn)
	access, err := w.Verify(tokens.AccessToken)
	require.NoError(t, err)
	assert.Equal(t, now.Add(20*time.Minute).Unix(), access.ExpiresAt.Unix())
	assert.Equal(t, now.Unix(), access.AuthTime.Unix())
}

// A refresh token's exp is late by Grace, so that a retry of the last refresh before the
// idle end still finds its successor.
func TestRetryOfTheLastRefresh(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.freeze()
		w.signUp(t, ann)
		retried, expired := w.logIn(t, ann), w.logIn(t, ann)
		w.advance(time.Hour - 10*time.Second)
		next := w.refresh(t, retried.RefreshToken)
		w.advance(40 * time.Second) // 30 s past exp
		assert.Equal(t, next.RefreshToken, w.refresh(t, retried.RefreshToken).RefreshToken)
		require.ErrorIs(t, w.refreshError(t, expired.RefreshToken), auth.ErrSessionEnded)

		w.advance(30 * time.Second) // Grace past exp: the row is asked, and judges by its own
		require.ErrorIs(t, w.refreshError(t, expired.RefreshToken), auth.ErrSessionEnded)
		w.advance(time.Second)
		a, s := w.scripted(t)
		require.ErrorIs(t, refreshError(t, a, retried.RefreshToken), auth.ErrTokenExpired)
		require.ErrorIs(t, refreshError(t, a, expired.RefreshToken), auth.ErrTokenExpired)
		assert.Empty(t, s.calls(), "the store is spared")
		assert.True(t, w.state(t, retried.SessionID).RevokedAt.IsZero())
		w.refresh(t, next.RefreshToken)
	}, func(c *auth.Config) { c.Tokens.IdleTTL = time.Hour })
}

// Without grace there is none for exp either, and any second use ends the session.
//
// ASVS: 10.4.5.
func TestStrictRotation(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.freeze()
		w.signUp(t, ann)
		first := w.logIn(t, ann)
		last := first
		for range auth.RetiredKept + 4 {
			last = w.refresh(t, last.RefreshToken)
		}
		other := w.logIn(t, ann)
		require.ErrorIs(t, w.refreshError(t, first.RefreshToken), auth.ErrSessionEnded)
		assert.Equal(t, auth.ReasonReuse, w.state(t, first.SessionID).Reason)
		require.ErrorIs(t, w.refreshError(t, last.RefreshToken), auth.ErrSessionEnded)
		w.advance(time.Hour)
		require.ErrorIs(t, w.refreshError(t, other.RefreshToken), auth.ErrSessionEnded)
		w.advance(time.Second)
		require.ErrorIs(t, w.refreshError(t, other.RefreshToken), auth.ErrTokenExpired)
	}, strict, func(c *auth.Config) { c.Tokens.IdleTTL = time.Hour })
}

// More than 8 rotations within Grace are 429, and nothing is written.
//
// ASVS: 2.3.2.
func TestRotationLimit(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, ann)
		first := w.logIn(t, ann)
		last := first
		for range auth.RetiredKept {
			last = w.refresh(t, last.RefreshToken)
			w.advance(time.Second)
		}
		row := w.row(t, first.SessionID)
		var limit *auth.RateLimitError
		require.ErrorAs(t, w.refreshError(t, last.RefreshToken), &limit)
		assert.InDelta(t, (52 * time.Second).Seconds(), limit.RetryAfter.Seconds(), 30)
		assert.LessOrEqual(t, limit.RetryAfter, 52*time.Second)
		assert.Equal(t, row, w.row(t, first.SessionID))
		assert.Contains(t, w.log.String(), "event=limited user="+string(row.UserID)+" session="+row.ID.String()+" reason=rotations")
		assert.Equal(t, last.RefreshToken, w.refresh(t, first.RefreshToken).RefreshToken, "retries are not limited")

		unlimited := w.another(t, noLimits)
		tokens, err := unlimited.Refresh(t.Context(), last.RefreshToken, auth.Client{})
		require.NoError(t, err)
		row = w.row(t, first.SessionID)
		require.ErrorAs(t, w.refreshError(t, tokens.RefreshToken), &limit)
		w.advance(limit.RetryAfter + time.Second)
		assert.Equal(t, row.Generation+1, generationOf(t, w.refresh(t, tokens.RefreshToken)))
	})
}

// Without limits the list of retirements may be outrun: what is older than it is judged
// by its end.
func TestOlderThanTheList(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, ann)
		first := w.logIn(t, ann)
		last := first
		for range auth.RetiredKept + 3 {
			last = w.refresh(t, last.RefreshToken)
		}
		w.advance(30 * time.Second)
		row := w.row(t, first.SessionID)
		assert.Equal(t, last.RefreshToken, w.refresh(t, first.RefreshToken).RefreshToken)
		assert.Equal(t, row, w.row(t, first.SessionID))
		w.advance(31 * time.Second)
		require.ErrorIs(t, w.refreshError(t, first.RefreshToken), auth.ErrSessionEnded)
		assert.Equal(t, auth.ReasonReuse, w.state(t, first.SessionID).Reason)
	}, noLimits)
}

// Four logins in one second are four sessions.
func TestFourLoginsInASecond(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.freeze()
		w.signUp(t, ann)
		var all []auth.Tokens
		for range 4 {
			all = append(all, w.logIn(t, ann))
		}
		for i, tokens := range all {
			for _, other := range all[:i] {
				assert.NotEqual(t, other.SessionID, tokens.SessionID)
				assert.NotEqual(t, other.RefreshToken, tokens.RefreshToken)
				assert.NotEqual(t, other.AccessToken, tokens.AccessToken)
			}
			w.refresh(t, tokens.RefreshToken)
		}
	})
}

// ASVS: 7.4.1.
func TestLogout(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, ann)
		bobID := w.signUp(t, bob)
		first, other := w.logIn(t, ann), w.logIn(t, ann)
		second := w.refresh(t, first.RefreshToken)
		third := w.refresh(t, second.RefreshToken)

		require.NoError(t, w.Logout(t.Context(), first.RefreshToken), "of any generation")
		row := w.row(t, first.SessionID)
		assert.Equal(t, auth.ReasonLogout, row.Reason)
		assert.False(t, row.RevokedAt.IsZero())
		for _, tokens := range []auth.Tokens{first, second, third} {
			require.ErrorIs(t, w.refreshError(t, tokens.RefreshToken), auth.ErrSessionEnded)
		}
		_, err := w.Verify(third.AccessToken)
		require.NoError(t, err, "the access token lives on")

		require.NoError(t, w.Logout(t.Context(), third.RefreshToken), "twice")
		assert.Equal(t, row, w.row(t, first.SessionID))

		for name, token := range map[string]string{
			"none":          "",
			"access token":  other.AccessToken,
			"no token":      "abc",
			"another's key": other.RefreshToken[:len(other.RefreshToken)-4] + "AAAA",
		} {
			require.ErrorIs(t, w.Logout(t.Context(), token), auth.ErrInvalidToken, name)
		}
		stolen := forge(t, other.RefreshToken, func(c *refreshClaims) { c.Subject = string(bobID) })
		require.NoError(t, w.Logout(t.Context(), stolen))
		assert.True(t, w.state(t, other.SessionID).RevokedAt.IsZero(), "it is not bob's")
		absent := forge(t, other.RefreshToken, func(c *refreshClaims) { c.SessionID = strings.Repeat("0", 32) })
		require.NoError(t, w.Logout(t.Context(), absent))

		w.advance(400 * 24 * time.Hour)
		require.NoError(t, w.Logout(t.Context(), other.RefreshToken), "of any age")
		assert.False(t, w.state(t, other.SessionID).RevokedAt.IsZero())
	})
}

// A refresh token of ours that names another user's session, or none, opens nothing and
// ends nothing.
//
// ASVS: 7.2.3.
// Advisory: CVE-2024-38513.
func TestRefreshOfAnothersSession(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, ann)
		bobID := w.signUp(t, "bob@example.com")
		tokens := w.logIn(t, ann)
		w.refresh(t, tokens.RefreshToken)
		w.advance(2 * time.Minute)
		row := w.row(t, tokens.SessionID)
		for _, generation := range []int64{1, 2, 3} {
			for name, edit := range map[string]func(c *refreshClaims){
				"another user": func(c *refreshClaims) { c.Subject = string(bobID) },
				"no user":      func(c *refreshClaims) { c.Subject = "no such user" },
				"no session":   func(c *refreshClaims) { c.SessionID = strings.Repeat("0", 32) },
			} {
				token := forge(t, atGeneration(t, tokens.RefreshToken, generation), edit)
				require.ErrorIs(t, w.refreshError(t, token), auth.ErrSessionEnded, name)
				assert.Equal(t, row, w.row(t, tokens.SessionID), name)
			}
		}
	})
}

func TestStartSession(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		id := w.signUp(t, ann)
		client := auth.Client{IP: netip.MustParseAddr("192.0.2.7"), UserAgent: "an agent"}
		tokens, err := w.StartSession(t.Context(), id, client)
		require.NoError(t, err)
		assert.Equal(t, id, tokens.UserID)
		state := w.state(t, tokens.SessionID)
		assert.Equal(t, client, state.Client)
		assert.Equal(t, int64(1), state.Generation)
		assert.Empty(t, state.Retired)
		w.refresh(t, tokens.RefreshToken)

		for _, unknown := range []auth.UserID{"999", "", "no id", "-1", "01"} {
			_, err = w.StartSession(t.Context(), unknown, client)
			require.ErrorIs(t, err, auth.ErrUserNotFound, unknown)
		}

		a, s := w.scripted(t)
		s.before = doing(createSession, func() { w.bumpAuthVersion(t, id) })
		tokens, err = a.StartSession(t.Context(), id, client)
		require.ErrorIs(t, err, auth.ErrUserChanged)
		assert.Equal(t, auth.Tokens{}, tokens)
	})
}

// A session whose user changed is over, within grace and at its generation.
func TestUserChanged(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		id := w.signUp(t, ann)
		first := w.logIn(t, ann)
		second := w.refresh(t, first.RefreshToken)
		w.bumpAuthVersion(t, id)
		row := w.row(t, first.SessionID)
		for _, token := range []string{first.RefreshToken, second.RefreshToken, atGeneration(t, second.RefreshToken, 3)} {
			require.ErrorIs(t, w.refreshError(t, token), auth.ErrSessionEnded)
		}
		assert.Equal(t, row, w.row(t, first.SessionID))
		w.refresh(t, w.logIn(t, ann).RefreshToken)
	})
}

// What is kept of a client is clean, whatever it sent, and is of the last rotation.
func TestClientKept(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		id := w.signUp(t, ann)
		a, s := w.scripted(t)
		sent := auth.Client{
			IP:        netip.MustParseAddr("fe80::1%eth0"),
			UserAgent: "a\x00b\r\nc\u0085\xff" + strings.Repeat("é", 252), // one too many
		}
		want := auth.Client{IP: netip.MustParseAddr("fe80::1"), UserAgent: "abc\uFFFD" + strings.Repeat("é", 251)}
		tokens, err := a.StartSession(t.Context(), id, sent)
		require.NoError(t, err)
		assert.Equal(t, want, w.state(t, tokens.SessionID).Client)
		next, err := a.Refresh(t.Context(), tokens.RefreshToken, sent)
		require.NoError(t, err)
		assert.Equal(t, []auth.Client{want, want}, s.clients, "the store gets it clean")

		mapped := auth.Client{IP: netip.MustParseAddr("::ffff:192.0.2.1"), UserAgent: "next"}
		_, err = a.Refresh(t.Context(), next.RefreshToken, mapped)
		require.NoError(t, err)
		want = auth.Client{IP: netip.MustParseAddr("192.0.2.1"), UserAgent: "next"}
		assert.Equal(t, want, s.clients[2])
		_, err = a.Refresh(t.Context(), next.RefreshToken, auth.Client{UserAgent: "retry"})
		require.NoError(t, err)
		assert.Equal(t, want, w.state(t, next.SessionID).Client)
	})
}

func TestSessionIDText(t *testing.T) {
	id := auth.SessionID{0x00, 0x1f, 0xff}
	text, err := json.Marshal(map[auth.SessionID]auth.SessionID{id: id})
	require.NoError(t, err)
	assert.JSONEq(t, `{"001fff00000000000000000000000000":"001fff00000000000000000000000000"}`, string(text))
	var back map[auth.SessionID]auth.SessionID
	require.NoError(t, json.Unmarshal(text, &back))
	assert.Equal(t, id, back[id])
	for _, bad := range []string{"", "00", "001FFF00000000000000000000000000", "001fff0000000000000000000000000g", "001fff000000000000000000000000000"} {
		_, err := auth.ParseSessionID(bad)
		require.Error(t, err, bad)
	}
}
