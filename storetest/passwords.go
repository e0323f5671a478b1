package storetest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ostiary/auth"
)

func passwordCases() []testCase {
	return []testCase{
		{"UpdatePassword/Swapped", updatePasswordSwapped},
		{"UpdatePassword/NotOld", updatePasswordNotOld},
		{"UpdatePassword/Unknown", updatePasswordUnknown},
		{"UpdatePassword/Race", updatePasswordRace},
	}
}

func updatePasswordSwapped(e *env) {
	u, other := e.user(), e.user()
	st := e.begin(session(u.ID), u.AuthVersion)
	want := u
	for _, hash := range []string{"$2a$13$new", strings.Repeat("xY/", 85), "$2a$13$short"} {
		if swapped, err := e.stores.Users.UpdatePassword(e.Context(), u.ID, want.PasswordHash, hash); err != nil || !swapped {
			e.Errorf("UpdatePassword from the hash that is stored: swapped %v, error %v; want true", swapped, err)
		}
		want.PasswordHash = hash
		if d := userDifference(want, e.userByID(u.ID)); d != "" {
			e.Errorf("after UpdatePassword: %s; it replaces the hash and nothing else", d)
		}
	}
	if d := userDifference(other, e.userByID(other.ID)); d != "" {
		e.Errorf("UpdatePassword of one user changed another: %s", d)
	}
	e.unchanged(st, "UpdatePassword, the rehash at login")
}

func updatePasswordNotOld(e *env) {
	n := e.newUser()
	n.PasswordHash = "$2a$12$Hash"
	u, other := e.signUp(n), e.user()
	for _, old := range []string{"", "$2a$12$hash", "$2A$12$Hash", "$2a$12$Hash ", " $2a$12$Hash", "$2a$12$Has", "$2a$12$Hashh", "$2a$12$H%", other.PasswordHash} {
		if swapped, err := e.stores.Users.UpdatePassword(e.Context(), u.ID, old, "stolen"); err != nil || swapped {
			e.Errorf("UpdatePassword from %q while %q is stored: swapped %v, error %v; want false", old, n.PasswordHash, swapped, err)
		}
	}
	if swapped, err := e.stores.Users.UpdatePassword(e.Context(), u.ID, "$2a$12$Hash", "$2a$13$Hash"); err != nil || !swapped {
		e.Errorf("UpdatePassword from the hash that is stored: swapped %v, error %v; want true", swapped, err)
	}
	if swapped, err := e.stores.Users.UpdatePassword(e.Context(), u.ID, "$2a$12$Hash", "late"); err != nil || swapped {
		e.Errorf("UpdatePassword from a hash that was replaced before: swapped %v, error %v; want false", swapped, err)
	}
	u.PasswordHash = "$2a$13$Hash"
	if d := userDifference(u, e.userByID(u.ID)); d != "" {
		e.Errorf("after swaps of which one was right: %s", d)
	}
}

func updatePasswordUnknown(e *env) {
	u := e.user()
	for _, id := range lookAlikes(u.ID) {
		swapped, err := e.stores.Users.UpdatePassword(e.Context(), id, u.PasswordHash, "stolen")
		if swapped || err != nil && !errors.Is(err, auth.ErrUserNotFound) {
			e.Errorf("UpdatePassword of user %q, whom there is not: swapped %v, error %v; want false", id, swapped, err)
		}
	}
	if d := userDifference(u, e.userByID(u.ID)); d != "" {
		e.Errorf("UpdatePassword of users that are not there changed user %q: %s", u.ID, d)
	}
}

func updatePasswordRace(e *env) {
	const racers = 20
	u := e.user()
	for round := range 5 {
		old := e.userByID(u.ID).PasswordHash
		var swapped [racers]bool
		var errs [racers]error
		hash := func(i int) string { return fmt.Sprintf("$2a$13$round-%d-racer-%d", round, i) }
		together(racers, func(i int) {
			swapped[i], errs[i] = retried(func() (bool, error) {
				return e.stores.Users.UpdatePassword(e.Context(), u.ID, old, hash(i))
			})
		})
		winner, winners := 0, 0
		for i := range racers {
			if errs[i] != nil {
				e.Errorf("UpdatePassword racing with others: %v", errs[i])
			}
			if swapped[i] {
				winner = i
				winners++
			}
		}
		if winners != 1 {
			e.Fatalf("%d of %d concurrent UpdatePassword from one hash swapped it; want exactly one", winners, racers)
		}
		if got := e.userByID(u.ID).PasswordHash; got != hash(winner) {
			e.Errorf("the hash is %q after the race; want %q, of the one call that said it swapped", got, hash(winner))
		}
	}
}
