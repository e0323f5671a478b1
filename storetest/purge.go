package storetest

import (
	"errors"
	"time"

	"github.com/ostiary/auth"
)

func purgeCases() []testCase {
	return []testCase{
		{"PurgeSessions/Before", purgeBefore},
		{"PurgeSessions/Limit", purgeLimit},
		{"PurgeSessions/Revoked", purgeRevoked},
		{"PurgeSessions/RaceRotate", purgeRaceRotate},
		{"PurgeSessions/Race", purgeRace},
	}
}

// tryPurge purges, limit by limit, until nothing is left, and checks that no call deletes
// more.
func (e *env) tryPurge(before time.Time, limit int) (all count, err error) {
	for range 1000 {
		c, last, err := counted(func() (int, error) { return e.stores.Refresh.PurgeSessions(e.Context(), before, limit) })
		all = sum([]count{all, c})
		switch {
		case err != nil:
			return all, err
		case last < 0 || last > limit:
			return all, errors.New("it said that it deleted more than limit rows, or less than none")
		case last == 0:
			return all, nil
		}
	}
	return all, errors.New("it found rows to delete a thousand times")
}

// purge deletes the rows that expire before that instant, of which there are want.
func (e *env) purge(before time.Time, limit int, want int64) {
	e.Helper()
	c, err := e.tryPurge(before, limit)
	if err != nil {
		e.Fatalf("PurgeSessions(%v, %d), again and again: %v", before, limit, err)
	}
	c.is(e, want, "PurgeSessions, of the rows that it deleted,")
}

// expiring is a session of the user's that expires then.
func (e *env) expiring(u auth.UserRecord, at time.Time) auth.SessionState {
	e.Helper()
	s := session(u.ID)
	s.ExpiresAt = at
	return e.begin(s, u.AuthVersion)
}

func purgeBefore(e *env) {
	users := [2]auth.UserRecord{e.user(), e.user()}
	end, zone := now().Add(5*time.Hour), time.FixedZone("", 9*3600)
	var all []auth.SessionState
	for i, at := range []time.Time{
		end.AddDate(-1, 0, 0), end.Add(-time.Second), end.Add(-time.Microsecond).In(zone),
		end, end.Add(time.Microsecond), end.Add(time.Second), end.AddDate(0, 0, 1),
	} {
		all = append(all, e.expiring(users[i%2], at))
	}
	e.purge(end.AddDate(-1, 0, 0), 10, 0)
	e.purge(end.In(zone), 10, 3)
	for _, st := range all[:3] {
		e.gone(st.ID, "PurgeSessions of what expires before a later instant")
	}
	for _, st := range all[3:] {
		e.unchanged(st, "PurgeSessions of what expires before it does")
	}
	e.purge(end.Add(time.Microsecond), 10, 1)
	e.gone(all[3].ID, "PurgeSessions of what expires before a microsecond later")
	rotation().must(e, all[6])
	e.purge(end.AddDate(1, 0, 0), 10, 3)
	e.gone(all[6].ID, "PurgeSessions of what expires within a year")
}

func purgeLimit(e *env) {
	u := e.user()
	end := now().Add(5 * time.Hour)
	for range 5 {
		e.expiring(u, end)
	}
	live := e.begin(session(u.ID), u.AuthVersion)
	left := int64(5)
	for _, limit := range []int{1, 2} {
		c, _, err := counted(func() (int, error) { return e.stores.Refresh.PurgeSessions(e.Context(), end.Add(time.Hour), limit) })
		if err != nil || c.n < 0 || c.n > int64(limit) || c.n == 0 && !c.lost {
			e.Errorf("PurgeSessions of %d rows, limit %d: %d, error %v; want at most the limit, and 0 only if nothing is left", left, limit, c.n, err)
		}
		if got := int64(len(e.list(u.ID, now(), 10)) - 1); got != left-c.n && !c.lost {
			e.Errorf("%d rows of %d are left after PurgeSessions said that it deleted %d", got, left, c.n)
		}
		left = int64(len(e.list(u.ID, now(), 10)) - 1)
	}
	e.purge(end.Add(time.Hour), 2, left)
	if got := e.list(u.ID, now(), 10); len(got) != 1 {
		e.Errorf("%d sessions are left after PurgeSessions found nothing left; want the one that does not expire before", len(got))
	}
	e.unchanged(live, "PurgeSessions of other rows")
}

// purgeRevoked checks that a revoked session is remembered until it expires: its tokens
// are told by it.
func purgeRevoked(e *env) {
	u := e.user()
	end := now().Add(5 * time.Hour)
	late, soon := e.expiring(u, end.Add(time.Second)), e.expiring(u, end.Add(-time.Second))
	e.revoke(late.ID, u.ID, auth.ReasonReuse)
	e.revoke(soon.ID, u.ID, auth.ReasonReuse)
	late = e.read(late.ID)
	e.purge(end, 10, 1)
	e.unchanged(late, "PurgeSessions of what expires before it does")
	e.gone(soon.ID, "PurgeSessions of what expires before a later instant")
}

// purgeRaceRotate has sessions extended while they are purged, on two instances, and one
// that goes on beside it: whoever was answered true still has its row.
func purgeRaceRotate(e *env) {
	const rows, limit = 24, 3
	k := rotation()
	for range 5 {
		u := e.user()
		end := now().Add(5 * time.Hour)
		var all [rows]auth.SessionState
		var attempts [rows]auth.Rotation
		for i := range all {
			all[i] = e.expiring(u, end)
			attempts[i] = k.of(e, all[i])
			attempts[i].ExpiresAt = end.AddDate(0, 0, 1)
		}
		live := e.begin(session(u.ID), u.AuthVersion)
		next := k.of(e, live)
		var extended [rows]bool
		var going int64
		var counts [2]count
		var errs [4]error
		together(len(errs), func(i int) {
			switch i {
			case 0:
				for j := 0; j < rows && errs[i] == nil; j++ {
					extended[j], errs[i] = k.try(e, attempts[j])
				}
			case 1:
				for r, done := next, true; going < rows && done && errs[i] == nil; {
					r.Generation, r.Attempt = live.Generation+going, auth.AttemptID(randomID())
					if done, errs[i] = k.try(e, r); done {
						going++
					}
				}
			default:
				counts[i-2], errs[i] = e.tryPurge(end.Add(time.Minute), limit)
			}
		})
		if err := errors.Join(errs[:]...); err != nil {
			e.Fatalf("PurgeSessions and RotateSession at once: %v", err)
		}
		if got := e.read(live.ID); going != rows || got.Generation != live.Generation+rows {
			e.Errorf("a session that does not expire was rotated %d times of %d beside PurgeSessions, and is at generation %d", going, rows, got.Generation)
		}
		purged := int64(rows)
		for i, st := range all {
			if !extended[i] {
				e.gone(st.ID, "PurgeSessions, while its rotation was answered false")
				continue
			}
			purged--
			got, err := e.tryRead(st.ID)
			if err != nil || got.Generation != st.Generation+1 || !got.ExpiresAt.Equal(attempts[i].ExpiresAt) {
				e.Errorf("a session that was extended beside PurgeSessions: generation %d until %v, error %v; want %d until %v: only what expires before is deleted",
					got.Generation, got.ExpiresAt, err, st.Generation+1, attempts[i].ExpiresAt)
			}
		}
		sum(counts[:]).is(e, purged, "PurgeSessions on two instances, in sum, beside rotations,")
	}
}

func purgeRace(e *env) {
	const racers = 4
	for range 5 {
		u := e.user()
		end := now().Add(5 * time.Hour)
		var all []auth.SessionState
		for range 20 {
			all = append(all, e.expiring(u, end))
		}
		var counts [racers]count
		var errs [racers]error
		together(racers, func(i int) { counts[i], errs[i] = e.tryPurge(end.Add(time.Minute), 3+i) })
		if err := errors.Join(errs[:]...); err != nil {
			e.Fatalf("%d concurrent PurgeSessions: %v; want nil for all", racers, err)
		}
		sum(counts[:]).is(e, int64(len(all)), "concurrent PurgeSessions, in sum,")
		for _, st := range all {
			e.gone(st.ID, "PurgeSessions")
		}
	}
}
