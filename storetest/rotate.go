package storetest

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/ostiary/auth"
)

func rotateCases() []testCase {
	return []testCase{
		{"RotateSession/Generation", rotateGeneration},
		{"RotateSession/Retired", rotateRetired},
		{"RotateSession/Window", rotateWindow},
		{"RotateSession/WindowEighth", rotateWindowEighth},
		{"RotateSession/WindowZero", rotateWindowZero},
		{"RotateSession/WindowFuture", rotateWindowFuture},
		{"RotateSession/RaceRevoke", rotateRaceRevoke},
	}
}

func rotateGeneration(e *env) {
	k := rotation()
	st := e.login()
	for range 3 {
		for _, generation := range []int64{0, -1, st.Generation - 1, st.Generation + 1, st.Generation + 2, st.Generation + 256, math.MinInt64, math.MaxInt64} {
			r := k.of(e, st)
			r.Generation = generation
			k.refuses(e, st, r, "the presented generation is not the row's")
		}
		st = k.must(e, st)
	}
	if st.Generation != 4 {
		e.Errorf("Generation is %d after three rotations; want 4", st.Generation)
	}
}

func rotateRetired(e *env) {
	st := e.login()
	for n := 1; n <= auth.RetiredKept+3; n++ {
		st = rotation().must(e, st)
		e.remembers(st, min(n, auth.RetiredKept), fmt.Sprintf("%d rotations", n))
		for i, at := range st.Retired {
			e.aged("Retired, newest first, at the index of its age in minutes,", at, st, time.Duration(i)*time.Minute)
		}
		e.advance(time.Minute)
	}
}

// rotateAll rotates the session n times with this window and returns the row.
func rotateAll(e *env, st auth.SessionState, n int, window time.Duration) auth.SessionState {
	e.Helper()
	for i := range n {
		r := rotation().of(e, st)
		r.Window = window
		if !rotation().do(e, r) {
			e.Fatalf("rotation %d of %d within Window %v: false; want true, at most RetiredKept may fall into it", i+1, n, window)
		}
		st = e.read(st.ID)
	}
	return st
}

func exhausted(e *env, st auth.SessionState, window time.Duration) {
	e.Helper()
	r := rotation().of(e, st)
	r.Window = window
	rotation().refuses(e, st, r, "Window "+window.String()+" is exhausted: the eighth retirement lies no further back")
}

func rotateWindow(e *env) {
	st := rotateAll(e, e.login(), auth.RetiredKept, time.Hour)
	exhausted(e, st, time.Hour)
	e.advance(58 * time.Minute)
	exhausted(e, e.read(st.ID), time.Hour)
	e.advance(3 * time.Minute)
	st = rotateAll(e, e.read(st.ID), auth.RetiredKept, time.Hour)
	exhausted(e, st, time.Hour)
}

func rotateWindowEighth(e *env) {
	st := e.login()
	for range auth.RetiredKept {
		st = rotation().must(e, st)
		e.advance(10 * time.Minute)
	}
	st = e.read(st.ID)
	exhausted(e, st, 85*time.Minute)
	rotateAll(e, st, 1, 75*time.Minute)
}

func rotateWindowZero(e *env) {
	st := rotateAll(e, e.login(), 2*auth.RetiredKept, 0)
	exhausted(e, st, time.Hour)
}

func rotateWindowFuture(e *env) {
	st := rotateAll(e, e.login(), auth.RetiredKept, 0)
	e.advance(-time.Hour)
	st = e.read(st.ID)
	exhausted(e, st, time.Minute)
	st = rotateAll(e, st, 1, 0)
	e.remembers(st, auth.RetiredKept, "nine rotations")
	e.aged("Retired[0] after the clock was set back", st.Retired[0], st, 0)
}

func rotateRaceRevoke(e *env) {
	for range 20 {
		st := e.login()
		rotations := raceRotations(e, "RevokeSession", st, func() error { return e.tryRevoke(st.ID, st.UserID, auth.ReasonLogout) })
		revokedBeside(e, "RevokeSession", st, rotations, auth.ReasonLogout)
	}
}

// raceRotations rotates the session again and again while end runs, and returns how often
// that succeeded.
func raceRotations(e *env, name string, st auth.SessionState, end func() error) (rotations int64) {
	e.Helper()
	k := rotation()
	next := k.of(e, st)
	var errs [2]error
	begun := make(chan struct{}) // one rotation is over
	var ended atomic.Bool        // end has returned
	together(2, func(i int) {
		if i == 1 {
			<-begun
			errs[1] = end()
			ended.Store(true)
			return
		}
		for rotations < 1000 && !ended.Load() {
			r := next
			r.Generation, r.Attempt = st.Generation+rotations, auth.AttemptID(randomID())
			var done bool
			done, errs[0] = k.try(e, r)
			if rotations == 0 {
				close(begun)
			}
			if errs[0] != nil || !done {
				return
			}
			if rotations++; rotations%10 == 0 {
				runtime.Gosched() // to end, where there is one processor
			}
		}
	})
	if err := errors.Join(errs[:]...); err != nil {
		e.Fatalf("RotateSession and %s at once: %v", name, err)
	}
	return rotations
}

// revokedBeside checks the row of a session that was revoked while it was rotated.
func revokedBeside(e *env, name string, st auth.SessionState, rotations int64, reason string) {
	e.Helper()
	got := e.read(st.ID)
	if got.RevokedAt.IsZero() || got.Reason != reason {
		e.Errorf("the session is not revoked (at %v, reason %q) after %s that raced with rotations; want it revoked for good, reason %q", got.RevokedAt, got.Reason, name, reason)
	}
	if got.Generation != st.Generation+rotations {
		e.Errorf("Generation is %d after %d rotations that succeeded beside %s; want %d", got.Generation, rotations, name, st.Generation+rotations)
	}
	k := rotation()
	k.refuses(e, got, k.of(e, got), "the session was revoked while rotations were under way")
}
