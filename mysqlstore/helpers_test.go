package mysqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/mysqltest"
	"github.com/ostiary/auth/mysqlstore"
)

// migrated returns a pool on a database with users and sessions.
func migrated(tb testing.TB, server *mysqltest.Server, params ...string) (*sql.DB, *mysqlstore.Store) {
	tb.Helper()
	db := server.DB(tb, params...)
	store := mysqlstore.New(db, mysqlstore.Options{})
	require.NoError(tb, store.Migrate(tb.Context()))
	return db, store
}

func mustExec(tb testing.TB, db *sql.DB, query string, args ...any) {
	tb.Helper()
	_, err := db.ExecContext(tb.Context(), query, args...)
	require.NoError(tb, err)
}

// columnsOf returns the names of a query's columns.
func columnsOf(tb testing.TB, db *sql.DB, query string) []string {
	tb.Helper()
	rows, err := db.QueryContext(tb.Context(), query)
	require.NoError(tb, err, query)
	defer func() { require.NoError(tb, rows.Close()) }()
	names, err := rows.Columns()
	require.NoError(tb, err)
	require.NoError(tb, rows.Err())
	return names
}

// commands records what a client sends. It is the command function of a relay.
type commands struct {
	mu   sync.Mutex
	list [][]byte
}

func (c *commands) record(_ int, packet []byte) fate {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, slices.Clone(packet))
	return pass
}

// take returns what was sent since the last call: "prepare UPDATE …", "execute",
// "query SELECT …".
func (c *commands) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var texts []string
	for _, packet := range c.list {
		switch packet[0] {
		case 0x03:
			texts = append(texts, "query "+string(packet[1:]))
		case 0x16:
			texts = append(texts, "prepare "+string(packet[1:]))
		case 0x17:
			texts = append(texts, "execute")
		default:
			texts = append(texts, fmt.Sprintf("command %#x", packet[0]))
		}
	}
	c.list = nil
	return texts
}

// loneConnection opens a pool of one connection through a relay.
func loneConnection(tb testing.TB, dsn string, command func(int, []byte) fate) *sql.DB {
	tb.Helper()
	cfg, err := mysql.ParseDSN(newRelay(tb, dsn, command, func() {}))
	require.NoError(tb, err)
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	require.NoError(tb, err)
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	tb.Cleanup(func() { assert.NoError(tb, db.Close()) })
	return db
}

// configNow is an instant of Config.Now.
func configNow() time.Time { return time.Date(2036, time.May, 4, 3, 2, 1, 0, time.UTC) }

// newSession is a session of the user's whose ID is all n.
func newSession(n byte, user auth.UserID) auth.Session {
	s := auth.Session{
		UserID:          user,
		AuthenticatedAt: configNow(),
		ExpiresAt:       configNow().Add(24 * time.Hour),
		MaxExpiresAt:    configNow().Add(720 * time.Hour),
		Client:          auth.Client{IP: netip.MustParseAddr("192.0.2.1"), UserAgent: "Käfer/1.0 😀"},
	}
	for i := range s.ID {
		s.ID[i] = n
	}
	return s
}

// rotationOf is a rotation that a live session accepts.
func rotationOf(s auth.Session, generation int64) auth.Rotation {
	return auth.Rotation{
		Session: s.ID, UserID: s.UserID, Generation: generation, Attempt: auth.AttemptID{1, byte(generation)},
		Now: configNow(), ExpiresAt: configNow().Add(25 * time.Hour), Client: s.Client, Window: time.Minute,
		AuthVersion: 1,
	}
}

// operation is a method of the stores, called so that it succeeds once ann is user 1 and
// has the session of all ones at its first generation.
type operation struct {
	name string
	run  func(ctx context.Context, s *mysqlstore.Store) error
}

func operations() []operation {
	must := func(ok bool, err error) error {
		if err == nil && !ok {
			return errors.New("nothing was done")
		}
		return err
	}
	both := func(name string, f func(ctx context.Context, r auth.RefreshStore) error) []operation {
		return []operation{
			{name, func(ctx context.Context, s *mysqlstore.Store) error { return f(ctx, s.Stores().Refresh) }},
			{name + " alone", func(ctx context.Context, s *mysqlstore.Store) error { return f(ctx, s.Sessions()) }},
		}
	}
	bob := ann()
	bob.EmailKey = "bob@example.com"
	return slices.Concat(
		[]operation{
			{"CreateUser", func(ctx context.Context, s *mysqlstore.Store) error {
				_, err := s.Stores().Users.CreateUser(ctx, bob)
				return err
			}},
			{"UserByEmail", func(ctx context.Context, s *mysqlstore.Store) error {
				_, err := s.Stores().Users.UserByEmail(ctx, ann().EmailKey)
				return err
			}},
			{"UserByID", func(ctx context.Context, s *mysqlstore.Store) error {
				_, err := s.Stores().Users.UserByID(ctx, "1")
				return err
			}},
			{"UpdatePassword", func(ctx context.Context, s *mysqlstore.Store) error {
				return must(s.Stores().Users.UpdatePassword(ctx, "1", ann().PasswordHash, ann().PasswordHash))
			}},
		},
		both("CreateSession", func(ctx context.Context, r auth.RefreshStore) error {
			return r.CreateSession(ctx, newSession(2, "1"), 1)
		}),
		both("ReadSession", func(ctx context.Context, r auth.RefreshStore) error {
			_, err := r.ReadSession(ctx, newSession(1, "1").ID)
			return err
		}),
		both("SessionByID", func(ctx context.Context, r auth.RefreshStore) error {
			_, err := r.SessionByID(ctx, newSession(1, "1").ID)
			return err
		}),
		both("RotateSession", func(ctx context.Context, r auth.RefreshStore) error {
			return must(r.RotateSession(ctx, rotationOf(newSession(1, "1"), 1)))
		}),
		both("RecoverSession", func(ctx context.Context, r auth.RefreshStore) error {
			return must(r.RecoverSession(ctx, rotationOf(newSession(1, "1"), 5)))
		}),
		both("RevokeSession", func(ctx context.Context, r auth.RefreshStore) error {
			return r.RevokeSession(ctx, newSession(1, "1").ID, "1", auth.ReasonLogout)
		}),
		both("RevokeUserSessions", func(ctx context.Context, r auth.RefreshStore) error {
			return r.RevokeUserSessions(ctx, "1", newSession(9, "1").ID, auth.ReasonLogoutAll)
		}),
		both("SessionsByUser", func(ctx context.Context, r auth.RefreshStore) error {
			_, err := r.SessionsByUser(ctx, "1", configNow(), 10)
			return err
		}),
	)
}

// isAlone says whether an operation works on the sessions of a host's own users.
func (o operation) isAlone() bool { return strings.HasSuffix(o.name, " alone") }

// isRead says whether an operation only reads.
func (o operation) isRead() bool {
	return strings.Contains(o.name, "By") || strings.HasPrefix(o.name, "Read")
}

// prepare makes the tables that the operation needs and the rows that it works on, the
// same each time.
func (o operation) prepare(tb testing.TB, db *sql.DB) {
	tb.Helper()
	store := mysqlstore.New(db, mysqlstore.Options{})
	refresh := store.Sessions()
	if o.isAlone() {
		require.NoError(tb, store.MigrateSessions(tb.Context()))
	} else {
		require.NoError(tb, store.Migrate(tb.Context()))
		refresh = store.Stores().Refresh
		_, err := store.Stores().Users.CreateUser(tb.Context(), ann())
		require.NoError(tb, err)
	}
	require.NoError(tb, refresh.CreateSession(tb.Context(), newSession(1, "1"), 1))
}

// How long a condition may take that comes about by itself, and how often it is looked at.
const (
	eventually = 20 * time.Second
	tick       = 10 * time.Millisecond
)
