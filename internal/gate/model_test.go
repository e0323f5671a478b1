package gate_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/gate"
)

// model says what a gate has to do, by going through all who ever asked.
type model struct {
	running int
	asks    []*modelled
	turn    map[string]int // of clients that have somebody waiting; the lowest is next
	turns   int
	known   map[string]bool // of the same: whether a known device was the first to wait
	last    bool            // whether a known device's turn was the last
}

type modelled struct {
	*ask
	claim gate.Claim
	state string // "waits", "in", "busy", "canceled", "left"
	since time.Time
}

func (m *model) count(state string, which func(*modelled) bool) (n int) {
	for _, a := range m.asks {
		if a.state == state && which(a) {
			n++
		}
	}
	return n
}

func (m *model) enter(a *modelled) {
	everybody := func(*modelled) bool { return true }
	ofClient := func(o *modelled) bool { return o.claim.Client == a.claim.Client }
	places := 124
	if a.claim.Known {
		places = 128
	}
	waiting, own := m.count("waits", everybody), m.count("waits", ofClient)
	switch {
	case m.count("in", everybody) < m.running:
		a.state = "in"
	case waiting >= places || own >= 32:
		a.state = "busy"
	default:
		a.state = "waits"
		if own == 0 {
			m.turns++
			m.turn[a.claim.Client] = m.turns
			m.known[a.claim.Client] = a.claim.Known
		}
	}
	m.asks = append(m.asks, a)
}

func (m *model) leave(a *modelled) {
	a.state = "left"
	var next *modelled
	for _, o := range m.asks {
		if o.state != "waits" {
			continue
		}
		known := m.known[o.claim.Client]
		switch {
		case next == nil,
			known != m.known[next.claim.Client] && known != m.last,
			known == m.known[next.claim.Client] && m.turn[o.claim.Client] < m.turn[next.claim.Client]:
			next = o
		}
	}
	if next != nil {
		next.state = "in"
		m.last = m.known[next.claim.Client]
		m.turns++
		m.turn[next.claim.Client] = m.turns
	}
}

func (m *model) sleep(now time.Time) {
	for _, a := range m.asks {
		if a.state == "waits" && now.Sub(a.since) >= 10*time.Second {
			a.state = "busy"
		}
	}
}

func (m *model) check(t *testing.T) {
	t.Helper()
	for i, a := range m.asks {
		switch a.state {
		case "waits":
			require.True(t, a.waiting(), "%d waits", i)
		case "in", "left":
			require.True(t, a.in(), "%d is in", i)
		case "busy":
			require.ErrorIs(t, a.err, gate.ErrBusy, "%d", i)
		case "canceled":
			require.ErrorIs(t, a.err, context.Canceled, "%d", i)
		}
	}
}

func (m *model) pick(r *rand.Rand, state string) *modelled {
	var all []*modelled
	for _, a := range m.asks {
		if a.state == state {
			all = append(all, a)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[r.IntN(len(all))]
}

func TestAnyOrderOfCallsIsAsInTheModel(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, seed))
			m := &model{running: 1 + r.IntN(3), turn: map[string]int{}, known: map[string]bool{}}
			g := gate.New(m.running)
			clients, asking := 1+r.IntN(12), 5+r.IntN(4) // of 10 steps
			for range 400 {
				switch step := r.IntN(10); {
				case step < asking:
					c := gate.Claim{Client: string(rune('a' + r.IntN(clients))), Known: r.IntN(4) == 0}
					a := &modelled{claim: c, since: time.Now()}
					m.enter(a)
					a.ask = enter(t, g, c)
				case step < 8:
					if a := m.pick(r, "in"); a != nil {
						a.leave()
						m.leave(a)
					}
				case step == 8:
					if a := m.pick(r, "waits"); a != nil {
						a.cancel()
						a.state = "canceled"
					}
				default:
					time.Sleep(time.Duration(r.IntN(300)) * time.Millisecond)
					synctest.Wait()
					m.sleep(time.Now())
				}
				synctest.Wait()
				m.check(t)
			}
			for a := m.pick(r, "in"); a != nil; a = m.pick(r, "in") {
				a.leave()
				m.leave(a)
				synctest.Wait()
				m.check(t)
			}
			empty(t, g, m.running)
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// ASVS: 15.2.2.
func TestStorm(t *testing.T) {
	const running, callers, rounds = 3, 128, 200
	g := gate.New(running)
	var in, most, entered, refused, ended atomic.Int64
	work := func(leave func()) {
		n := in.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			continue
		}
		entered.Add(1)
		for range rand.IntN(300) {
			in.Load()
		}
		in.Add(-1)
		go leave()
		leave()
	}
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			c := gate.Claim{Client: string(rune('a' + i%3)), Known: i%16 == 0}
			for range rounds {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(400))*time.Microsecond)
				leave, err := g.Enter(ctx, c)
				switch {
				case err == nil:
					work(leave)
				case errors.Is(err, gate.ErrBusy):
					refused.Add(1)
				case assert.ErrorIs(t, err, context.DeadlineExceeded):
					ended.Add(1)
				}
				cancel()
				if leave, ok := g.TryEnter(); ok {
					work(leave)
				}
			}
		})
	}
	wg.Wait()
	assert.LessOrEqual(t, most.Load(), int64(running))
	assert.Positive(t, entered.Load())
	t.Logf("%d came in, %d were refused, %d gave up", entered.Load(), refused.Load(), ended.Load())
	require.Eventually(t, func() bool { return in.Load() == 0 && g.Remembered() == 0 }, time.Second, time.Millisecond)
	empty(t, g, running)
}

func BenchmarkEnter(b *testing.B) {
	b.Run("free", func(b *testing.B) {
		g := gate.New(1)
		b.ReportAllocs()
		for b.Loop() {
			leave, err := g.Enter(b.Context(), gate.Claim{Client: "a"})
			if err != nil {
				b.Fatal(err)
			}
			leave()
		}
	})
	b.Run("queued", func(b *testing.B) {
		g := gate.New(1)
		var n atomic.Int64
		b.ReportAllocs()
		b.SetParallelism(60)
		b.RunParallel(func(pb *testing.PB) {
			c := gate.Claim{Client: string(rune('a' + n.Add(1)))}
			for pb.Next() {
				leave, err := g.Enter(b.Context(), c)
				if err != nil {
					b.Error(err)
					return
				}
				leave()
			}
		})
	})
	b.Run("refused", func(b *testing.B) {
		g := gate.New(1)
		leave, err := g.Enter(b.Context(), gate.Claim{})
		if err != nil {
			b.Fatal(err)
		}
		defer leave()
		ctx, cancel := context.WithCancel(b.Context())
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() { _, _ = g.Enter(ctx, gate.Claim{Client: "a"}) })
		}
		for g.Remembered() == 0 {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(10 * time.Millisecond)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := g.Enter(ctx, gate.Claim{Client: "a"}); err == nil {
				b.Fatal("let in")
			}
		}
		cancel()
		wg.Wait()
	})
}
