package storetest_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/storetest"
)

// reference is a store in memory that can be given one fault, by its name in the table
// of faults. Without one it keeps every contract.
type reference struct {
	fault  string
	shared bool // holds the users for the sessions

	mu       sync.Mutex
	offset   time.Duration
	lastID   int
	users    map[auth.UserID]auth.UserRecord
	sessions map[auth.SessionID]auth.SessionState
	stale    map[auth.SessionID]auth.SessionState // the rows before their last write
	writes   int                                  // how many there were
}

// harness makes reference stores with the fault. Without users that it shares the store
// has no accounts.
func harness(fault string, shared bool) storetest.Harness { return harnessOf(fault, shared, shared) }

func harnessOf(fault string, shared, accounts bool) storetest.Harness {
	store := func(s auth.Stores) *reference { return s.Refresh.(*reference) } //nolint:errcheck // harness made it
	return storetest.Harness{
		New: func(testing.TB) auth.Stores {
			r := &reference{
				fault: fault, shared: shared,
				users:    map[auth.UserID]auth.UserRecord{},
				sessions: map[auth.SessionID]auth.SessionState{},
				stale:    map[auth.SessionID]auth.SessionState{},
			}
			stores := auth.Stores{Users: r, Refresh: r, SharedUsers: shared, IntegerIDs: shared}
			if accounts {
				stores.Accounts = r
			}
			return stores
		},
		Advance: func(_ testing.TB, s auth.Stores, d time.Duration) { store(s).offset += d },
		BumpAuthVersion: func(_ testing.TB, s auth.Stores, id auth.UserID) {
			r := store(s)
			u := r.users[id]
			u.AuthVersion++
			r.users[id] = u
		},
		DeleteUser: func(_ testing.TB, s auth.Stores, id auth.UserID) { delete(store(s).users, id) },
	}
}

func (r *reference) has(fault string) bool { return r.fault == fault }

func (r *reference) now() time.Time { return time.Now().Add(r.offset) }

// others lets another caller write between a look and a write, if there is one and the
// store has this fault.
func (r *reference) others(fault string) {
	before := r.writes
	r.until(fault, func() bool { return r.writes != before })
	if r.has(fault) {
		r.writes++
	}
}

// until lets others go on until they have changed something, if there are any and the
// store has this fault.
func (r *reference) until(fault string, changed func() bool) {
	for turns := 0; r.has(fault) && turns < 2000 && !changed(); turns++ {
		r.mu.Unlock()
		runtime.Gosched()
		r.mu.Lock()
	}
}

// done is the error of a context that is done.
func (r *reference) done(ctx context.Context) error {
	switch err := ctx.Err(); {
	case err == nil, r.has("context: not heeded"):
		return nil
	case r.has("context: a deadline is no ErrUnavailable"):
		return err
	default:
		return fmt.Errorf("reference: %w: %w", auth.ErrUnavailable, err)
	}
}

// before is done for an operation that writes.
func (r *reference) before(ctx context.Context) error {
	if r.has("context: writes, then fails") {
		return nil
	}
	return r.done(ctx)
}

// after is the same at the operation's end.
func (r *reference) after(ctx context.Context) error {
	if r.has("context: writes, then fails") {
		return fmt.Errorf("reference: %w", errors.Join(auth.ErrUnavailable, ctx.Err()))
	}
	return nil
}
