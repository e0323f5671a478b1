//go:build cluster

package cluster_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// One request after the other, each at the next node: every one gets the next generation.
func TestSessionHops(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cluster) {
		w := on(t, c)
		w.signUp(t, "ann@example.com")
		tokens := w.at[0].logIn(t, "ann@example.com")
		const hops = 300
		for i := range hops {
			in := w.at[(i+1)%size]
			next, err := in.Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
			require.NoError(t, err, "hop %d", i)
			require.Equal(t, claimsOf(t, tokens.RefreshToken).Generation+1, claimsOf(t, next.RefreshToken).Generation)
			tokens = next
		}
		refused, of := w.refused()
		t.Logf("%d hops, %d rotations sent, %d of them refused by the cluster and sent again", hops, of, refused)
	})
}

// Tabs of one session use its token at once, each at a node of its own choice: each gets
// the one successor.
func TestTabsHop(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cluster) {
		w := on(t, c)
		const sessions, tabs, rounds = 8, 3, 60
		var wg sync.WaitGroup
		for s := range sessions {
			address := fmt.Sprintf("user%d@example.com", s)
			w.signUp(t, address)
			wg.Go(func() {
				tokens := w.at[s%size].logIn(t, address)
				for round := range rounds {
					tokens = w.useAtOnce(t, tokens, tabs)
					if t.Failed() {
						t.Logf("session %d, round %d", s, round)
						return
					}
				}
			})
		}
		wg.Wait()
		var changes int64
		require.NoError(t, w.at[0].db.QueryRowContext(t.Context(), "SELECT SUM(generation - 1) FROM refresh_tokens").Scan(&changes))
		assert.EqualValues(t, sessions*rounds, changes)
		refused, of := w.refused()
		t.Logf("%d refreshes, %d rotations sent, %d of them refused by the cluster and sent again", sessions*tabs*rounds, of, refused)
	})
}

// useAtOnce uses a refresh token k times at once, and returns what all of them got.
func (w *world) useAtOnce(t *testing.T, tokens auth.Tokens, k int) auth.Tokens {
	t.Helper()
	got := make([]auth.Tokens, k)
	var wg sync.WaitGroup
	for i := range k {
		in := w.at[rand.N(size)]
		wg.Go(func() {
			var err error
			got[i], err = in.Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
			assert.NoError(t, err)
		})
	}
	wg.Wait()
	if t.Failed() {
		return tokens
	}
	before := claimsOf(t, tokens.RefreshToken)
	for _, g := range got {
		assert.Equal(t, claims{before.Session, before.Generation + 1}, claimsOf(t, g.RefreshToken))
	}
	return got[0]
}
