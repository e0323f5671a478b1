// Package memstore keeps users and sessions in the memory of one process: for tests and
// demos. What it holds ends with the process, and no other process sees it; production
// wants mysqlstore.
package memstore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ostiary/auth"
)

// Options configures a Store. The zero value is ready to use.
type Options struct {
	// Now is the store's clock, read once in each operation that needs it, while the
	// Store is locked: it must not call the Store. Default: time.Now.
	Now func() time.Time
}

// Store is an [auth.UserStore], an [auth.RefreshStore] and an [auth.AccountStore] on maps
// behind one mutex, so every operation is one step for concurrent callers. User IDs are 1,
// 2, 3 and so on; none is given twice. Instants are cut to the microsecond and are in UTC.
//
// A context that is done before a call makes it fail with an error that Is
// [auth.ErrUnavailable] and Is the context's own, and nothing happens. No other fault
// is possible.
type Store struct {
	clock func() time.Time

	mu       sync.Mutex
	lastID   int64
	users    map[auth.UserID]*auth.UserRecord
	keys     map[string]auth.UserID
	sessions map[auth.SessionID]*auth.SessionState
}

// New returns an empty Store.
func New(o Options) *Store {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Store{
		clock:    o.Now,
		users:    map[auth.UserID]*auth.UserRecord{},
		keys:     map[string]auth.UserID{},
		sessions: map[auth.SessionID]*auth.SessionState{},
	}
}

// Stores is the Store as [auth.New] takes it, with SharedUsers and IntegerIDs set. Users
// and sessions belong together: the Store keeps no sessions of users that are elsewhere.
func (s *Store) Stores() auth.Stores {
	return auth.Stores{Users: s, Refresh: s, Accounts: s, SharedUsers: true, IntegerIDs: true}
}

// lock begins an operation: it returns the function that ends it, or an error if the
// context is done. Every operation holds the lock from its first look to its last write.
func (s *Store) lock(ctx context.Context) (unlock func(), err error) {
	s.mu.Lock()
	if err := ctx.Err(); err != nil {
		s.mu.Unlock()
		return nil, fmt.Errorf("memstore: %w: %w", auth.ErrUnavailable, err)
	}
	return s.mu.Unlock, nil
}

func (s *Store) now() time.Time { return cut(s.clock()) }

// cut drops what is below a microsecond; it never rounds up.
func cut(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
