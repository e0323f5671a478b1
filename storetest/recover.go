package storetest

import (
	"errors"
	"math"
	"time"

	"github.com/ostiary/auth"
)

func recoverCases() []testCase {
	return []testCase{
		{"RecoverSession/Generation", recoverGeneration},
		{"RecoverSession/Retired", recoverRetired},
		{"RecoverSession/Window", recoverWindow},
		{"RecoverSession/RaceRotate", recoverRaceRotate},
	}
}

func recoverGeneration(e *env) {
	k := recovery()
	st := rotateAll(e, e.login(), 2, 0)
	for _, generation := range []int64{st.Generation, st.Generation - 1, 0, -1, math.MinInt64} {
		r := k.of(e, st)
		r.Generation = generation
		k.refuses(e, st, r, "the row's generation is not less than the presented one")
	}
	for _, ahead := range []int64{1, 1000} {
		r := k.of(e, st)
		r.Generation = st.Generation + ahead
		if !k.do(e, r) {
			e.Fatalf("RecoverSession of a row %d behind the presented generation: false; want true", ahead)
		}
		if st = e.read(st.ID); st.Generation != r.Generation+1 {
			e.Errorf("Generation is %d after RecoverSession; want %d, the presented one and one more", st.Generation, r.Generation+1)
		}
	}
	rotation().must(e, st)
}

func recoverRetired(e *env) {
	for _, rotations := range []int{0, 3, auth.RetiredKept} {
		st := rotateAll(e, e.login(), rotations, 0)
		e.advance(time.Hour)
		st = recovery().must(e, e.read(st.ID))
		e.remembers(st, auth.RetiredKept, "RecoverSession")
		e.aged("Retired[0] after RecoverSession", st.Retired[0], st, 0)
		for i, at := range st.Retired[1:] {
			if !at.Equal(time.Unix(0, 0)) {
				e.Errorf("Retired[%d] is %v after RecoverSession; want the Unix epoch: when that generation retired is lost", i+1, at)
			}
		}
	}
}

func recoverWindow(e *env) {
	st := rotateAll(e, e.login(), auth.RetiredKept, 0)
	r := recovery().of(e, st)
	r.Window = time.Hour
	if !recovery().do(e, r) {
		e.Fatal("RecoverSession of a row whose Window is exhausted: false; want true, Window does not matter to it")
	}
	st = rotateAll(e, e.read(st.ID), auth.RetiredKept-1, time.Hour)
	exhausted(e, st, time.Hour)
}

func recoverRaceRotate(e *env) {
	for round := range 20 {
		st := e.login()
		attempts := [2]auth.Rotation{rotation().of(e, st), recovery().of(e, st)}
		kinds := [2]kind{rotation(), recovery()}
		var done [2]bool
		var errs [2]error
		together(2, func(i int) {
			i = (i + round) % 2 // neither is always the first to start
			done[i], errs[i] = kinds[i].try(e, attempts[i])
		})
		if err := errors.Join(errs[:]...); err != nil {
			e.Fatalf("RotateSession and RecoverSession at once: %v", err)
		}
		got := e.read(st.ID)
		if want := attempts[1].Generation + 1; !done[1] || got.Generation != want || got.RotatedBy != attempts[1].Attempt {
			e.Errorf("RecoverSession beside a rotation of a lesser generation: %v, and the row is at generation %d; want true and %d, in whichever order they came",
				done[1], got.Generation, want)
		}
	}
}
