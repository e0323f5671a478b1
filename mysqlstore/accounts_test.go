package mysqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/DATA-DOG/go-sqlmock"
	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/mysqltest"
	"github.com/ostiary/auth/mysqlstore"
)

// accountChange is a method of an AccountStore, called for user 1.
type accountChange struct {
	name string
	run  func(ctx context.Context, a auth.AccountStore) error
	// Its statements on the tables between lock and commit.
	statements []string
}

func accountChanges() []accountChange {
	return []accountChange{
		{
			"SetDisabled",
			func(ctx context.Context, a auth.AccountStore) error { return a.SetDisabled(ctx, "1", true) },
			[]string{"UPDATE users SET disabled", "UPDATE refresh_tokens "},
		},
		{
			"SetPassword",
			func(ctx context.Context, a auth.AccountStore) error { return a.SetPassword(ctx, "1", "another") },
			[]string{"UPDATE users SET password", "UPDATE refresh_tokens "},
		},
		{
			"DeleteUser",
			func(ctx context.Context, a auth.AccountStore) error { return a.DeleteUser(ctx, "1") },
			[]string{"DELETE FROM users"},
		},
	}
}

// eachChange runs f for each operation on each leg.
func eachChange(t *testing.T, f func(t *testing.T, server *mysqltest.Server, c accountChange)) {
	t.Helper()
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		for _, c := range accountChanges() {
			t.Run(c.name, func(t *testing.T) { f(t, server, c) })
		}
	})
}

// assertEnded asserts that the session can neither be refreshed nor looks alive.
func assertEnded(t *testing.T, refresh auth.RefreshStore, id auth.SessionID) {
	t.Helper()
	state, err := refresh.SessionByID(t.Context(), id)
	if errors.Is(err, auth.ErrSessionNotFound) {
		return
	}
	require.NoError(t, err)
	assert.False(t, state.RevokedAt.IsZero())
	assert.False(t, state.UserCurrent)
	r := rotationOf(state.Session, state.Generation)
	r.Now, r.Window = configNow(), 0
	rotated, err := refresh.RotateSession(t.Context(), r)
	require.NoError(t, err)
	assert.False(t, rotated)
}

// A change waits for the cluster, locks the user's rows in the order in which a refresh
// does, and is one transaction.
func TestAccountChangesOnTheWire(t *testing.T) {
	eachChange(t, func(t *testing.T, server *mysqltest.Server, c accountChange) {
		t.Helper()
		dsn := server.DSN(t)
		operations()[2].prepare(t, mysqltest.Open(t, dsn))
		var sent commands
		db := loneConnection(t, dsn, sent.record)
		require.NoError(t, db.PingContext(t.Context()))
		sent.take()
		require.NoError(t, c.run(t.Context(), mysqlstore.New(db, mysqlstore.Options{}).Stores().Accounts))
		var wait []string
		if strings.HasPrefix(server.Name, "mariadb") {
			wait = []string{"/*M!100200 SET STATEMENT wsrep_sync_wait = 1 FOR */ SELECT"}
		}
		want := slices.Concat(wait, []string{
			"SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "START TRANSACTION",
			"SELECT COUNT(*) FROM refresh_tokens", "SELECT disabled FROM users",
		}, c.statements, []string{"COMMIT"})
		got := slices.DeleteFunc(sent.take(), isSearch)
		require.Len(t, got, len(want), "%v", got)
		for i, text := range want {
			assert.True(t, strings.HasPrefix(got[i], "query "+text), got[i])
		}
		err := c.run(t.Context(), mysqlstore.New(db, mysqlstore.Options{}).Stores().Accounts)
		switch got = slices.DeleteFunc(sent.take(), isSearch); c.name {
		case "SetDisabled":
			require.NoError(t, err)
			assert.Len(t, got, len(want), "who is disabled already has no sessions either: %v", got)
		case "DeleteUser":
			require.ErrorIs(t, err, auth.ErrUserNotFound)
			assert.Equal(t, "query ROLLBACK", got[len(got)-1])
		}
	})
}

// Servers that know no clusters, and the host's settings, are no hindrance.
func TestAccountChangesUnderOtherSettings(t *testing.T) {
	var sent commands
	for _, c := range accountChanges() {
		require.NoError(t, c.run(t.Context(), withoutClusters(t, operations()[2], &sent).Stores().Accounts))
	}
	eachChange(t, func(t *testing.T, server *mysqltest.Server, c accountChange) {
		t.Helper()
		dsn := server.DSN(t, "sql_mode='ANSI,NO_BACKSLASH_ESCAPES,TRADITIONAL'", "charset=gbk", "sql_safe_updates=1", isolationVariable(t, server)+"='SERIALIZABLE'")
		db := mysqltest.Open(t, dsn)
		db.SetMaxOpenConns(1)
		operations()[2].prepare(t, db)
		store := mysqlstore.New(db, mysqlstore.Options{})
		require.NoError(t, c.run(t.Context(), store.Stores().Accounts))
		assertEnded(t, store.Stores().Refresh, newSession(1, "1").ID)
	})
}

// A login whose check began before the change stores no session that is of any use,
// whichever of the two gets the user's row first.
func TestLoginHeldBesideAnAccountChange(t *testing.T) {
	eachChange(t, func(t *testing.T, server *mysqltest.Server, c accountChange) {
		t.Helper()
		for _, loginFirst := range []bool{false, true} {
			db, refresh, s := loggedIn(t, server)
			accounts := mysqlstore.New(db, mysqlstore.Options{}).Stores().Accounts
			holder, err := db.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			_, err = holder.ExecContext(t.Context(), "SELECT id FROM users WHERE id = 1 FOR UPDATE")
			require.NoError(t, err)

			login, change := make(chan error, 1), make(chan error, 1)
			steps := []func(){
				func() { change <- c.run(t.Context(), accounts) },
				func() { login <- refresh.CreateSession(t.Context(), newSession(2, "1"), 1) },
			}
			if loginFirst {
				steps[0], steps[1] = steps[1], steps[0]
			}
			for i, step := range steps {
				go step()
				require.Eventually(t, func() bool { // all that wait: this test is alone on the server
					return rowsOf(t, db, "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'")[0][1] == fmt.Sprint(i+1)
				}, eventually, tick)
			}
			require.NoError(t, holder.Commit())
			require.NoError(t, <-change)
			if err := <-login; err != nil && !errors.Is(err, auth.ErrUnavailable) { // with snapshot isolation
				require.ErrorIs(t, err, auth.ErrUserChanged)
			}
			assertEnded(t, refresh, s.ID)
			assertEnded(t, refresh, newSession(2, "1").ID)
			require.ErrorIs(t, refresh.CreateSession(t.Context(), newSession(3, "1"), 1), auth.ErrUserChanged)
		}
	})
}

// Changes of a password race refreshes and logins of the user: all of them end well, and
// what began before a change is over after it.
func TestAccountChangesRacingSessions(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		const rounds, refreshers, logins = 12, 3, 2
		_, store := migrated(t, server)
		users, refresh, accounts := store.Stores().Users, store.Stores().Refresh, store.Stores().Accounts
		_, err := users.CreateUser(t.Context(), ann())
		require.NoError(t, err)
		var number atomic.Uint32
		login := func(version int64) (auth.Session, error) {
			s := newSession(0, "1")
			n := number.Add(1)
			s.ID[0], s.ID[1], s.ID[2] = 1, byte(n>>8), byte(n)
			err := errors.New("not tried")
			for try := 0; try < 20 && err != nil && !errors.Is(err, auth.ErrUserChanged); try++ {
				if err = refresh.CreateSession(t.Context(), s, version); err != nil && !errors.Is(err, auth.ErrUnavailable) {
					assert.ErrorIs(t, err, auth.ErrUserChanged)
				}
			}
			return s, err
		}
		for version := int64(1); version <= rounds; version++ {
			var (
				mu    sync.Mutex
				begun []auth.Session
				wg    sync.WaitGroup
			)
			started := make(chan struct{}, refreshers+logins)
			for range refreshers {
				s, err := login(version)
				require.NoError(t, err)
				begun = append(begun, s)
				wg.Go(func() {
					failures := 0
					for generation := int64(1); ; {
						r := rotationOf(s, generation)
						r.Window = 0
						rotated, err := refresh.RotateSession(t.Context(), r)
						if err != nil {
							failures++
							assert.ErrorIs(t, err, auth.ErrUnavailable)
							if !assert.Less(t, failures, 100) {
								return
							}
							continue
						}
						if !rotated {
							return
						}
						if generation++; generation == 3 {
							started <- struct{}{}
						}
					}
				})
			}
			for range logins {
				wg.Go(func() {
					for n := 0; ; n++ {
						s, err := login(version)
						if err != nil {
							assert.ErrorIs(t, err, auth.ErrUserChanged)
							return
						}
						mu.Lock()
						begun = append(begun, s)
						mu.Unlock()
						if n == 0 {
							started <- struct{}{}
						}
					}
				})
			}
			for range refreshers + logins {
				<-started
			}
			require.NoError(t, accounts.SetPassword(t.Context(), "1", fmt.Sprint("hash ", version)))
			wg.Wait() // each found out by itself
			for _, s := range begun {
				assertEnded(t, refresh, s.ID)
			}
			list, err := refresh.SessionsByUser(t.Context(), "1", configNow(), 100)
			require.NoError(t, err)
			assert.Empty(t, list)
			u, err := users.UserByID(t.Context(), "1")
			require.NoError(t, err)
			assert.Equal(t, version+1, u.AuthVersion, "a conflict left nothing behind")
		}
	})
}

// A lost reply to the COMMIT leaves it open whether the change took place: it did.
func TestAccountChangeWithALostReply(t *testing.T) {
	eachChange(t, func(t *testing.T, server *mysqltest.Server, c accountChange) {
		t.Helper()
		dsn := server.DSN(t)
		db := mysqltest.Open(t, dsn)
		operations()[2].prepare(t, db)
		lost(t, dsn, "\x03COMMIT", mysqlstore.Options{}, func(s *mysqlstore.Store) error { return c.run(t.Context(), s.Stores().Accounts) })
		assertEnded(t, mysqlstore.New(db, mysqlstore.Options{}).Stores().Refresh, newSession(1, "1").ID)
	})
}

// Whatever step fails, nothing is committed after it, and only a conflict has the change
// start anew.
//
// ASVS: 2.3.3.
func TestEachStepOfAnAccountChangeFailing(t *testing.T) {
	for _, c := range accountChanges() {
		for _, f := range []struct {
			err         error
			unavailable bool
			attempts    int
		}{
			{serverError(1213), true, 8},
			{serverError(1205), true, 8},
			{serverError(1020), true, 8},
			{serverError(3101), true, 8},
			{serverError(1180), true, 8},
			{mysql.ErrInvalidConn, true, 1},
			{serverError(1047), true, 1},
			{serverError(1290), true, 1},
			{serverError(1146), false, 1},
		} {
			// Step 0 is the wait for the cluster, 1 the begin, 2 and 3 the locks.
			for step := range 5 + len(c.statements) {
				t.Run(fmt.Sprint(c.name, " ", f.err, " ", step), func(t *testing.T) {
					mock, store := mocked(t, mysqlstore.Options{})
					expectSearch(mock)
					attempts := f.attempts
					if step == 0 {
						mock.ExpectExec("").WillReturnError(f.err)
						attempts = 0
					} else {
						mock.ExpectExec("").WillReturnResult(sqlmock.NewResult(0, 0))
					}
					for range attempts {
						failAt(mock, c, step, f.err)
					}
					assertFails(t, c.run(t.Context(), store.Stores().Accounts), f.err, f.unavailable)
				})
			}
		}
	}
}

// failAt expects one transaction of the change, in which that step fails.
func failAt(mock sqlmock.Sqlmock, c accountChange, step int, err error) {
	if step == 1 {
		mock.ExpectBegin().WillReturnError(err)
		return
	}
	mock.ExpectBegin()
	if step == 2 {
		mock.ExpectExec("").WillReturnError(err)
		mock.ExpectRollback()
		return
	}
	mock.ExpectExec("").WillReturnResult(sqlmock.NewResult(0, 0))
	if step == 3 {
		mock.ExpectQuery("").WillReturnError(err)
		mock.ExpectRollback()
		return
	}
	mock.ExpectQuery("").WillReturnRows(sqlmock.NewRows([]string{"disabled"}).AddRow(0))
	for i := range c.statements {
		if step == 4+i {
			mock.ExpectExec("").WillReturnError(err)
			mock.ExpectRollback()
			return
		}
		mock.ExpectExec("").WillReturnResult(sqlmock.NewResult(0, 1))
	}
	mock.ExpectCommit().WillReturnError(err)
}

// A hash that the column cannot hold changes nothing.
func TestSetPasswordRefusesALongHash(t *testing.T) {
	db, store := migrated(t, mysqltest.Default(t), "sql_mode=''")
	_, err := store.Stores().Users.CreateUser(t.Context(), ann())
	require.NoError(t, err)
	require.Error(t, store.Stores().Accounts.SetPassword(t.Context(), "1", strings.Repeat("a", 256)))
	require.NoError(t, store.Stores().Accounts.SetPassword(t.Context(), "1", strings.Repeat("a", 255)))
	assert.Equal(t, [][]string{{"255", "2"}}, rowsOf(t, db, "SELECT LENGTH(password), auth_version FROM users"))
}

func TestAccountChangeCanceled(t *testing.T) {
	for _, c := range accountChanges() {
		db := mysqltest.Default(t).DB(t)
		operations()[2].prepare(t, db)
		before := dumpOf(t, db)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := c.run(ctx, mysqlstore.New(db, mysqlstore.Options{}).Stores().Accounts)
		require.ErrorIs(t, err, auth.ErrUnavailable)
		require.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, before, dumpOf(t, db))
		assert.Equal(t, 0, db.Stats().InUse)
	}
}

// The ID of a deleted user is not given again, not even by a server that was killed
// meanwhile.
//
// Advisory: CVE-2026-55670.
func TestDeletedIDIsNotGivenAgain(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		private := server.Private(t)
		dsn := private.DSN(t)
		store := mysqlstore.New(quiet(t, dsn), mysqlstore.Options{})
		require.NoError(t, store.Migrate(t.Context()))
		for want := auth.UserID("1"); want <= "3"; want = auth.UserID(fmt.Sprint(want[0] - '0' + 1)) {
			id, err := store.Stores().Users.CreateUser(t.Context(), ann())
			require.NoError(t, err)
			require.Equal(t, want, id)
			require.NoError(t, store.Stores().Accounts.DeleteUser(t.Context(), id))
			if want == "2" {
				private.Restart(t)
			}
		}
	})
}
