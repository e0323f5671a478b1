package auth_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

const bob = "bob@example.com"

// startAs starts a session of a client.
func (w *world) startAs(t *testing.T, id auth.UserID, c auth.Client) auth.Tokens {
	t.Helper()
	tokens, err := w.StartSession(t.Context(), id, c)
	require.NoError(t, err)
	return tokens
}

// sessions are the user's, none of them current.
func (w *world) sessions(t *testing.T, id auth.UserID) []auth.SessionInfo {
	t.Helper()
	list, err := w.Sessions(t.Context(), id, auth.SessionID{})
	require.NoError(t, err)
	return list
}

// A user's sessions that go on, the newest first, each with what its row says.
func TestSessions(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.freeze()
		id, other := w.signUp(t, ann), w.signUp(t, bob)
		phone := auth.Client{IP: netip.MustParseAddr("192.0.2.7"), UserAgent: "a phone"}
		laptop := auth.Client{IP: netip.MustParseAddr("2001:db8::7"), UserAgent: "a laptop"}
		expired := w.startAs(t, id, phone)
		w.advance(2 * time.Hour)
		first := w.startAs(t, id, phone)
		w.advance(time.Minute)
		loggedOut, reused, second := w.startAs(t, id, phone), w.startAs(t, id, phone), w.startAs(t, id, auth.Client{})
		w.startAs(t, other, laptop)
		require.NoError(t, w.Logout(t.Context(), loggedOut.RefreshToken))
		w.refresh(t, reused.RefreshToken)
		w.advance(2 * time.Minute)
		require.ErrorIs(t, w.refreshError(t, reused.RefreshToken), auth.ErrSessionEnded)
		refreshed, err := w.Refresh(t.Context(), first.RefreshToken, laptop)
		require.NoError(t, err)
		w.advance(time.Second)
		_, err = w.Refresh(t.Context(), first.RefreshToken, phone)
		require.NoError(t, err, "a retry changes nothing")
		w.advance(22*time.Hour + 30*time.Minute) // the newer one has an hour and a half left
		_, err = w.Refresh(t.Context(), refreshed.RefreshToken, auth.Client{UserAgent: "last"})
		require.NoError(t, err)

		list, err := w.Sessions(t.Context(), id, second.SessionID)
		require.NoError(t, err)
		require.Len(t, list, 2)
		rows := []auth.SessionState{w.state(t, second.SessionID), w.state(t, first.SessionID)}
		assert.Equal(t, []auth.SessionInfo{
			{
				ID: second.SessionID, CreatedAt: rows[0].CreatedAt, LastUsedAt: rows[0].CreatedAt, ExpiresAt: rows[0].ExpiresAt,
				Current: true,
			},
			{
				ID: first.SessionID, CreatedAt: rows[1].CreatedAt, LastUsedAt: rows[1].Retired[0], ExpiresAt: rows[1].ExpiresAt,
				Client: auth.Client{UserAgent: "last"},
			},
		}, list)
		assert.Len(t, rows[1].Retired, 2)
		assert.Equal(t, w.clock.Now().Add(24*time.Hour).Unix(), list[1].ExpiresAt.Unix())
		assert.True(t, list[0].CreatedAt.After(list[1].CreatedAt))
		assert.NotEqual(t, expired.SessionID, list[1].ID)

		for _, unknown := range []auth.UserID{"999", "", "no id", "-1"} {
			assert.Empty(t, w.sessions(t, unknown), unknown)
		}
		w.advance(2 * time.Hour)
		assert.Len(t, w.sessions(t, id), 1, "the other was idle for a day")
	})
}

// Of more than 1,000 sessions the newest 1,000 are told.
func TestSessionsAreBounded(t *testing.T) {
	w := onMemory(t)
	id := w.signUp(t, ann)
	first := w.startAs(t, id, auth.Client{})
	for range 1000 {
		w.advance(time.Millisecond)
		w.startAs(t, id, auth.Client{})
	}
	list := w.sessions(t, id)
	assert.Len(t, list, 1000)
	for _, s := range list {
		assert.NotEqual(t, first.SessionID, s.ID)
	}
}

// A session is ended by its user, whoever asks and however often, and by nobody else.
func TestRevokeSession(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		id, other := w.signUp(t, ann), w.signUp(t, bob)
		tokens, kept := w.logIn(t, ann), w.logIn(t, ann)
		row := w.row(t, tokens.SessionID)
		for _, stranger := range []auth.UserID{other, "999", "", "no id"} {
			require.Equal(t, auth.ErrSessionNotFound, w.RevokeSession(t.Context(), stranger, tokens.SessionID), stranger)
		}
		for _, unknown := range []auth.SessionID{{}, {1}} {
			require.ErrorIs(t, w.RevokeSession(t.Context(), id, unknown), auth.ErrSessionNotFound)
		}
		assert.Equal(t, row, w.row(t, tokens.SessionID))

		require.NoError(t, w.RevokeSession(t.Context(), id, tokens.SessionID))
		row = w.row(t, tokens.SessionID)
		assert.Equal(t, auth.ReasonRevoked, row.Reason)
		assert.False(t, row.RevokedAt.IsZero())
		require.ErrorIs(t, w.refreshError(t, tokens.RefreshToken), auth.ErrSessionEnded)
		w.advance(time.Second)
		row = w.row(t, tokens.SessionID)
		require.NoError(t, w.RevokeSession(t.Context(), id, tokens.SessionID), "again")
		assert.Equal(t, row, w.row(t, tokens.SessionID))
		require.ErrorIs(t, w.RevokeSession(t.Context(), other, tokens.SessionID), auth.ErrSessionNotFound, "not even that it was")
		w.refresh(t, kept.RefreshToken)

		require.NoError(t, w.Logout(t.Context(), kept.RefreshToken))
		require.NoError(t, w.RevokeSession(t.Context(), id, kept.SessionID), "over before")
		assert.Equal(t, auth.ReasonLogout, w.state(t, kept.SessionID).Reason)
	})
}

// ASVS: 7.4.5.
func TestLogoutAll(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		id := w.signUp(t, ann)
		w.signUp(t, bob)
		over, left, kept, others := w.logIn(t, ann), w.logIn(t, ann), w.logIn(t, ann), w.logIn(t, bob)
		require.NoError(t, w.Logout(t.Context(), over.RefreshToken))

		for _, unknown := range []auth.UserID{"999", "", "no id"} {
			require.NoError(t, w.LogoutAll(t.Context(), unknown, auth.SessionID{}))
		}
		require.NoError(t, w.LogoutAll(t.Context(), id, kept.SessionID))
		assert.Equal(t, auth.ReasonLogoutAll, w.state(t, left.SessionID).Reason)
		assert.Equal(t, auth.ReasonLogout, w.state(t, over.SessionID).Reason)
		require.ErrorIs(t, w.refreshError(t, left.RefreshToken), auth.ErrSessionEnded)
		kept = w.refresh(t, kept.RefreshToken)
		require.NoError(t, w.LogoutAll(canceled(t), id, others.SessionID), "another's session keeps nothing")
		require.ErrorIs(t, w.refreshError(t, kept.RefreshToken), auth.ErrSessionEnded)
		assert.Equal(t, auth.ReasonLogoutAll, w.state(t, kept.SessionID).Reason)
		w.refresh(t, others.RefreshToken)

		last := w.logIn(t, ann)
		require.NoError(t, w.LogoutAll(t.Context(), id, auth.SessionID{}))
		require.NoError(t, w.LogoutAll(t.Context(), id, auth.SessionID{}), "again")
		require.ErrorIs(t, w.refreshError(t, last.RefreshToken), auth.ErrSessionEnded)
		assert.Empty(t, w.sessions(t, id))
		w.refresh(t, w.logIn(t, ann).RefreshToken)
	})
}

// canceled is a context that is done.
func canceled(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// The same by calls on a host's own users.
func TestSessionControlOfHostsUsers(t *testing.T) {
	everywhereHosted(t, func(t *testing.T, h host) {
		id, other := h.signUp(t, ann), h.signUp(t, bob)
		first := h.logIn(t, ann)
		h.advance(time.Second)
		second := h.logIn(t, ann)
		others := h.logIn(t, bob)
		list, err := h.Sessions(t.Context(), id, first.SessionID)
		require.NoError(t, err)
		require.Len(t, list, 2)
		assert.Equal(t, []auth.SessionID{second.SessionID, first.SessionID}, []auth.SessionID{list[0].ID, list[1].ID})
		assert.Equal(t, []bool{false, true}, []bool{list[0].Current, list[1].Current})

		require.ErrorIs(t, h.RevokeSession(t.Context(), other, first.SessionID), auth.ErrSessionNotFound)
		require.NoError(t, h.RevokeSession(t.Context(), id, first.SessionID))
		require.ErrorIs(t, h.refreshError(t, first.RefreshToken), auth.ErrSessionEnded)
		assert.Len(t, h.sessions(t, id), 1)
		third := h.logIn(t, ann)
		require.NoError(t, h.LogoutAll(t.Context(), id, third.SessionID))
		require.ErrorIs(t, h.refreshError(t, second.RefreshToken), auth.ErrSessionEnded)
		h.refresh(t, third.RefreshToken)
		h.refresh(t, others.RefreshToken)

		h.bumpAuthVersion(t, id)
		assert.Empty(t, h.sessions(t, id), "they are of an earlier version")
		fourth := h.logIn(t, ann)
		require.Len(t, h.sessions(t, id), 1)
		assert.Equal(t, fourth.SessionID, h.sessions(t, id)[0].ID)
		require.NoError(t, h.users.DeleteUser(t.Context(), id))
		assert.Empty(t, h.sessions(t, id))
		assert.Empty(t, h.sessions(t, "no id"))
		require.NoError(t, h.RevokeSession(t.Context(), id, fourth.SessionID), "its row is there")
		require.NoError(t, h.LogoutAll(t.Context(), id, auth.SessionID{}))
	})
}

// A backup that was restored: every session that began before is ended, no other.
//
// ASVS: 7.4.5.
func TestRevokeAllSessions(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, ann)
		w.signUp(t, bob)
		first, second, over := w.logIn(t, ann), w.logIn(t, bob), w.logIn(t, bob)
		require.NoError(t, w.Logout(t.Context(), over.RefreshToken))
		w.advance(time.Second)
		third := w.logIn(t, ann)
		before := w.state(t, third.SessionID).CreatedAt

		n, err := w.RevokeAllSessions(t.Context(), before)
		require.NoError(t, err)
		assert.EqualValues(t, 2, n)
		for _, tokens := range []auth.Tokens{first, second} {
			assert.Equal(t, auth.ReasonAll, w.state(t, tokens.SessionID).Reason)
			require.ErrorIs(t, w.refreshError(t, tokens.RefreshToken), auth.ErrSessionEnded)
		}
		assert.Equal(t, auth.ReasonLogout, w.state(t, over.SessionID).Reason)
		third = w.refresh(t, third.RefreshToken)
		for _, c := range []struct {
			before time.Time
			want   int64
		}{{before, 0}, {time.Time{}, 0}, {before.Add(time.Microsecond), 1}} {
			n, err = w.RevokeAllSessions(t.Context(), c.before)
			require.NoError(t, err)
			assert.Equal(t, c.want, n, c.before)
		}
		require.ErrorIs(t, w.refreshError(t, third.RefreshToken), auth.ErrSessionEnded)
	})
}
