package storetest

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/ostiary/auth"
)

// accountRaceLogin has logins that checked the user before the change store their sessions
// beside it, again and again, until one is refused. What was stored came before the change,
// so the change has ended it.
func accountRaceLogin(e *env, c change) {
	if e.hostsUsers() {
		return
	}
	const logins, most = 2, 1000
	for range 5 {
		u := e.user()
		first := e.begin(session(u.ID), u.AuthVersion)
		var begun [logins][]auth.Session
		var errs [logins + 1]error
		var ready sync.WaitGroup // each has begun one session
		var ended atomic.Bool    // the change has returned
		ready.Add(logins)
		together(len(errs), func(i int) {
			if i == logins {
				ready.Wait()
				errs[i] = c.try(e, u)
				ended.Store(true)
				return
			}
			for n := 0; n < most && errs[i] == nil && !ended.Load(); n++ {
				s := session(u.ID)
				begun[i] = append(begun[i], s)
				errs[i] = e.create(s, u.AuthVersion)
				if n == 0 {
					ready.Done()
				}
				if n%10 == 0 {
					runtime.Gosched() // to the change, where there is one processor
				}
			}
			if errors.Is(errs[i], auth.ErrUserChanged) {
				errs[i] = nil
			}
		})
		if err := errors.Join(errs[:]...); err != nil {
			e.Fatalf("%s and CreateSession at once: %v; want nil, or ErrUserChanged of CreateSession", c.name, err)
		}
		c.ended(e, first)
		for _, all := range begun {
			for _, s := range all {
				c.ended(e, auth.SessionState{Session: s, AuthVersion: u.AuthVersion, Generation: 1})
			}
		}
		refused(e, session(u.ID), u.AuthVersion, "the user was changed by "+c.name)
	}
}

func accountRaceRotate(e *env, c change) {
	for range 10 {
		st := e.login()
		u := e.userByID(st.UserID)
		rotations := raceRotations(e, c.name, st, func() error { return c.try(e, u) })
		if got, err := e.tryRead(st.ID); err == nil && got.Generation != st.Generation+rotations {
			e.Errorf("Generation is %d after %d rotations that succeeded beside %s; want %d", got.Generation, rotations, c.name, st.Generation+rotations)
		}
		c.ended(e, st)
	}
}

// setDisabledRace has instances enable one user at once: the first does, and no other ends
// a session that began after it.
func setDisabledRace(e *env) {
	const racers = 8
	for range 5 {
		u := setDisabled().must(e, e.user()) // whom the first of the racers enables
		var begun [racers]auth.Session
		var errs [racers]error
		together(racers, func(i int) {
			if errs[i] = setDisabled().try(e, u); errs[i] != nil {
				return
			}
			var after auth.UserRecord
			if after, errs[i] = retried(func() (auth.UserRecord, error) { return e.stores.Users.UserByID(e.Context(), u.ID) }); errs[i] == nil {
				begun[i] = session(u.ID)
				errs[i] = e.create(begun[i], after.AuthVersion)
			}
		})
		if err := errors.Join(errs[:]...); err != nil {
			e.Fatalf("%d concurrent SetDisabled(false), each with a CreateSession after it: %v; want nil for all, a user who is not disabled is left alone", racers, err)
		}
		for _, s := range begun {
			rotation().must(e, e.read(s.ID))
		}
	}
}
