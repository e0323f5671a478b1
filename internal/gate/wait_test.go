package gate_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/gate"
)

func TestWhoGivesUpFreesItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate.New(1)
		leave := hold(t, g)
		others := fill(t, g, 124, false)
		enter(t, g, gate.Claim{Client: "another"}).busy(t, "full")
		for _, a := range others {
			a.cancel()
			synctest.Wait()
			require.ErrorIs(t, a.err, context.Canceled)
			require.NotErrorIs(t, a.err, gate.ErrBusy)
			require.Nil(t, a.leave)
			again := enter(t, g, gate.Claim{Client: "another"})
			require.True(t, again.waiting())
			again.cancel()
			synctest.Wait()
		}
		assert.Zero(t, g.Remembered())
		leave()
		empty(t, g, 1)
	})
}

func TestWhoGivesUpChangesNoTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate.New(1)
		leave := hold(t, g)
		a0, b0, a1, c0, c1, a2 := enter(t, g, gate.Claim{Client: "a"}), enter(t, g, gate.Claim{Client: "b"}),
			enter(t, g, gate.Claim{Client: "a"}), enter(t, g, gate.Claim{Client: "c"}), enter(t, g, gate.Claim{Client: "c"}),
			enter(t, g, gate.Claim{Client: "a"})
		for _, a := range []*ask{b0, a1, c0} {
			a.cancel()
			synctest.Wait()
			require.ErrorIs(t, a.err, context.Canceled)
		}
		for _, next := range []*ask{a0, c1, a2} {
			leave()
			synctest.Wait()
			require.True(t, next.in())
			leave = next.leave
		}
		leave()
		empty(t, g, 1)
	})
}

func TestEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g := gate.New(1)
	leave, err := g.Enter(ctx, gate.Claim{})
	require.ErrorIs(t, err, context.Canceled)
	assert.Nil(t, leave)
	empty(t, g, 1)
}

func TestDeadlineBeforeTheLongestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate.New(1)
		leave := hold(t, g)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begin := time.Now()
		_, err := g.Enter(ctx, gate.Claim{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, gate.ErrBusy)
		assert.Equal(t, 3*time.Second, time.Since(begin))
		leave()
		empty(t, g, 1)
	})
}

// ASVS: 15.4.3.
func TestTheLongestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate.New(1)
		leave := hold(t, g)
		early := enter(t, g, gate.Claim{Client: "a"})
		time.Sleep(time.Second)
		late := enter(t, g, gate.Claim{Client: "a", Known: true})
		time.Sleep(9*time.Second - 1)
		synctest.Wait()
		require.True(t, early.waiting())
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.ErrorIs(t, early.err, gate.ErrBusy)
		assert.Nil(t, early.leave)
		assert.Equal(t, 10*time.Second, early.after)

		time.Sleep(time.Second - 1)
		leave()
		synctest.Wait()
		require.True(t, late.in(), "in time, if only just")
		time.Sleep(time.Minute)
		synctest.Wait()
		require.True(t, enter(t, g, gate.Claim{}).waiting(), "who is in stays in")
	})
}

func TestTheContextEndsAsRoomIsMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate.New(1)
		for i := range 200 {
			leave := hold(t, g)
			a, next := enter(t, g, gate.Claim{Client: "a"}), enter(t, g, gate.Claim{Client: "b"})
			if i%2 == 0 {
				a.cancel()
				leave()
			} else {
				leave()
				a.cancel()
			}
			synctest.Wait()
			if i%2 == 1 && a.in() { // it was quicker
				a.leave()
				synctest.Wait()
			} else {
				require.ErrorIs(t, a.err, context.Canceled)
				require.Nil(t, a.leave)
			}
			require.True(t, next.in(), "what it leaves goes on to the next")
			next.leave()
			empty(t, g, 1)
		}
	})
}

// ending is a context that ends without waking anybody.
type ending struct {
	context.Context //nolint:containedctx // it is one
	ended           atomic.Bool
}

func (c *ending) Err() error {
	if c.ended.Load() {
		return context.Canceled
	}
	return nil
}

func TestNobodyIsLetInWhoseContextHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate.New(1)
		leave := hold(t, g)
		ctx := &ending{Context: t.Context()}
		answer := make(chan error, 1)
		go func() {
			_, err := g.Enter(ctx, gate.Claim{Client: "a"})
			answer <- err
		}()
		synctest.Wait()
		next := enter(t, g, gate.Claim{Client: "b"})
		ctx.ended.Store(true)
		leave()
		require.ErrorIs(t, <-answer, context.Canceled)
		synctest.Wait()
		require.True(t, next.in())
		next.leave()
		empty(t, g, 1)
	})
}

func TestTheWaitIsOverAsRoomIsMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate.New(1)
		for range 100 {
			leave := hold(t, g)
			a := enter(t, g, gate.Claim{Client: "a"})
			time.Sleep(10 * time.Second)
			leave()
			synctest.Wait()
			require.False(t, a.waiting())
			if a.err == nil {
				a.leave()
			} else {
				require.ErrorIs(t, a.err, gate.ErrBusy)
			}
			empty(t, g, 1)
		}
	})
}
