package auth_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// What is deleted expired more than an hour ago, whether it was revoked or not.
//
// ASVS: 14.2.7.
func TestPurgeSessions(t *testing.T) {
	hours := func(c *auth.Config) { c.Tokens.IdleTTL = 2 * time.Hour }
	everywhere(t, func(t *testing.T, w *world) {
		w.freeze()
		w.signUp(t, ann)
		var old []auth.SessionID
		for range 3 {
			old = append(old, w.logIn(t, ann).SessionID)
		}
		revoked := w.logIn(t, ann)
		require.NoError(t, w.Logout(t.Context(), revoked.RefreshToken))
		extended := w.logIn(t, ann)
		w.advance(time.Second)
		late := w.logIn(t, ann) // expires a second later
		w.advance(time.Hour)
		extended = w.refresh(t, extended.RefreshToken)
		w.advance(2 * time.Hour) // extended, too, has expired this instant

		n, err := w.PurgeSessions(t.Context(), 2)
		require.NoError(t, err)
		assert.EqualValues(t, 4, n)
		for _, id := range append(old, revoked.SessionID) {
			_, err := w.stores.Refresh.ReadSession(t.Context(), id)
			require.ErrorIs(t, err, auth.ErrSessionNotFound)
		}
		w.state(t, late.SessionID)
		w.state(t, extended.SessionID)
		n, err = w.PurgeSessions(t.Context(), 0)
		require.NoError(t, err)
		assert.Zero(t, n, "no row expired an hour ago to the second")
		w.advance(time.Second)
		n, err = w.PurgeSessions(t.Context(), 1000)
		require.NoError(t, err)
		assert.EqualValues(t, 1, n)
		w.state(t, extended.SessionID)
		require.ErrorIs(t, w.refreshError(t, extended.RefreshToken), auth.ErrSessionEnded)
	}, hours)
}

// purger notes how it is asked to purge, and answers from a list.
type purger struct {
	auth.RefreshStore // nil: no other method is called

	before  []time.Time
	limits  []int
	results []int // and then 0
	err     error // of every later call
}

func (p *purger) PurgeSessions(ctx context.Context, before time.Time, limit int) (int, error) {
	p.before, p.limits = append(p.before, before), append(p.limits, limit)
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("%w: %w", auth.ErrUnavailable, err)
	}
	if i := len(p.limits) - 1; i < len(p.results) {
		return p.results[i], nil
	}
	return 0, p.err
}

func TestPurgeSessionsInBatches(t *testing.T) {
	purge := func(t *testing.T, ctx context.Context, p *purger, batch int) (int64, error) {
		t.Helper()
		w := onMemory(t)
		w.stores.Refresh = p
		n, err := w.another(t).PurgeSessions(ctx, batch)
		for _, before := range p.before {
			assert.Equal(t, w.clock.Now().Truncate(time.Second).Add(-time.Hour), before)
		}
		return n, err
	}
	for batch, limit := range map[int]int{0: 1000, -1: 1000, 1: 1, 17: 17, 1000: 1000, 1001: 1000} {
		p := &purger{results: []int{limit, 1, limit}} // an instance beside it may have deleted most of a batch
		n, err := purge(t, t.Context(), p, batch)
		require.NoError(t, err)
		assert.EqualValues(t, 2*limit+1, n)
		assert.Equal(t, []int{limit, limit, limit, limit}, p.limits)
	}
	p := &purger{results: []int{5, 5}, err: errFault}
	n, err := purge(t, t.Context(), p, 5)
	require.ErrorIs(t, err, errFault)
	assert.EqualValues(t, 10, n, "what was deleted is told beside the error")
	p = &purger{results: []int{5}, err: errBusy}
	n, err = purge(t, t.Context(), p, 5)
	require.ErrorIs(t, err, auth.ErrUnavailable)
	assert.EqualValues(t, 5, n)
	assert.Len(t, p.limits, 1+3, "a batch that fails is tried three times")
	n, err = purge(t, canceled(t), &purger{results: []int{5, 5, 5}}, 5)
	require.ErrorIs(t, err, context.Canceled)
	assert.Zero(t, n)
}
