// Package storetest is the conformance suite for the stores of package auth: whoever
// writes an [auth.UserStore], an [auth.RefreshStore] or an [auth.AccountStore] runs it
// against the real thing.
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, storetest.Harness{
//			New:     func(tb testing.TB) auth.Stores { … },
//			Advance: func(tb testing.TB, s auth.Stores, d time.Duration) { … },
//		})
//	}
//
// Whoever writes a limit.Limiter runs RunLimiter, which is another suite.
//
// Each case says which contract was broken and by what. The cases hold for every kind
// of store: [auth.Stores.SharedUsers] and [auth.Stores.IntegerIDs] say what is expected,
// and without [auth.Stores.Accounts] its cases are skipped.
// The races are real ones, so run the suite with the race detector too, and against the
// server that production uses: a fake of a database passes races that the database fails.
//
// Where calls race, one that fails with an error that Is [auth.ErrUnavailable] is repeated
// a few times: a deadlock is no fault of a store's. CreateUser never is: that two sign-ups
// want one key is no reason to be unavailable.
package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/ostiary/auth"
)

// Harness is how the suite gets at a store. New and Advance must be set.
type Harness struct {
	// New returns fresh, empty stores for one case. What must be closed afterwards, New
	// closes by tb.Cleanup.
	New func(tb testing.TB) auth.Stores

	// Advance makes d pass by the clock of the stores that New returned for this case. A
	// store whose clock cannot be turned shifts instead every instant that it took from
	// it back by d: a user's CreatedAt, a session's CreatedAt, Retired and RevokedAt, but
	// not the instants that it was given. A negative d is a clock that was set back. The
	// cases allow for half a minute of real time.
	Advance func(tb testing.TB, s auth.Stores, d time.Duration)

	// BumpAuthVersion adds one to the user's AuthVersion and does nothing else, so that
	// the version alone must end the user's sessions. Default: nil, [auth.Stores.Accounts]
	// sets a password; without it the cases that need this are skipped and say so.
	BumpAuthVersion func(tb testing.TB, s auth.Stores, id auth.UserID)

	// DeleteUser removes the user, and may remove its sessions. Default: nil,
	// [auth.Stores.Accounts] does; without it the cases that need this are skipped and
	// say so.
	DeleteUser func(tb testing.TB, s auth.Stores, id auth.UserID)
}

// Case is one case of the suite.
type Case struct {
	// Name is the operation, a slash, and what is asked of it: "RotateSession/Revoked".
	// No two cases have the same.
	Name string

	// Run runs the case on stores of its own.
	Run func(tb testing.TB, h Harness)
}

// Run runs every case as a subtest of t.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) { c.Run(t, h) })
	}
}

// Cases returns the suite's cases in the order in which Run runs them.
func Cases() []Case {
	all := slices.Concat(
		userCases(),
		passwordCases(),
		createCases(),
		readCases(),
		rotateCases(),
		guardCases(rotation()),
		recoverCases(),
		guardCases(recovery()),
		revokeCases(),
		revokeUserCases(),
		revokeAllCases(),
		listCases(),
		purgeCases(),
		accountCases(),
		contextCases(),
	)
	cases := make([]Case, 0, len(all))
	for _, c := range all {
		cases = append(cases, Case{Name: c.name, Run: func(tb testing.TB, h Harness) {
			tb.Helper()
			c.run(newEnv(tb, h))
		}})
	}
	return cases
}
