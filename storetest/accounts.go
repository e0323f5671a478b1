package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ostiary/auth"
)

// accountCases are the cases for Stores.Accounts. Without it they are skipped.
func accountCases() []testCase {
	var all []testCase
	for _, c := range changes() {
		for _, each := range []struct {
			name string
			run  func(e *env, c change)
		}{
			{"EndsSessions", accountEndsSessions},
			{"OtherUsers", accountOtherUsers},
			{"Unknown", accountUnknown},
			{"RaceLogin", accountRaceLogin},
			{"RaceRotate", accountRaceRotate},
		} {
			all = append(all, testCase{c.name + "/" + each.name, func(e *env) {
				e.Helper()
				each.run(e, c)
			}})
		}
	}
	all = append(all, []testCase{
		{"SetDisabled/ReadBack", setDisabledReadBack},
		{"SetDisabled/Repeated", setDisabledRepeated},
		{"SetDisabled/Race", setDisabledRace},
		{"SetPassword/ReadBack", setPasswordReadBack},
		{"SetPassword/Race", setPasswordRace},
		{"SetPassword/RaceUpdatePassword", setPasswordRaceUpdate},
		{"DeleteUser/ReadBack", deleteUserReadBack},
		{"DeleteUser/Race", deleteUserRace},
	}...)
	for i, c := range all {
		all[i].run = func(e *env) {
			e.Helper()
			if e.stores.Accounts == nil {
				e.Skip("storetest: left out, since Stores.Accounts is not set")
			}
			c.run(e)
		}
	}
	return all
}

// accountEndsSessions makes each change twice of one user, but for the deletion: to
// disable a user ends sessions, and so does to enable them.
func accountEndsSessions(e *env, c change) {
	u := e.user()
	for range 2 {
		own := e.sessions(u, 3)
		own[1] = rotateAll(e, own[1], 2, 0)
		e.revoke(own[2].ID, u.ID, auth.ReasonReuse)
		e.advance(time.Hour)
		own, u = e.reread(own), e.userByID(u.ID)
		after := c.must(e, u)
		for _, st := range own[:2] {
			c.ended(e, st)
		}
		if got, err := e.tryRead(own[2].ID); err == nil && (!got.RevokedAt.Equal(own[2].RevokedAt) || got.Reason != own[2].Reason) {
			e.Errorf("a session that was revoked at %v, reason %q, before %s has RevokedAt %v, reason %q", own[2].RevokedAt, own[2].Reason, c.name, got.RevokedAt, got.Reason)
		}
		if left := e.list(u.ID, now(), 10); len(left) != 0 {
			e.Errorf("SessionsByUser after %s returned %d sessions; want none", c.name, len(left))
		}
		if e.stores.SharedUsers {
			refused(e, session(u.ID), u.AuthVersion, "the user was changed by "+c.name)
		}
		if c.deletes() {
			return
		}
		if after.AuthVersion <= u.AuthVersion {
			e.Errorf("AuthVersion is %d after %s and was %d; want it raised", after.AuthVersion, c.name, u.AuthVersion)
		}
		fresh := e.begin(session(u.ID), after.AuthVersion)
		if fresh.UserCurrent != e.stores.SharedUsers {
			e.Errorf("UserCurrent is %v for a session begun after %s", fresh.UserCurrent, c.name)
		}
		rotation().must(e, fresh)
		u = after
	}
}

func accountOtherUsers(e *env, c change) {
	first, u, last := e.user(), e.user(), e.user()
	others := []auth.SessionState{e.begin(session(first.ID), first.AuthVersion), e.begin(session(last.ID), last.AuthVersion)}
	e.begin(session(u.ID), u.AuthVersion)
	c.must(e, u)
	for _, other := range []auth.UserRecord{first, last} {
		if d := userDifference(other, e.userByID(other.ID)); d != "" {
			e.Errorf("%s of one user changed another: %s", c.name, d)
		}
	}
	for _, st := range others {
		e.unchanged(st, c.name+" of another user")
		rotation().must(e, st)
	}
}

func accountUnknown(e *env, c change) {
	u, gone := e.user(), e.user()
	deleteUser().must(e, gone)
	st := e.begin(session(u.ID), u.AuthVersion)
	for _, id := range append(lookAlikes(u.ID), gone.ID) {
		unknown := u
		unknown.ID = id
		_, err := retried(func() (struct{}, error) {
			return struct{}{}, c.call(e.stores.Accounts, e.Context(), unknown)
		})
		if !errors.Is(err, auth.ErrUserNotFound) {
			e.Errorf("%s of user %q, whom there is not: error %v; want ErrUserNotFound", c.name, id, err)
		}
	}
	if d := userDifference(u, e.userByID(u.ID)); d != "" {
		e.Errorf("%s of users that are not there changed user %q: %s", c.name, u.ID, d)
	}
	e.unchanged(st, c.name+" of users that are not there")
}

// wantRecord checks what both reads say of the user, AuthVersion aside, which must have
// been raised.
func wantRecord(e *env, want auth.UserRecord, after string) auth.UserRecord {
	e.Helper()
	byID := e.userByID(want.ID)
	byEmail, err := e.userByEmail(want.EmailKey)
	if err != nil {
		e.Fatalf("UserByEmail after %s: %v", after, err)
	}
	if byID.AuthVersion <= want.AuthVersion {
		e.Errorf("AuthVersion is %d after %s and was %d; want it raised", byID.AuthVersion, after, want.AuthVersion)
	}
	want.AuthVersion = byID.AuthVersion
	if d := userDifference(want, byID); d != "" {
		e.Errorf("UserByID after %s: %s", after, d)
	}
	if d := userDifference(want, byEmail); d != "" {
		e.Errorf("UserByEmail after %s: %s", after, d)
	}
	return byID
}

func setDisabledReadBack(e *env) {
	u := e.user()
	if u.Disabled {
		e.Error("a new user is Disabled")
	}
	for range 2 {
		setDisabled().must(e, u)
		u.Disabled = !u.Disabled
		u = wantRecord(e, u, fmt.Sprintf("SetDisabled(%v)", u.Disabled))
	}
}

// setDisabledRepeated has a user made what they are: the sessions of one who is not
// disabled go on.
func setDisabledRepeated(e *env) {
	u := e.user()
	enable, disable := u, u
	enable.Disabled = true // SetDisabled to what the record is not
	st := e.begin(session(u.ID), u.AuthVersion)
	setDisabled().must(e, enable)
	if d := userDifference(u, e.userByID(u.ID)); d != "" {
		e.Errorf("SetDisabled(false) of a user who was not: %s; want them left alone", d)
	}
	e.unchanged(st, "SetDisabled(false) of a user who was not")
	rotation().must(e, st)

	u = setDisabled().must(e, u)
	st = e.begin(session(u.ID), u.AuthVersion)
	setDisabled().must(e, disable)
	setDisabled().ended(e, st)
}

// setPasswordReadBack has a user who is disabled, and stays so.
func setPasswordReadBack(e *env) {
	u := setDisabled().must(e, e.user())
	for _, hash := range []string{"$2a$13$new", "$2a$13$new", strings.Repeat("xY/", 85), "", "$2a$13$short"} {
		u.PasswordHash = hash
		setPassword().must(e, u)
		u = wantRecord(e, u, fmt.Sprintf("SetPassword(%.20q), of %d bytes", hash, len(hash)))
	}
}

// deleteUserReadBack gives the key to a new user, who has nothing of the old one.
func deleteUserReadBack(e *env) {
	n := e.newUser()
	u := e.signUp(n)
	st := e.begin(session(u.ID), u.AuthVersion)
	deleteUser().must(e, u)
	for range 2 {
		if _, err := e.stores.Users.UserByID(e.Context(), u.ID); !errors.Is(err, auth.ErrUserNotFound) {
			e.Errorf("UserByID of a deleted user: error %v; want ErrUserNotFound", err)
		}
		deleteUser().ended(e, st)
		if swapped, _ := e.stores.Users.UpdatePassword(e.Context(), u.ID, n.PasswordHash, "late"); swapped {
			e.Error("UpdatePassword of a deleted user: swapped true; want false")
		}
		if _, err := e.userByEmail(n.EmailKey); !errors.Is(err, auth.ErrUserNotFound) {
			e.Errorf("UserByEmail of a deleted user: error %v; want ErrUserNotFound", err)
		}
		heir := e.signUp(n)
		if heir.ID == u.ID {
			e.Errorf("CreateUser gave the ID %q of a deleted user again; want one that never named another user", u.ID)
		}
		if left := e.list(heir.ID, now(), 10); len(left) != 0 {
			e.Errorf("SessionsByUser of a new user returned %d sessions; want none", len(left))
		}
		deleteUser().must(e, heir)
	}
}

func setPasswordRace(e *env) {
	const racers = 8
	for round := range 5 {
		u := e.user()
		all := e.sessions(u, 2)
		var hashes [racers]string
		var errs [racers]error
		together(racers, func(i int) {
			mine := u
			hashes[i] = fmt.Sprintf("$2a$13$round-%d-racer-%d", round, i)
			mine.PasswordHash = hashes[i]
			errs[i] = setPassword().try(e, mine)
		})
		if err := errors.Join(errs[:]...); err != nil {
			e.Fatalf("%d concurrent SetPassword: %v; want nil for all", racers, err)
		}
		got := e.userByID(u.ID)
		if !slices.Contains(hashes[:], got.PasswordHash) {
			e.Errorf("the hash is %q after concurrent SetPassword; want one of theirs", got.PasswordHash)
		}
		if got.AuthVersion < u.AuthVersion+racers {
			e.Errorf("AuthVersion is %d after %d concurrent SetPassword and was %d; want each to raise it", got.AuthVersion, racers, u.AuthVersion)
		}
		for _, st := range all {
			setPassword().ended(e, st)
		}
	}
}

// setPasswordRaceUpdate has a login's rehash of the old password beside the new one: in
// whichever order they come, the old one is gone.
func setPasswordRaceUpdate(e *env) {
	for round := range 20 {
		u := e.user()
		changed := u
		changed.PasswordHash = "$2a$13$new"
		var errs [2]error
		together(2, func(i int) {
			if (i+round)%2 == 0 { // neither is always the first to start
				errs[0] = setPassword().try(e, changed)
				return
			}
			_, errs[1] = retried(func() (bool, error) {
				return e.stores.Users.UpdatePassword(e.Context(), u.ID, u.PasswordHash, "$2a$13$old")
			})
		})
		if err := errors.Join(errs[:]...); err != nil {
			e.Fatalf("SetPassword and UpdatePassword at once: %v", err)
		}
		if got := e.userByID(u.ID).PasswordHash; got != changed.PasswordHash {
			e.Errorf("the hash is %q after SetPassword(%q) beside UpdatePassword from the old one", got, changed.PasswordHash)
		}
	}
}

func deleteUserRace(e *env) {
	const racers = 8
	for range 5 {
		u := e.user()
		all := e.sessions(u, 2)
		var errs, unavailable [racers]error
		together(racers, func(i int) {
			_, errs[i] = retried(func() (struct{}, error) {
				err := e.stores.Accounts.DeleteUser(e.Context(), u.ID)
				if errors.Is(err, auth.ErrUnavailable) {
					unavailable[i] = err
				}
				return struct{}{}, err
			})
		})
		won := 0
		for _, err := range errs {
			switch {
			case err == nil:
				won++
			case !errors.Is(err, auth.ErrUserNotFound):
				e.Errorf("DeleteUser racing with others: %v; want nil or ErrUserNotFound", err)
			}
		}
		lost := errors.Join(unavailable[:]...) != nil
		if won > 1 || won == 0 && !lost {
			e.Errorf("%d of %d concurrent DeleteUser of one user returned nil; want exactly one", won, racers)
		}
		for _, st := range all {
			deleteUser().ended(e, st)
		}
	}
}
