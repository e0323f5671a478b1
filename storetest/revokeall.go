package storetest

import (
	"errors"
	"time"

	"github.com/ostiary/auth"
)

func revokeAllCases() []testCase {
	return []testCase{
		{"RevokeAllSessions/Before", revokeAllBefore},
		{"RevokeAllSessions/FirstStays", revokeAllFirstStays},
		{"RevokeAllSessions/Many", revokeAllMany},
		{"RevokeAllSessions/RaceRotate", revokeAllRaceRotate},
		{"RevokeAllSessions/Race", revokeAllRace},
	}
}

// count is what a call that may have been repeated said it did, all its tries together.
type count struct {
	n    int64
	lost bool // a try failed, so that n may be too small
}

// counted calls f as retried does.
func counted[N int | int64](f func() (N, error)) (c count, last N, err error) {
	last, err = retried(func() (N, error) {
		n, err := f()
		c.n += int64(n)
		c.lost = c.lost || err != nil
		return n, err
	})
	return c, last, err
}

// is reports a count that is not want, or is more than want where some may be lost.
func (c count) is(e *env, want int64, what string) {
	e.Helper()
	if c.n > want || c.n < want && !c.lost {
		e.Errorf("%s said %d; want %d", what, c.n, want)
	}
}

func (e *env) tryRevokeAll(before time.Time, reason string) (count, error) {
	c, _, err := counted(func() (int64, error) { return e.stores.Refresh.RevokeAllSessions(e.Context(), before, reason) })
	return c, err
}

// revokeAll revokes everybody's sessions of before that instant, of which there are want.
func (e *env) revokeAll(before time.Time, reason string, want int64) {
	e.Helper()
	c, err := e.tryRevokeAll(before, reason)
	if err != nil {
		e.Fatalf("RevokeAllSessions(%v, %q): %v", before, reason, err)
	}
	c.is(e, want, "RevokeAllSessions, of the sessions that it revoked,")
}

// revokeAllBefore has sessions of two users, made ten minutes apart.
func revokeAllBefore(e *env) {
	users := [2]auth.UserRecord{e.user(), e.user()}
	var all []auth.SessionState
	for i := range 5 {
		e.advance(10 * time.Minute)
		u := users[i%2]
		s := session(u.ID)
		s.AuthenticatedAt = now().Add(-time.Duration(i) * time.Minute) // the oldest proof is not the oldest session's
		all = append(all, e.begin(s, u.AuthVersion))
	}
	all = e.reread(all)
	e.revokeAll(all[0].CreatedAt, auth.ReasonAll, 0)
	e.unchanged(all[0], "RevokeAllSessions of those that were created before it")

	e.revokeAll(all[2].CreatedAt.In(time.FixedZone("", 9*3600)), auth.ReasonAll, 2)
	for _, st := range all[:2] {
		e.revokedSince(st, auth.ReasonAll, "RevokeAllSessions of those created before a later session")
		st = e.read(st.ID)
		rotation().refuses(e, st, rotation().of(e, st), "RevokeAllSessions revoked the session")
	}
	for _, st := range all[2:] {
		e.unchanged(st, "RevokeAllSessions of those that were created before it, or before an older one")
	}
	e.revokeAll(all[2].CreatedAt.Add(time.Microsecond), auth.ReasonAll, 1)
	e.revokedSince(all[2], auth.ReasonAll, "RevokeAllSessions of those created before a microsecond later")
	rotation().must(e, all[3])
	rotation().must(e, all[4])
}

func revokeAllFirstStays(e *env) {
	u := e.user()
	all := append(e.sessions(u, 3), e.login())
	e.revoke(all[0].ID, u.ID, auth.ReasonReuse)
	e.advance(time.Hour)
	all = e.reread(all)
	e.revokeAll(all[0].ReadAt.Add(time.Hour), auth.ReasonAll, 3)
	e.unchanged(all[0], "RevokeAllSessions after RevokeSession")
	for _, st := range all[1:] {
		e.revokedSince(st, auth.ReasonAll, "RevokeAllSessions")
	}
	e.advance(time.Hour)
	all = e.reread(all)
	for _, reason := range reasons() {
		e.revokeAll(all[0].ReadAt.Add(time.Hour), reason, 0)
		for _, st := range all {
			e.unchanged(st, "another RevokeAllSessions, reason "+reason)
		}
	}
	rotation().must(e, e.begin(session(u.ID), u.AuthVersion)) // everybody may log in again
}

// revokeAllMany has more sessions than a store is likely to take in one step.
func revokeAllMany(e *env) {
	const callers, each = 10, 110
	u := e.user()
	var sessions [callers * each]auth.Session
	var errs [callers]error
	together(callers, func(i int) {
		for j := i * each; j < (i+1)*each && errs[i] == nil; j++ {
			sessions[j] = session(u.ID)
			errs[i] = e.create(sessions[j], u.AuthVersion)
		}
	})
	if err := errors.Join(errs[:]...); err != nil {
		e.Fatalf("CreateSession of %d sessions, %d at a time: %v", len(sessions), callers, err)
	}
	first := e.read(sessions[0].ID)
	e.revokeAll(first.ReadAt.Add(time.Hour), auth.ReasonAll, int64(len(sessions)))
	if left := e.list(u.ID, now(), len(sessions)); len(left) != 0 {
		e.Errorf("SessionsByUser returned %d sessions after RevokeAllSessions of %d; want none", len(left), len(sessions))
	}
	e.revokeAll(first.ReadAt.Add(time.Hour), auth.ReasonAll, 0)
}

func revokeAllRaceRotate(e *env) {
	for range 10 {
		st := e.login()
		rotations := raceRotations(e, "RevokeAllSessions", st, func() error {
			_, err := e.tryRevokeAll(st.ReadAt.Add(time.Hour), auth.ReasonAll)
			return err
		})
		revokedBeside(e, "RevokeAllSessions", st, rotations, auth.ReasonAll)
	}
}

// revokeAllRace has the host's instances revoke all at once: each session counts once.
func revokeAllRace(e *env) {
	const racers = 4
	for range 5 {
		all := e.sessions(e.user(), 20)
		before := all[0].ReadAt.Add(time.Hour)
		var counts [racers]count
		var errs [racers]error
		together(racers, func(i int) { counts[i], errs[i] = e.tryRevokeAll(before, reasons()[i]) })
		if err := errors.Join(errs[:]...); err != nil {
			e.Fatalf("%d concurrent RevokeAllSessions: %v; want nil for all", racers, err)
		}
		sum(counts[:]).is(e, int64(len(all)), "concurrent RevokeAllSessions, in sum,")
		for _, st := range all {
			if e.read(st.ID).RevokedAt.IsZero() {
				e.Error("a session is not revoked after concurrent RevokeAllSessions")
			}
		}
	}
}

func sum(counts []count) (all count) {
	for _, c := range counts {
		all.n += c.n
		all.lost = all.lost || c.lost
	}
	return all
}
