package storetest

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/ostiary/auth/limit"
)

// tryTake takes one. A limiter that is busy may refuse what the budget holds.
func (e *limiterEnv) tryTake(l limit.Limiter, key string, b limit.Bucket) (bool, error) {
	wait, err := l.Take(e.Context(), key, b, 1)
	if err == nil && (wait < 0 || wait > b.Every) {
		err = errors.New("a wait of " + wait.String())
	}
	return wait == 0 && err == nil, err
}

// takeRace has three limiters take from one budget at once, more often than it holds.
func takeRace(e *limiterEnv) {
	const racers, limiters, each = 24, 3, 4
	for i, size := range []int{1, 5, 40} {
		key, b := string(rune('a'+i)), hourly(size)
		all := make([]limit.Limiter, limiters)
		for i := range all {
			all[i] = e.limiters.Open()
		}
		var taken atomic.Int64
		var errs [racers]error
		together(racers, func(i int) {
			for j := 0; j < each && errs[i] == nil; j++ {
				var ok bool
				if ok, errs[i] = e.tryTake(all[i%limiters], key, b); ok {
					taken.Add(1)
				}
			}
		})
		if err := errors.Join(errs[:]...); err != nil {
			e.Fatalf("%d Takes at once: %v; want nil for all", racers*each, err)
		}
		n := int(taken.Load())
		if n > size {
			e.Fatalf("%d of %d Takes at once from a budget of %d succeeded", n, racers*each, size)
		}
		e.holds(e.limiters.Open(), key, b, size-n, "what racing Takes did not take is left")
	}
}

// takeRaceGiveBack has what is taken given back at once, time and again.
func takeRaceGiveBack(e *limiterEnv) {
	for _, key := range []string{"a", "b", "c", "d", "e"} {
		e.raceGiveBack(key)
	}
}

func (e *limiterEnv) raceGiveBack(key string) {
	e.Helper()
	const racers, limiters, each, size = 12, 2, 10, 4
	b := hourly(size)
	all := [limiters]limit.Limiter{e.limiters.Open(), e.limiters.Open()}
	var held, most atomic.Int64
	var errs [racers]error
	together(racers, func(i int) {
		l := all[i%limiters]
		for j := 0; j < each && errs[i] == nil; j++ {
			var ok bool
			if ok, errs[i] = e.tryTake(l, key, b); !ok {
				time.Sleep(time.Millisecond)
				continue
			}
			for n := held.Add(1); ; {
				if old := most.Load(); n <= old || most.CompareAndSwap(old, n) {
					break
				}
			}
			held.Add(-1)
			_, errs[i] = l.Take(e.Context(), key, b, -1)
		}
	})
	if err := errors.Join(errs[:]...); err != nil {
		e.Fatalf("Takes of 1 and of -1 at once: %v; want nil for all", err)
	}
	if most.Load() > size {
		e.Errorf("%d were taken at once of a budget of %d", most.Load(), size)
	}
	e.holds(e.limiters.Open(), key, b, size, "all was given back")
}
