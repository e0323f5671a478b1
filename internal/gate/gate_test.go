package gate_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/gate"
)

// ask is one call of Enter, made in a goroutine of its own.
type ask struct {
	cancel context.CancelFunc
	done   chan struct{} // closed once there is an answer

	// The answer.
	leave func()
	err   error
	after time.Duration
}

// enter calls Enter, and returns when it has answered or waits.
func enter(t *testing.T, g *gate.Gate, c gate.Claim) *ask {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	a := &ask{cancel: cancel, done: make(chan struct{})}
	begin := time.Now()
	go func() {
		a.leave, a.err = g.Enter(ctx, c)
		a.after = time.Since(begin)
		close(a.done)
	}()
	synctest.Wait()
	return a
}

func (a *ask) in() bool { return !a.waiting() && a.err == nil }

func (a *ask) waiting() bool {
	select {
	case <-a.done:
		return false
	default:
		return true
	}
}

// busy wants the call to have been refused, at once.
func (a *ask) busy(t *testing.T, why string) {
	t.Helper()
	require.False(t, a.waiting(), why)
	require.ErrorIs(t, a.err, gate.ErrBusy, why)
	assert.Nil(t, a.leave, why)
	assert.Zero(t, a.after, why)
}

// fill lets n wait, each of a client of its own.
func fill(t *testing.T, g *gate.Gate, n int, known bool) []*ask {
	t.Helper()
	asks := make([]*ask, n)
	for i := range asks {
		asks[i] = enter(t, g, gate.Claim{Client: fmt.Sprintf("filler %v %d", known, i), Known: known})
		require.True(t, asks[i].waiting(), "filler %d", i)
	}
	return asks
}

// empty wants nobody in, nobody waiting, nothing remembered and room for exactly running.
func empty(t *testing.T, g *gate.Gate, running int) {
	t.Helper()
	assert.Zero(t, g.Remembered())
	var leaves []func()
	for leave, ok := g.TryEnter(); ok; leave, ok = g.TryEnter() {
		leaves = append(leaves, leave)
	}
	assert.Len(t, leaves, running)
	for _, leave := range leaves {
		leave()
	}
}

// hold takes the only room of a gate.
func hold(t *testing.T, g *gate.Gate) (leave func()) {
	t.Helper()
	leave, err := g.Enter(t.Context(), gate.Claim{})
	require.NoError(t, err)
	return leave
}

func TestAsManyAsSaidAreIn(t *testing.T) {
	for running, want := range map[int]int{-1: 1, 0: 1, 1: 1, 2: 2, 7: 7} {
		synctest.Test(t, func(t *testing.T) {
			g := gate.New(running)
			asks := make([]*ask, want)
			for i := range asks {
				asks[i] = enter(t, g, gate.Claim{Client: "a"})
				require.True(t, asks[i].in(), "New(%d), number %d", running, i)
			}
			next := enter(t, g, gate.Claim{Client: "b", Known: true})
			require.True(t, next.waiting(), "New(%d): no room is kept for a known device", running)

			asks[0].leave()
			synctest.Wait()
			require.True(t, next.in())
			for _, a := range append(asks[1:], next) {
				a.leave()
			}
			empty(t, g, want)
		})
	}
}

func TestLeaveCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate.New(1)
		leave := hold(t, g)
		first, second := enter(t, g, gate.Claim{Client: "a"}), enter(t, g, gate.Claim{Client: "a"})
		leave()
		leave()
		synctest.Wait()
		assert.True(t, first.in())
		assert.True(t, second.waiting())

		first.leave()
		first.leave()
		synctest.Wait()
		require.True(t, second.in())
		second.leave()
		second.leave()
		empty(t, g, 1)

		leave, ok := g.TryEnter()
		require.True(t, ok)
		leave()
		leave()
		empty(t, g, 1)
	})
}

// ASVS: 2.4.1, 15.2.2, 15.4.4.
func TestClientsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate.New(1)
		leave := hold(t, g)
		var order []string
		join := func(c gate.Claim, name string) {
			go func() {
				leave, err := g.Enter(t.Context(), c)
				assert.NoError(t, err)
				order = append(order, name)
				leave()
			}()
			synctest.Wait()
		}
		for i := range 32 {
			join(gate.Claim{Client: "a"}, fmt.Sprint("a", i))
		}
		join(gate.Claim{Client: "b"}, "b0")
		join(gate.Claim{}, "nameless 0")
		join(gate.Claim{}, "nameless 1")
		join(gate.Claim{Client: "b"}, "b1")
		join(gate.Claim{Client: "d", Known: true}, "device")

		leave()
		synctest.Wait()
		want := []string{"device", "a0", "b0", "nameless 0", "a1", "b1", "nameless 1"}
		for i := 2; i < 32; i++ {
			want = append(want, fmt.Sprint("a", i))
		}
		assert.Equal(t, want, order)
		empty(t, g, 1)
	})
}

func TestWhoComesLaterComesAfterTheClientLastServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate.New(1)
		leave := hold(t, g)
		a0, a1, a2 := enter(t, g, gate.Claim{Client: "a"}), enter(t, g, gate.Claim{Client: "a"}), enter(t, g, gate.Claim{Client: "a"})
		b0 := enter(t, g, gate.Claim{Client: "b"})
		leave()
		synctest.Wait()
		require.True(t, a0.in())
		c0 := enter(t, g, gate.Claim{Client: "c"})
		for i, next := range []*ask{b0, a1, c0, a2} {
			[]*ask{a0, b0, a1, c0}[i].leave()
			synctest.Wait()
			require.True(t, next.in(), "%d", i)
		}
	})
}

// ASVS: 15.4.4.
func TestShareOfOneClient(t *testing.T) {
	for _, c := range []gate.Claim{{Client: "a"}, {Client: "a", Known: true}, {}} {
		synctest.Test(t, func(t *testing.T) {
			g := gate.New(1)
			leave := hold(t, g)
			for i := range 32 {
				require.True(t, enter(t, g, c).waiting(), "%d", i)
			}
			enter(t, g, c).busy(t, "33 of one client")
			enter(t, g, gate.Claim{Client: c.Client, Known: !c.Known}).busy(t, "33 of one client, some of a known device")
			require.True(t, enter(t, g, gate.Claim{Client: "another"}).waiting())

			leave()
			synctest.Wait()
			require.True(t, enter(t, g, c).waiting(), "one of them is in")
			enter(t, g, c).busy(t, "33 wait again")
		})
	}
}

// ASVS: 15.4.4.
func TestKeptPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate.New(2)
		leaves := []func(){hold(t, g), hold(t, g)}
		others := fill(t, g, 124, false)
		enter(t, g, gate.Claim{Client: "another"}).busy(t, "the rest is kept")
		devices := fill(t, g, 4, true)
		enter(t, g, gate.Claim{Client: "device", Known: true}).busy(t, "all places are taken")
		enter(t, g, gate.Claim{Client: "another"}).busy(t, "all places are taken")

		for i, next := range []*ask{devices[0], others[0], devices[1], others[1], devices[2], others[2], devices[3], others[3], others[4]} {
			leaves[i]()
			synctest.Wait()
			require.True(t, next.in(), "%d: known devices and others take turns", i)
			leaves = append(leaves, next.leave)
		}
		require.True(t, others[5].waiting())
		fill(t, g, 9, true)
		enter(t, g, gate.Claim{Client: "device", Known: true}).busy(t, "all places are taken")
		enter(t, g, gate.Claim{Client: "another"}).busy(t, "all places are taken")
	})
}

// With one room and a hash every 241 ms, 41 clients are served in 10 seconds.
func TestAFloodOfClientsKeepsNoKnownDeviceOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate.New(1)
		const hash = 241 * time.Millisecond
		ctx, cancel := context.WithCancel(t.Context())
		var flood sync.WaitGroup
		for i := range 130 {
			flood.Go(func() {
				for ctx.Err() == nil {
					leave, err := g.Enter(ctx, gate.Claim{Client: fmt.Sprint(i)})
					if err == nil {
						time.Sleep(hash)
						leave()
					} else {
						time.Sleep(100 * time.Millisecond)
					}
				}
			})
		}
		for range 30 {
			time.Sleep(1300 * time.Millisecond)
			begin := time.Now()
			leave, err := g.Enter(ctx, gate.Claim{Client: "device", Known: true})
			require.NoError(t, err)
			assert.LessOrEqual(t, time.Since(begin), 2*hash)
			time.Sleep(hash)
			leave()
		}
		cancel()
		flood.Wait()
		empty(t, g, 1)
	})
}

func TestKnownDevicesMayTakeTheWholeQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate.New(1)
		leave := hold(t, g)
		devices := fill(t, g, 128, true)
		enter(t, g, gate.Claim{Client: "device", Known: true}).busy(t, "all places are taken")
		for _, a := range devices[:5] {
			enter(t, g, gate.Claim{Client: "another"}).busy(t, "more than 123 wait")
			leave()
			synctest.Wait()
			leave = a.leave
		}
		require.True(t, enter(t, g, gate.Claim{Client: "another"}).waiting(), "123 waited")
		enter(t, g, gate.Claim{Client: "one more"}).busy(t, "124 wait")
	})
}

func TestTryEnter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate.New(2)
		first, ok := g.TryEnter()
		require.True(t, ok)
		second, ok := g.TryEnter()
		require.True(t, ok)
		leave, ok := g.TryEnter()
		require.False(t, ok)
		assert.Nil(t, leave)

		a := enter(t, g, gate.Claim{Client: "a"})
		require.True(t, a.waiting(), "TryEnter takes room like Enter")
		first()
		_, ok = g.TryEnter()
		require.False(t, ok, "it overtakes nobody, not even one that is not awake yet")
		synctest.Wait()
		require.True(t, a.in())
		second()
		leave, ok = g.TryEnter()
		require.True(t, ok)
		leave()
		a.leave()
		empty(t, g, 2)
	})
}
