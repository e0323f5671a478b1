package storetest_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/ostiary/auth/limit"
	"github.com/ostiary/auth/storetest"
)

// limiterFaults are what a limiter may do wrong, and cases that must fail for it.
func limiterFaults() map[string][]string {
	return map[string][]string{
		"one more than the size":    {"Take/Size", "Take/Refill", "Take/Race"},
		"refusals take":             {"Take/Several"},
		"refusals wait too long":    {"Take/Size"},
		"takes what there is":       {"Take/Several"},
		"a look takes":              {"Take/Look"},
		"a look says nothing":       {"Take/Look"},
		"gives nothing back":        {"Take/GiveBack", "Take/Look", "Take/Canceled"},
		"gives back to all":         {"Take/GiveBack"},
		"gives back above full":     {"Take/NeverAboveFull"},
		"keys are trimmed":          {"Take/KeysApart"},
		"keys are folded":           {"Take/KeysApart"},
		"keys are cut":              {"Take/KeysApart"},
		"keys are valid UTF-8":      {"Take/KeysApart"},
		"whole seconds":             {"Take/Buckets"},
		"few years":                 {"Take/Buckets"},
		"never refilled":            {"Take/Refill"},
		"refilled at once":          {"Take/Refill"},
		"a clock set back locks":    {"Take/ClockSetBack"},
		"canceled gives not back":   {"Take/Canceled"},
		"canceled, but says a wait": {"Take/Canceled"},
		"looks, then takes":         {"Take/Race"},
		"reads, then gives back":    {"Take/RaceGiveBack"},
	}
}

// limiter is a limiter with a fault.
type limiter struct {
	fault string

	mu     sync.Mutex
	ahead  time.Duration
	fullAt map[string]time.Duration
}

func (l *limiter) has(fault string) bool { return l.fault == fault }

func (l *limiter) keyOf(key string) string {
	switch {
	case l.has("keys are trimmed"):
		return strings.TrimSpace(key)
	case l.has("keys are folded"):
		return strings.ToLower(key)
	case l.has("keys are cut"):
		return key[:min(len(key), 255)]
	case l.has("keys are valid UTF-8"):
		return strings.ToValidUTF8(key, "?")
	}
	return key
}

// race lets another call in between where the fault does.
func (l *limiter) race(fault string) {
	if l.has(fault) {
		l.mu.Unlock()
		time.Sleep(time.Millisecond)
		l.mu.Lock()
	}
}

func (l *limiter) Take(ctx context.Context, key string, b limit.Bucket, n int) (time.Duration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key = l.keyOf(key)
	every, size := b.Every, b.Size
	switch {
	case l.has("one more than the size"):
		size++
	case l.has("whole seconds"):
		every = every.Truncate(time.Second)
	case l.has("few years"):
		every = min(every, 1<<50)
	}
	span := time.Duration(size) * every
	if ctx.Err() != nil {
		switch {
		case n < 0 && l.has("canceled gives not back"):
			return 0, ctx.Err()
		case n > 0 && l.has("canceled, but says a wait"):
			return time.Second, nil
		case n > 0:
			return 0, ctx.Err()
		}
	}
	fullAt, known := l.fullAt[key]
	if !known || !l.has("gives back above full") {
		fullAt = max(fullAt, l.ahead)
	}
	if !l.has("a clock set back locks") {
		fullAt = min(fullAt, l.ahead+span)
	}
	if n < 0 {
		l.giveBack(key, fullAt, time.Duration(-n)*every)
		return 0, nil
	}
	next := fullAt + time.Duration(max(n, 1))*every
	mayPass := n == 0 && l.has("a look says nothing") || n > 1 && fullAt < l.ahead+span && l.has("takes what there is")
	if wait := next - l.ahead - span; wait > 0 && !mayPass {
		l.fullAt[key] = fullAt
		if l.has("refusals take") {
			l.fullAt[key] = next
		}
		if l.has("refusals wait too long") {
			wait += time.Minute
		}
		return wait, nil
	}
	if n == 0 && !l.has("a look takes") {
		return 0, nil
	}
	l.race("looks, then takes")
	l.fullAt[key] = next
	return 0, nil
}

func (l *limiter) giveBack(key string, fullAt, cost time.Duration) {
	switch {
	case l.has("gives nothing back"):
		return
	case l.has("gives back to all"):
		clear(l.fullAt)
		return
	case !l.has("gives back above full"):
		cost = min(cost, fullAt-l.ahead)
	}
	l.race("reads, then gives back")
	l.fullAt[key] = fullAt - cost
}

func (l *limiter) advance(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.has("never refilled"):
		return
	case l.has("refilled at once") && d > 0:
		clear(l.fullAt)
	}
	l.ahead += d
}

func limitersWith(fault string) func(testing.TB) storetest.Limiters {
	return func(testing.TB) storetest.Limiters {
		l := &limiter{fault: fault, ahead: 1 << 40, fullAt: map[string]time.Duration{}}
		return storetest.Limiters{Open: func() limit.Limiter { return l }, Advance: l.advance}
	}
}

// recordLimiter runs the case as record does.
func recordLimiter(tb testing.TB, c storetest.LimiterCase, open func(testing.TB) storetest.Limiters) *recorder {
	tb.Helper()
	return record(tb, storetest.Case{Name: c.Name, Run: func(tb testing.TB, _ storetest.Harness) {
		tb.Helper()
		c.Run(tb, open)
	}}, storetest.Harness{})
}

func TestRunLimiter(t *testing.T) { storetest.RunLimiter(t, limitersWith("")) }

func TestLimiterCasesAreNamed(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range storetest.LimiterCases() {
		assert.False(t, seen[c.Name], "two cases are named %s", c.Name)
		assert.Regexp(t, `^Take/[A-Z][A-Za-z]+$`, c.Name)
		seen[c.Name] = true
	}
}

// TestLimiterFaults plants each fault and runs every case: those named must fail, and no
// case never does.
func TestLimiterFaults(t *testing.T) {
	never := map[string]bool{}
	for _, c := range storetest.LimiterCases() {
		never[c.Name] = true
	}
	for fault, want := range limiterFaults() {
		var failed []string
		for _, c := range storetest.LimiterCases() {
			if r := recordLimiter(t, c, limitersWith(fault)); r.Failed() {
				failed = append(failed, c.Name)
				assert.NotEmpty(t, r.text(), "%s fails without a word", c.Name)
				delete(never, c.Name)
			}
		}
		t.Logf("%s: %s", fault, strings.Join(failed, ", "))
		for _, name := range want {
			assert.True(t, slices.Contains(failed, name), "%s passes with the fault: %s", name, fault)
		}
	}
	assert.Empty(t, never, "no fault fails these")
}

func TestLimitersAreChecked(t *testing.T) {
	c := storetest.LimiterCases()[0]
	whole := limitersWith("")(t)
	for name, l := range map[string]storetest.Limiters{
		"nothing":    {},
		"no Advance": {Open: whole.Open},
		"no Open":    {Advance: whole.Advance},
	} {
		r := recordLimiter(t, c, func(testing.TB) storetest.Limiters { return l })
		assert.True(t, r.Failed(), name)
		assert.Contains(t, r.text(), "must", name)
	}
}
