package mysqlstore_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/mysqltest"
	"github.com/ostiary/auth/mysqlstore"
	"github.com/ostiary/auth/storetest"
)

// afterSearch is what a first call sends after it has found out what cluster there is: it
// is what every later call sends.
func afterSearch(sent []string) []string { return slices.DeleteFunc(sent, isSearch) }

// isSearch says whether a command asks for the kind of cluster.
func isSearch(command string) bool {
	return command == "query SELECT @@global.wsrep_sync_wait" || strings.HasPrefix(command, "query SELECT @@global.group_replication_")
}

// Each operation prepares its statement when it is first called; from then on it is one
// round trip.
func TestRoundTrips(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		for _, o := range operations() {
			t.Run(o.name, func(t *testing.T) {
				dsn := server.DSN(t)
				o.prepare(t, mysqltest.Open(t, dsn))
				var sent commands
				db := loneConnection(t, dsn, sent.record)
				store := mysqlstore.New(db, mysqlstore.Options{})
				require.NoError(t, db.PingContext(t.Context()))
				sent.take()

				require.NoError(t, o.run(t.Context(), store))
				first := afterSearch(sent.take())
				require.Len(t, first, 2)
				assert.True(t, strings.HasPrefix(first[0], "prepare "), first[0])
				assert.Equal(t, "execute", first[1])

				for range 3 {
					_ = o.run(t.Context(), store)
					assert.Equal(t, []string{"execute"}, sent.take())
				}
			})
		}
	})
}

// With a hook, a sign-up takes the transaction's two commands and the hook's.
func TestRoundTripsWithHook(t *testing.T) {
	dsn := mysqltest.Default(t).DSN(t)
	require.NoError(t, mysqlstore.New(mysqltest.Open(t, dsn), mysqlstore.Options{}).Migrate(t.Context()))
	var sent commands
	users := mysqlstore.New(loneConnection(t, dsn, sent.record), mysqlstore.Options{AfterCreate: nothing}).Stores().Users
	for i, key := range []string{"a", "b"} {
		sent.take()
		u := ann()
		u.EmailKey = key
		_, err := users.CreateUser(t.Context(), u)
		require.NoError(t, err)
		if i > 0 {
			assert.Equal(t, []string{"query START TRANSACTION", "execute", "query COMMIT"}, sent.take())
		}
	}
}

// IDs that cannot be ours are refused without asking the server.
func TestRoundTripsOfAbsurdIDs(t *testing.T) {
	dsn := mysqltest.Default(t).DSN(t)
	require.NoError(t, mysqlstore.New(mysqltest.Open(t, dsn), mysqlstore.Options{}).Migrate(t.Context()))
	var sent commands
	stores := mysqlstore.New(loneConnection(t, dsn, sent.record), mysqlstore.Options{}).Stores()
	for _, id := range []auth.UserID{"", "0", "01", "-1", "+1", "1e3", " 1", "1 ", "9223372036854775808", "１", "1\x00", "x"} {
		_, err := stores.Users.UserByID(t.Context(), id)
		require.ErrorIs(t, err, auth.ErrUserNotFound, "%q", id)
		swapped, err := stores.Users.UpdatePassword(t.Context(), id, "a", "b")
		require.NoError(t, err, "%q", id)
		assert.False(t, swapped, "%q", id)
		require.ErrorIs(t, stores.Refresh.CreateSession(t.Context(), newSession(1, id), 1), auth.ErrUserChanged, "%q", id)
		rotated, err := stores.Refresh.RotateSession(t.Context(), rotationOf(newSession(1, id), 1))
		require.NoError(t, err, "%q", id)
		assert.False(t, rotated, "%q", id)
		require.NoError(t, stores.Refresh.RevokeSession(t.Context(), newSession(1, id).ID, id, auth.ReasonLogout), "%q", id)
		require.NoError(t, stores.Refresh.RevokeUserSessions(t.Context(), id, auth.SessionID{}, auth.ReasonLogoutAll), "%q", id)
		list, err := stores.Refresh.SessionsByUser(t.Context(), id, configNow(), 10)
		require.NoError(t, err, "%q", id)
		assert.Empty(t, list, "%q", id)
		require.ErrorIs(t, stores.Accounts.SetDisabled(t.Context(), id, true), auth.ErrUserNotFound, "%q", id)
		require.ErrorIs(t, stores.Accounts.SetPassword(t.Context(), id, "hash"), auth.ErrUserNotFound, "%q", id)
		require.ErrorIs(t, stores.Accounts.DeleteUser(t.Context(), id), auth.ErrUserNotFound, "%q", id)
	}
	assert.Empty(t, sent.take())
}

// Concurrent first calls all succeed, and leave one prepared statement that is used.
func TestFirstCallsAtOnce(t *testing.T) {
	dsn := mysqltest.Default(t).DSN(t)
	operations()[2].prepare(t, mysqltest.Open(t, dsn))
	var sent commands
	users := mysqlstore.New(loneConnection(t, dsn, sent.record), mysqlstore.Options{}).Stores().Users
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			_, err := users.UserByID(t.Context(), "1")
			assert.NoError(t, err)
		})
	}
	wg.Wait()
	sent.take()
	_, err := users.UserByID(t.Context(), "1")
	require.NoError(t, err)
	assert.Equal(t, []string{"execute"}, sent.take())
}

// A first call that was canceled does not spoil the statement for others.
func TestFirstCallCanceled(t *testing.T) {
	_, store := migrated(t, mysqltest.Default(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := store.Stores().Users.UserByID(ctx, "1")
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, auth.ErrUnavailable)
	_, err = store.Stores().Users.UserByID(t.Context(), "1")
	require.ErrorIs(t, err, auth.ErrUserNotFound)
}

// A server that has no room for prepared statements gets text, for everything.
func TestConformanceWithoutPreparedStatements(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		full := server.Private(t, "--max-prepared-stmt-count=0")
		// The tests' own statements are interpolated by the driver.
		storetest.Run(t, sharedHarness(full, "interpolateParams=true"))
		t.Run("alone", func(t *testing.T) {
			storetest.Run(t, sessionsHarness(full, "interpolateParams=true", "sql_mode='NO_BACKSLASH_ESCAPES'"))
		})
	})
}

// The hook's transaction does without prepared statements too.
func TestHookWithoutPreparedStatements(t *testing.T) {
	full := mysqltest.Private(t, "--max-prepared-stmt-count=0")
	db, _ := migrated(t, full)
	_, err := mysqlstore.New(db, mysqlstore.Options{AfterCreate: nothing}).Stores().Users.CreateUser(t.Context(), ann())
	require.NoError(t, err)
	assert.Equal(t, 1, count(t, db, "users"))
}

// A server that has forgotten a prepared statement, as one behind a proxy may, gets it
// prepared anew for the call.
func TestForgottenStatement(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		for _, o := range operations() {
			t.Run(o.name, func(t *testing.T) {
				dsn := server.DSN(t)
				o.prepare(t, mysqltest.Open(t, dsn))
				var sent commands
				forget := true
				db := loneConnection(t, dsn, func(n int, packet []byte) fate {
					if packet[0] == 0x17 && forget {
						forget = false
						copy(packet[1:5], "\xff\xff\xff\x7f") // the statement's ID
					}
					return sent.record(n, packet)
				})
				require.NoError(t, db.PingContext(t.Context()))
				sent.take()
				require.NoError(t, o.run(t.Context(), mysqlstore.New(db, mysqlstore.Options{})))
				got := afterSearch(sent.take())
				require.Len(t, got, 4)
				assert.Equal(t, []string{got[0], "execute", got[0], "execute"}, got)
			})
		}
	})
}

// Every statement finds its rows by a unique index, or by that of their user.
func TestStatementsUseIndexes(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		full := server.Private(t, "--max-prepared-stmt-count=0") // so that the text has its arguments
		for _, o := range operations() {
			if strings.HasPrefix(o.name, "CreateSession alone") || o.name == "CreateUser" {
				continue // a plain INSERT
			}
			t.Run(o.name, func(t *testing.T) {
				dsn := full.DSN(t)
				o.prepare(t, mysqltest.Open(t, dsn))
				var sent commands
				require.NoError(t, o.run(t.Context(), mysqlstore.New(loneConnection(t, dsn, sent.record), mysqlstore.Options{})))
				list := sent.take()
				text := strings.TrimPrefix(list[len(list)-1], "query ")
				if _, after, found := strings.Cut(text, "*/ "); found {
					text = after // without what MariaDB alone executes
				}

				fresh := full.DB(t) // where the operation has not changed the rows yet
				o.prepare(t, fresh)
				const explain = "EXPLAIN FORMAT=TRADITIONAL "
				names := columnsOf(t, fresh, explain+text)
				table, kind, key := slices.Index(names, "table"), slices.Index(names, "type"), slices.Index(names, "key")
				seen := 0
				for _, row := range rowsOf(t, fresh, explain+text) {
					inserted := strings.HasPrefix(text, "INSERT") && row[table] == "refresh_tokens"
					if inserted || !slices.Contains([]string{"s", "u", "users", "refresh_tokens"}, row[table]) {
						continue
					}
					seen++
					assert.Contains(t, []string{"const", "eq_ref", "range", "ref"}, row[kind], "%v", row)
					keys := []string{"PRIMARY", "email_key"}
					if row[table] != "u" && (strings.HasPrefix(o.name, "RevokeUserSessions") || strings.HasPrefix(o.name, "SessionsByUser")) {
						keys = []string{"user_id"}
					}
					assert.Contains(t, keys, row[key], "%v", row)
				}
				assert.Positive(t, seen)
			})
		}
	})
}
