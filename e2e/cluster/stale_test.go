//go:build cluster

package cluster_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// What one node has acknowledged, another one heeds at once, however far behind it is: a
// session that began there is no stranger, a token that was replaced there gets its
// successor, and a session that ended there is over.
func TestStaleNodeJudgesInStep(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cluster) {
		w := on(t, c)
		w.signUp(t, "ann@example.com")
		w.prepareLag(t)
		here, there := w.at[0], w.at[1]
		stale := 0
		for round := range 5 {
			w.lag(t)
			tokens := here.logIn(t, "ann@example.com")
			if !there.sees(t, "SELECT 1 FROM refresh_tokens WHERE id = UNHEX(?)", claimsOf(t, tokens.RefreshToken).Session) {
				stale++
			}
			next, err := there.Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
			require.NoError(t, err, "round %d: a session that has just begun", round)
			require.EqualValues(t, 2, claimsOf(t, next.RefreshToken).Generation)

			w.lag(t)
			tokens, err = here.Refresh(t.Context(), next.RefreshToken, auth.Client{})
			require.NoError(t, err)
			retried, err := there.Refresh(t.Context(), next.RefreshToken, auth.Client{})
			require.NoError(t, err, "round %d: a retry", round)
			require.Equal(t, claimsOf(t, tokens.RefreshToken), claimsOf(t, retried.RefreshToken))
		}
		require.Positive(t, stale, "the other node was never behind: nothing was tested")
		t.Logf("a plain read was stale in %d of 5 rounds", stale)
	})
}

// A logout is heeded likewise, by routes that ask for Live too.
func TestStaleNodeHeedsLogout(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cluster) {
		w := on(t, c)
		w.signUp(t, "ann@example.com")
		w.prepareLag(t)
		here, there := w.at[0], w.at[1]
		stale := 0
		for round := range 5 {
			tokens := here.logIn(t, "ann@example.com")
			session := claimsOf(t, tokens.RefreshToken).Session
			require.Equal(t, 200, there.liveStatus(t.Context(), tokens.AccessToken))
			w.lag(t)
			require.NoError(t, here.Logout(t.Context(), tokens.RefreshToken))
			if there.sees(t, "SELECT 1 FROM refresh_tokens WHERE id = UNHEX(?) AND revoked_at IS NULL", session) {
				stale++
			}
			require.Equal(t, 401, there.liveStatus(t.Context(), tokens.AccessToken), "round %d", round)
			_, err := there.Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
			require.ErrorIs(t, err, auth.ErrSessionEnded, "round %d", round)

			// A node that has not heard of the session yet ends it all the same.
			w.lag(t)
			tokens = here.logIn(t, "ann@example.com")
			require.NoError(t, there.Logout(t.Context(), tokens.RefreshToken))
			_, err = here.Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
			require.ErrorIs(t, err, auth.ErrSessionEnded, "round %d: logged out at a node that was behind", round)
		}
		require.Positive(t, stale, "the other node was never behind: nothing was tested")
		t.Logf("a plain read was stale in %d of 5 rounds", stale)
	})
}

// The same without an artificial lag, many times: a write here, then a verdict there.
func TestNoStaleVerdict(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cluster) {
		w := on(t, c)
		const rounds = 300
		stale := 0
		for round := range rounds {
			here, there := w.at[round%size], w.at[(round+1)%size]
			address := fmt.Sprintf("user%d@example.com", round)
			_, err := here.Signup(t.Context(), auth.SignupInput{Name: "Ann Lee", Email: address, Password: password})
			require.NoError(t, err)
			if !there.sees(t, "SELECT 1 FROM users WHERE email_key = ?", address) {
				stale++
			}
			tokens := there.logIn(t, address)
			next, err := here.Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
			require.NoError(t, err, "round %d: a session that has just begun", round)
			retried, err := there.Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
			require.NoError(t, err, "round %d: a retry", round)
			require.Equal(t, claimsOf(t, next.RefreshToken), claimsOf(t, retried.RefreshToken))
			require.NoError(t, here.Logout(t.Context(), tokens.RefreshToken))
			assert.Equal(t, 401, there.liveStatus(t.Context(), next.AccessToken), "round %d", round)
			_, err = there.Refresh(t.Context(), next.RefreshToken, auth.Client{})
			require.ErrorIs(t, err, auth.ErrSessionEnded, "round %d", round)
		}
		refused, of := w.refused()
		t.Logf("%d rounds, a plain read was stale in %d; %d rotations sent, %d of them refused by the cluster and sent again", rounds, stale, of, refused)
	})
}

// sees says whether a plain read at the node finds a row.
func (in *member) sees(t *testing.T, query string, args ...any) bool {
	t.Helper()
	rows, err := in.db.QueryContext(t.Context(), query, args...)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	found := rows.Next()
	require.NoError(t, rows.Err())
	return found
}

// A user whose version was raised at another node, by the host itself, is no longer the
// one of the session.
func TestStaleNodeHeedsTheUsersVersion(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cluster) {
		w := on(t, c)
		w.signUp(t, "ann@example.com")
		w.prepareLag(t)
		here, there := w.at[0], w.at[1]
		stale := 0
		for round := range 10 {
			tokens := here.logIn(t, "ann@example.com")
			require.Equal(t, 200, there.liveStatus(t.Context(), tokens.AccessToken))
			w.lag(t)
			_, err := here.db.ExecContext(t.Context(), "UPDATE users SET auth_version = auth_version + 1")
			require.NoError(t, err)
			if there.sees(t, "SELECT 1 FROM users WHERE auth_version = ?", round+1) {
				stale++
			}
			_, err = there.Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
			require.ErrorIs(t, err, auth.ErrSessionEnded, "round %d", round)
		}
		require.Positive(t, stale, "the other node was never behind: nothing was tested")
		t.Logf("a plain read was stale in %d of 10 rounds", stale)
	})
}
