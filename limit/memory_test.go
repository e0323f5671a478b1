package limit_test

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/limit"
	"github.com/ostiary/auth/storetest"
)

// clock is a clock that stands still unless it is turned.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock {
	return &clock{now: time.Date(2036, time.May, 4, 3, 2, 1, 0, time.UTC)}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) turn(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// take takes from a memory, which never returns an error.
func take(tb testing.TB, m *limit.Memory, key string, b limit.Bucket, n int) time.Duration {
	tb.Helper()
	wait, err := m.Take(tb.Context(), key, b, n)
	require.NoError(tb, err)
	return wait
}

var _ limit.Limiter = (*limit.Memory)(nil)

func TestMemoryConforms(t *testing.T) {
	storetest.RunLimiter(t, func(testing.TB) storetest.Limiters {
		c := newClock()
		m := limit.NewMemory(c.Now)
		return storetest.Limiters{Open: func() limit.Limiter { return m }, Advance: c.turn}
	})
}

// Exact to the nanosecond, at a clock that stands still.
func TestMemoryExact(t *testing.T) {
	c := newClock()
	m := limit.NewMemory(c.Now)
	b := limit.Bucket{Size: 3, Every: time.Minute}
	for range 3 {
		require.Zero(t, take(t, m, "k", b, 1))
	}
	assert.Equal(t, time.Minute, take(t, m, "k", b, 1))
	assert.Equal(t, time.Minute, take(t, m, "k", b, 0))
	assert.Equal(t, 3*time.Minute, take(t, m, "k", b, 3))
	c.turn(time.Minute - 1)
	assert.Equal(t, time.Duration(1), take(t, m, "k", b, 1))
	c.turn(1)
	require.Zero(t, take(t, m, "k", b, 0))
	require.Zero(t, take(t, m, "k", b, 1))
	assert.Equal(t, time.Minute, take(t, m, "k", b, 1))
	c.turn(150 * time.Second)
	require.Zero(t, take(t, m, "k", b, 2))
	assert.Equal(t, 30*time.Second, take(t, m, "k", b, 1))
	c.turn(1000 * time.Hour)
	require.Zero(t, take(t, m, "k", b, 3), "it is full")
	assert.Equal(t, time.Minute, take(t, m, "k", b, 1), "and no more than full")
}

// Without a clock it takes time's own.
func TestMemoryWithoutAClock(t *testing.T) {
	m := limit.NewMemory(nil)
	b := limit.Bucket{Size: 1, Every: time.Hour}
	require.Zero(t, take(t, m, "k", b, 1))
	assert.InDelta(t, time.Hour, take(t, m, "k", b, 1), float64(time.Minute))
}

// A clock that goes back, or there and back, neither lengthens a wait nor fills a budget.
func TestMemoryClockGoesBack(t *testing.T) {
	c := newClock()
	m := limit.NewMemory(c.Now)
	b := limit.Bucket{Size: 2, Every: time.Minute}
	require.Zero(t, take(t, m, "k", b, 2))
	c.turn(20 * time.Second)
	assert.Equal(t, 40*time.Second, take(t, m, "k", b, 1))
	c.turn(-24 * time.Hour)
	assert.Equal(t, 40*time.Second, take(t, m, "k", b, 1))
	c.turn(10 * time.Second)
	assert.Equal(t, 30*time.Second, take(t, m, "k", b, 1))
	c.turn(-290 * 365 * 24 * time.Hour)
	assert.Equal(t, 30*time.Second, take(t, m, "k", b, 1))
	c.turn(30 * time.Second)
	assert.Zero(t, take(t, m, "k", b, 1))
}

func TestMemoryRefuse(t *testing.T) {
	c := newClock()
	m := limit.NewMemory(c.Now)
	b := limit.Bucket{Size: 3, Every: time.Minute}

	require.Zero(t, take(t, m, "k", b, 1))
	m.Refuse("k", b, 1, 25*time.Second)
	assert.Equal(t, 25*time.Second, take(t, m, "k", b, 1))
	assert.Equal(t, 25*time.Second, take(t, m, "k", b, 0))
	assert.Equal(t, 85*time.Second, take(t, m, "k", b, 2))
	c.turn(25 * time.Second)
	require.Zero(t, take(t, m, "k", b, 1))
	assert.Equal(t, time.Minute, take(t, m, "k", b, 1), "the other count was at its limit")
	c.turn(3 * time.Minute)
	require.Zero(t, take(t, m, "k", b, 3), "it is full again")

	require.Zero(t, take(t, m, "several", b, 2))
	m.Refuse("several", b, 2, 10*time.Second)
	assert.Equal(t, 10*time.Second, take(t, m, "several", b, 2))
	require.Zero(t, take(t, m, "several", b, 1), "the other count held one of two")

	require.Zero(t, take(t, m, "own", b, 2))
	require.Zero(t, take(t, m, "own", b, 1))
	m.Refuse("own", b, 1, 5*time.Second)
	assert.Equal(t, 5*time.Second, take(t, m, "own", b, 1), "what was refused is not counted twice")
}

// Of takes in parallel exactly as many succeed as the budget holds.
//
// ASVS: 15.4.1.
// Advisory: better-auth #9993.
func TestMemoryParallel(t *testing.T) {
	c := newClock()
	m := limit.NewMemory(c.Now)
	b := limit.Bucket{Size: 37, Every: time.Minute}
	var taken atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if wait, err := m.Take(t.Context(), "k", b, 1); wait == 0 && err == nil {
					taken.Add(1)
				}
			}
		})
	}
	wg.Wait()
	assert.Equal(t, int64(37), taken.Load())
}

// A million fresh keys, longer than any that is kept, neither take more than some MiB nor
// have keys at their limit forgotten.
//
// ASVS: 2.4.1.
// Advisory: better-auth #9993.
func TestMemoryFlood(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	long := strings.Repeat("x", 200)
	c := newClock()
	before := heap()
	m := limit.NewMemory(c.Now)
	b := limit.Bucket{Size: 5, Every: time.Minute}
	const others = 60_000
	fresh := func(from, to int) {
		for i := from; i < to; i++ {
			if wait, _ := m.Take(t.Context(), long+strconv.Itoa(i), b, 1); wait != 0 {
				t.Fatalf("fresh key %d has to wait %v", i, wait)
			}
		}
	}
	limited := func(i int) string { return "limited " + strconv.Itoa(i) }
	for i := range 1000 {
		require.Zero(t, take(t, m, limited(i), b, 1))
	}
	fresh(0, others)
	for i := range 1000 {
		require.Zero(t, take(t, m, limited(i), b, 4))
	}
	require.Zero(t, take(t, m, "half", b, 2))
	c.turn(10 * time.Second)
	most := uint64(0)
	for i := others; i < 1_000_000; i += 235_000 {
		fresh(i, i+235_000)
		most = max(most, heap()-before)
	}
	for i := range 1000 {
		require.Equal(t, 50*time.Second, take(t, m, limited(i), b, 1), i)
	}
	assert.Zero(t, take(t, m, "half", b, 3))
	assert.NotZero(t, take(t, m, "half", b, 1), "it owed more than the fresh ones")
	assert.Less(t, most, uint64(10<<20))

	// Those that are full again go first.
	c.turn(time.Minute)
	require.Zero(t, take(t, m, "new", b, 1))
	assert.NotZero(t, take(t, m, limited(7), b, 2))
	assert.NotZero(t, take(t, m, "new", b, 5))
}

// Budgets that are full again are as good as none, and leave no trace.
func TestMemoryGiveBackForgets(t *testing.T) {
	m := limit.NewMemory(newClock().Now)
	b := limit.Bucket{Size: 2, Every: time.Minute}
	for range 3 {
		require.Zero(t, take(t, m, "k", b, 2))
		require.NotZero(t, take(t, m, "k", b, 1))
		require.Zero(t, take(t, m, "k", b, -1))
		require.Zero(t, take(t, m, "k", b, -5))
		require.Zero(t, take(t, m, "other", b, -1))
	}
	require.Zero(t, take(t, m, "other", b, 2))
	require.NotZero(t, take(t, m, "other", b, 1))
}

func BenchmarkMemory(b *testing.B) {
	bucket := limit.Bucket{Size: 5, Every: time.Minute}
	b.Run("one key", func(b *testing.B) {
		m := limit.NewMemory(nil)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				_, _ = m.Take(b.Context(), "someone@example.com", bucket, 1)
			}
		})
	})
	b.Run("fresh keys", func(b *testing.B) {
		m := limit.NewMemory(nil)
		var n atomic.Int64
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				_, _ = m.Take(b.Context(), fmt.Sprint(n.Add(1), "@example.com"), bucket, 1)
			}
		})
	})
}
