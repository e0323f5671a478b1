package storetest

import (
	"errors"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ostiary/auth"
)

func readCases() []testCase {
	return []testCase{
		{"ReadSession/Unknown", func(e *env) { readUnknown(e, "ReadSession", e.tryRead) }},
		{"SessionByID/Unknown", func(e *env) { readUnknown(e, "SessionByID", e.tryFind) }},
		{"ReadSession/Clock", readClock},
		{"ReadSession/Copy", readCopy},
		{"ReadSession/Acknowledged", func(e *env) {
			readAcknowledged(e, "ReadSession", func(st auth.SessionState) (auth.SessionState, error) { return e.tryRead(st.ID) })
		}},
		{"SessionByID/Acknowledged", func(e *env) {
			readAcknowledged(e, "SessionByID", func(st auth.SessionState) (auth.SessionState, error) { return e.tryFind(st.ID) })
		}},
	}
}

func readUnknown(e *env, name string, read func(auth.SessionID) (auth.SessionState, error)) {
	e.Helper()
	st := e.login()
	ids := []auth.SessionID{{}, auth.SessionID(randomID())}
	for i := range st.ID {
		id := st.ID
		id[i] ^= 0x20
		ids = append(ids, id)
	}
	for _, id := range ids {
		if _, err := read(id); !errors.Is(err, auth.ErrSessionNotFound) {
			e.Errorf("%s(%v): error %v; want ErrSessionNotFound: the only session is %v", name, id, err, st.ID)
		}
	}
}

// readClock checks that every instant of the store's own is by one clock.
func readClock(e *env) {
	st := e.login()
	e.aged("CreatedAt", st.CreatedAt, st, 0)
	e.advance(time.Hour)
	st = rotation().must(e, e.read(st.ID))
	e.remembers(st, 1, "one rotation")
	e.aged("CreatedAt of a session of an hour ago", st.CreatedAt, st, time.Hour)
	e.aged("Retired[0] of a rotation just now", st.Retired[0], st, 0)
	e.advance(time.Hour)
	e.revoke(st.ID, st.UserID, auth.ReasonReuse)
	st = e.read(st.ID)
	e.remembers(st, 1, "one rotation")
	e.aged("CreatedAt of a session of two hours ago", st.CreatedAt, st, 2*time.Hour)
	e.aged("Retired[0] of a rotation an hour ago", st.Retired[0], st, time.Hour)
	e.aged("RevokedAt of a revocation just now", st.RevokedAt, st, 0)
	e.advance(time.Hour)
	st = e.read(st.ID)
	e.aged("RevokedAt of a revocation an hour ago", st.RevokedAt, st, time.Hour)
}

// readCopy checks that what was returned is the caller's own.
func readCopy(e *env) {
	st := rotateAll(e, e.login(), 2, 0)
	e.remembers(st, 2, "two rotations")
	st.Retired = slices.Clone(st.Retired)
	mine := e.read(st.ID)
	e.remembers(mine, 2, "two rotations")
	mine.Retired[0], mine.Retired[1] = now(), now()
	e.unchanged(st, "writing to a slice that ReadSession returned")
	e.remembers(rotation().must(e, st), 3, "three rotations")
}

// readAcknowledged has readers beside a writer: a read that began after a rotation was
// acknowledged must see it.
func readAcknowledged(e *env, name string, read func(auth.SessionState) (auth.SessionState, error)) {
	e.Helper()
	const readers, rotations = 3, 50
	st := e.login()
	next := rotation().of(e, st)
	var acknowledged atomic.Int64
	var done atomic.Bool
	var stale, seen [readers]int64
	var errs [readers + 1]error
	acknowledged.Store(st.Generation)
	together(readers+1, func(i int) {
		if i == readers {
			defer done.Store(true)
			for g := range int64(rotations) {
				r := next
				r.Generation, r.Attempt = st.Generation+g, auth.AttemptID(randomID())
				won, err := rotation().try(e, r)
				if err != nil || !won {
					errs[i] = errors.Join(err, errors.New("a rotation did not succeed"))
					return
				}
				acknowledged.Store(r.Generation + 1)
			}
			return
		}
		for last := false; !last && errs[i] == nil && stale[i] == 0; {
			last = done.Load()
			least := acknowledged.Load()
			var got auth.SessionState
			if got, errs[i] = read(st); errs[i] == nil && got.Generation < least {
				stale[i], seen[i] = least, got.Generation
			}
			runtime.Gosched() // to the writer, where there is one processor
		}
	})
	if err := errors.Join(errs[:]...); err != nil {
		e.Fatalf("%s beside rotations: %v", name, err)
	}
	for i := range readers {
		if stale[i] != 0 {
			e.Errorf("%s returned generation %d after the rotation to %d was acknowledged; want every write that was acknowledged before the read began", name, seen[i], stale[i])
		}
	}
}
