// Package mysqlstore keeps users, sessions and rate limits in MySQL or MariaDB, on the
// host's own [database/sql.DB]. It works with any setting of the driver's parseTime, loc,
// clientFoundRows and interpolateParams, and with any time zone, isolation level and
// character set of the connection, and any sql_mode without EMPTY_STRING_IS_NULL.
//
// Every instant that the store takes itself is by the server's clock, in UTC. Instants
// are kept to the microsecond; what is finer is cut off, and the years go from 1 to
// 9999.
//
// On a Galera cluster, and in a group of MySQL's in which every member takes writes, the
// statements that must see what another node has acknowledged wait for it. In a group they
// take two round trips more for that, and group_replication_enforce_update_everywhere_checks
// has to be off, since it refuses tables whose rows go with a user's. A process asks once
// for the mode of its group: start it anew after you have changed it. Of a group with one
// primary, or of replicas, point the data source name to the primary.
//
// An error Is auth.ErrUnavailable where a later try may succeed: deadlocks and lock
// waits, lost connections, a server that is read-only or leaves its cluster, deadlines
// and canceled contexts. The driver's error stays in reach of [errors.Is] and
// [errors.As].
package mysqlstore

import (
	"context"
	"database/sql"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/limit"
)

// Options joins a host's own rows to ours. The zero value joins none.
//
// A hook runs in the transaction of the operation that it is named after. It works on
// tx alone, neither commits it nor rolls it back, and returns every error that tx gave
// it: an error undoes the operation, and is returned wrapped. After a deadlock or a lock
// wait the operation starts anew, so that a hook may run several times for one call; of
// its work in the database only the last is kept. A panic undoes the operation too.
type Options struct {
	// AfterCreate runs after a new user's row is inserted and before it is committed.
	// With it CreateUser takes three round trips, and the hook's own, instead of one.
	// Default: nil.
	AfterCreate func(ctx context.Context, tx *sql.Tx, id auth.UserID) error

	// BeforeDelete runs before a user's row is deleted, and with it the user's sessions;
	// both are still there, and their rows are locked. The transaction's isolation level
	// is READ COMMITTED. Default: nil.
	BeforeDelete func(ctx context.Context, tx *sql.Tx, id auth.UserID) error
}

// Store is the stores on one database. Its methods are safe for concurrent use. It
// prepares its statements when they are first used and keeps them as long as the
// database's pool lives; it starts no goroutine, and never closes the pool.
type Store struct {
	db       *sql.DB
	users    users
	accounts accounts
	// Sessions of our own users, and of a host's.
	shared, alone sessions
	limiter       limiter
}

// New returns the stores on db. It does not touch the database: call Migrate before the
// first use.
func New(db *sql.DB, o Options) *Store {
	p := &pool{DB: db}
	return &Store{
		db:       db,
		users:    newUsers(p, o),
		accounts: accounts{db: p, beforeDelete: o.BeforeDelete},
		shared:   newSharedSessions(p),
		alone:    newSessions(p),
		limiter:  newLimiter(p),
	}
}

// Stores returns users, sessions and rate limits, for auth.New. The tables are those of
// Migrate.
func (s *Store) Stores() auth.Stores {
	return auth.Stores{
		Users:       &s.users,
		Refresh:     &s.shared,
		Accounts:    &s.accounts,
		Limiter:     &s.limiter,
		SharedUsers: true,
		IntegerIDs:  true,
		Check:       s.Check,
	}
}

// Sessions returns the sessions alone, for a host with a users table of its own, in the
// table of MigrateSessions; CheckSessions looks for it. User IDs are kept byte for byte. A
// rotation compares the session with the AuthVersion and the UserCreatedAt that it is
// given.
func (s *Store) Sessions() auth.RefreshStore { return &s.alone }

// Limiter returns the limiter of the processes on this database, always the same one. A
// host with a users table of its own sets it in its [auth.Stores]; MigrateSessions makes
// its table too.
//
// It refuses out of this process's memory what it knows to be over; any other take is one
// statement. At most 4 of the pool's connections work for it at once, and it answers
// within 250 ms. A key whose budget could not be looked at in that time, or that came into
// the way of another take, a deadlock or on another node of a cluster, is limited for a
// second: that is no error. Anything else that keeps the server from an answer is, and
// then what this process has counted alone is allowed. Rows that are of no use any more
// are deleted by the takes themselves.
func (s *Store) Limiter() limit.Limiter { return &s.limiter }
