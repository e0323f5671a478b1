package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ostiary/auth/limit"
)

// Limiters is how the suite gets at the limiters of one case. Both functions must be set.
type Limiters struct {
	// Open returns a limiter on the budgets of the case, which are full at first, as one
	// more process would. Where budgets are one process's alone, it returns the same one
	// each time.
	Open func() limit.Limiter

	// Advance makes d pass for the limiters that Open returns from then on. A negative d is
	// a clock that was set back.
	Advance func(d time.Duration)
}

// LimiterCase is one case of the suite for limiters.
type LimiterCase struct {
	// Name is "Take", a slash, and what is asked of it: "Take/GiveBack". No two cases have
	// the same.
	Name string

	// Run runs the case on limiters of its own, which open returns.
	Run func(tb testing.TB, open func(tb testing.TB) Limiters)
}

// RunLimiter runs every case of the suite for a [limit.Limiter] as a subtest of t.
// What open returns must be closed afterwards by tb.Cleanup.
func RunLimiter(t *testing.T, open func(tb testing.TB) Limiters) {
	t.Helper()
	for _, c := range LimiterCases() {
		t.Run(c.Name, func(t *testing.T) { c.Run(t, open) })
	}
}

// LimiterCases returns the cases of RunLimiter, in its order. They take from budgets that
// an hour refills by one, and allow for half a minute of real time.
func LimiterCases() []LimiterCase {
	all := []struct {
		name string
		run  func(e *limiterEnv)
	}{
		{"Take/Size", takeSize},
		{"Take/Several", takeSeveral},
		{"Take/Look", takeLook},
		{"Take/GiveBack", takeGiveBack},
		{"Take/NeverAboveFull", takeNeverAboveFull},
		{"Take/KeysApart", takeKeysApart},
		{"Take/Buckets", takeBuckets},
		{"Take/Refill", takeRefill},
		{"Take/ClockSetBack", takeClockSetBack},
		{"Take/Canceled", takeCanceled},
		{"Take/Race", takeRace},
		{"Take/RaceGiveBack", takeRaceGiveBack},
	}
	cases := make([]LimiterCase, 0, len(all))
	for _, c := range all {
		cases = append(cases, LimiterCase{Name: c.name, Run: func(tb testing.TB, open func(tb testing.TB) Limiters) {
			tb.Helper()
			l := open(tb)
			if l.Open == nil || l.Advance == nil {
				tb.Fatal("storetest: Limiters.Open and Limiters.Advance must be set")
			}
			c.run(&limiterEnv{TB: tb, limiters: l})
		}})
	}
	return cases
}

// limiterEnv is what one case works with.
type limiterEnv struct {
	testing.TB

	limiters Limiters
}

// hourly is a budget of size, which an hour refills by one.
func hourly(size int) limit.Bucket { return limit.Bucket{Size: size, Every: time.Hour} }

// take takes n, which must succeed.
func (e *limiterEnv) take(l limit.Limiter, key string, b limit.Bucket, n int, why string) {
	e.Helper()
	if wait, err := l.Take(e.Context(), key, b, n); wait != 0 || err != nil {
		e.Fatalf("Take of %d from %+v: wait %v, error %v; want none: %s", n, b, wait, err, why)
	}
}

// over takes n, which must fail for want, or less by what real time has passed.
func (e *limiterEnv) over(l limit.Limiter, key string, b limit.Bucket, n int, want time.Duration, why string) {
	e.Helper()
	if wait, err := l.Take(e.Context(), key, b, n); wait > want || wait <= want-realTime || err != nil {
		e.Fatalf("Take of %d from %+v: wait %v, error %v; want a wait of %v: %s", n, b, wait, err, want, why)
	}
}

// holds says that the budget holds exactly n, and takes them. A limiter that knows nothing
// yet is asked for more, so that no process's own count hides the others'. The limiter
// must not have refused the key before, since it may remember that.
func (e *limiterEnv) holds(l limit.Limiter, key string, b limit.Bucket, n int, why string) {
	e.Helper()
	for range n {
		e.take(l, key, b, 1, why)
	}
	for _, l := range []limit.Limiter{e.limiters.Open(), l} {
		if wait, err := l.Take(e.Context(), key, b, 1); wait <= 0 || err != nil {
			e.Fatalf("Take of one more than %d from %+v: wait %v, error %v; want a wait: %s", n, b, wait, err, why)
		}
	}
}

func takeSize(e *limiterEnv) {
	for _, size := range []int{1, 2, 7} {
		key, b := fmt.Sprintf("key of %d", size), hourly(size)
		first, second := e.limiters.Open(), e.limiters.Open()
		for i := range size {
			e.take([]limit.Limiter{first, second}[i%2], key, b, 1, "the budget holds it")
		}
		for range 3 {
			for _, l := range []limit.Limiter{first, second, e.limiters.Open()} {
				e.over(l, key, b, 1, b.Every, "all are taken, and a refusal takes nothing")
			}
		}
	}
}

func takeSeveral(e *limiterEnv) {
	b := hourly(5)
	l := e.limiters.Open()
	e.over(l, "a", b, 6, b.Every, "the budget never holds as many")
	e.take(l, "a", b, 5, "the budget holds them")
	e.over(l, "a", b, 5, 5*b.Every, "five are missing")

	e.take(l, "b", b, 3, "the budget holds them")
	e.over(e.limiters.Open(), "b", b, 4, 2*b.Every, "two are missing")
	e.over(e.limiters.Open(), "b", b, 3, b.Every, "one is missing")
	l = e.limiters.Open()
	e.take(l, "b", b, 2, "two are left")
	e.over(l, "b", b, 1, b.Every, "none is left")
}

func takeLook(e *limiterEnv) {
	b := hourly(2)
	l := e.limiters.Open()
	for range 3 {
		e.take(l, "a", b, 0, "the budget is full, and a look takes nothing")
	}
	e.take(l, "a", b, 1, "a look has taken nothing")
	e.take(l, "a", b, 0, "one is left")
	e.holds(l, "a", b, 1, "a look has taken nothing")
	e.over(l, "a", b, 0, b.Every, "none is left")
	e.take(l, "a", b, -1, "what is given back is accepted")
	e.take(l, "a", b, 0, "one was given back")
	e.take(l, "b", b, 0, "that was another budget")
}

func takeGiveBack(e *limiterEnv) {
	b := hourly(4)
	first, second := e.limiters.Open(), e.limiters.Open()
	e.take(first, "a", b, 4, "the budget holds them")
	e.take(first, "a", b, -1, "what is given back is accepted")
	e.take(first, "b", b, 4, "that was another budget")
	e.holds(first, "a", b, 1, "one was given back")
	e.take(first, "a", b, -3, "what is given back is accepted")
	e.holds(second, "a", b, 3, "three were given back")
	e.over(e.limiters.Open(), "b", b, 1, b.Every, "nothing was given back to this one")
}

func takeNeverAboveFull(e *limiterEnv) {
	b := hourly(3)
	for key, taken := range map[string]int{"a": 0, "b": 2, "c": 3} {
		l := e.limiters.Open()
		if taken > 0 {
			e.take(l, key, b, taken, "the budget holds them")
		}
		for range 4 {
			e.take(l, key, b, -2, "what is given back is accepted")
		}
		e.holds(l, key, b, 3, "more was given back than makes the budget full")
	}
}

func takeKeysApart(e *limiterEnv) {
	long := make([]byte, 1024)
	for i := range long {
		long[i] = byte(i)
	}
	more := append([]byte(nil), long...)
	more[len(more)-1]++
	keys := []string{
		"", " ", "a", "A", "a ", "\u00e4", "a\u0308", "\u00df", "ss", "\x00", "\x00\x00", "\xff", "\xfe", "a\x00", "%", "_", "'", "\\", "\U0001F600", "\U0001F601",
		string(long), string(long[1:]), string(more),
	}
	b := hourly(1)
	l := e.limiters.Open()
	for _, key := range keys {
		e.take(l, key, b, 1, "each key has a budget of its own")
	}
	for _, key := range keys {
		e.over(e.limiters.Open(), key, b, 1, b.Every, "each key is kept as it is")
	}
}

func takeBuckets(e *limiterEnv) {
	l := e.limiters.Open()
	fast := limit.Bucket{Size: 1 << 30, Every: time.Microsecond}
	e.take(l, "fast", fast, fast.Size, "the budget holds them")
	e.over(l, "fast", fast, 1<<29, 1<<29*time.Microsecond, "all are taken")
	slow := limit.Bucket{Size: 2, Every: 50 * 365 * 24 * time.Hour}
	e.take(l, "slow", slow, 2, "the budget holds them")
	e.over(l, "slow", slow, 1, slow.Every, "all are taken")
}

func takeRefill(e *limiterEnv) {
	b := hourly(3)
	e.take(e.limiters.Open(), "a", b, 3, "the budget holds them")
	e.limiters.Advance(30 * time.Minute)
	e.over(e.limiters.Open(), "a", b, 1, 30*time.Minute, "the half of an hour has passed")
	e.limiters.Advance(30 * time.Minute)
	e.holds(e.limiters.Open(), "a", b, 1, "an hour has passed")
	e.limiters.Advance(2 * time.Hour)
	e.holds(e.limiters.Open(), "a", b, 2, "two hours have passed")
	e.limiters.Advance(30 * time.Hour)
	e.holds(e.limiters.Open(), "a", b, 3, "more time has passed than makes the budget full")
}

func takeClockSetBack(e *limiterEnv) {
	b := hourly(3)
	e.take(e.limiters.Open(), "a", b, 3, "the budget holds them")
	e.take(e.limiters.Open(), "b", b, 1, "the budget holds it")
	e.limiters.Advance(-1000 * time.Hour)
	for _, key := range []string{"a", "b"} {
		if wait, err := e.limiters.Open().Take(e.Context(), key, b, 1); wait > b.Every || err != nil {
			e.Errorf("Take after a clock was set back: wait %v, error %v; want no more than for an empty budget, %v", wait, err, b.Every)
		}
	}
	e.limiters.Advance(time.Hour)
	e.take(e.limiters.Open(), "a", b, 1, "an hour has passed since")
}

func takeCanceled(e *limiterEnv) {
	b := hourly(2)
	ctx, cancel := context.WithCancel(e.Context())
	cancel()
	l := e.limiters.Open()
	e.take(l, "a", b, 2, "the budget holds them")
	if wait, err := l.Take(ctx, "a", b, -2); wait != 0 || err != nil {
		e.Errorf("Take of -2 with a canceled context: wait %v, error %v; want none", wait, err)
	}
	if wait, err := l.Take(ctx, "a", b, 0); wait != 0 || err != nil {
		e.Errorf("Take of 0 with a canceled context: wait %v, error %v; want none", wait, err)
	}
	e.holds(e.limiters.Open(), "a", b, 2, "what is given back is given back although the context has ended")

	wait, err := l.Take(ctx, "b", b, 1)
	if wait != 0 {
		e.Errorf("Take with a canceled context: wait %v, error %v; want that it is taken, or an error", wait, err)
	}
	if l = e.limiters.Open(); err == nil {
		e.holds(l, "b", b, 1, "one was taken although the context had ended")
	}
}
