package mysqlstore_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/mysqltest"
	"github.com/ostiary/auth/mysqlstore"
)

// loggedIn is a database in which ann, user 1, has the session of all ones.
func loggedIn(t *testing.T, server *mysqltest.Server, params ...string) (*sql.DB, auth.RefreshStore, auth.Session) {
	t.Helper()
	db, store := migrated(t, server, params...)
	_, err := store.Stores().Users.CreateUser(t.Context(), ann())
	require.NoError(t, err)
	s := newSession(1, "1")
	require.NoError(t, store.Stores().Refresh.CreateSession(t.Context(), s, 1))
	return db, store.Stores().Refresh, s
}

// lockWaits waits until a statement on the server waits for a row's lock, or none does.
func lockWaits(t *testing.T, db *sql.DB, some bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		return rowsOf(t, db, "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'")[0][1] != "0" == some
	}, eventually, tick)
}

// A session is not begun on a version that a change under way ends, whatever the
// isolation level of the connection.
func TestCreateSessionWaitsForAChangeOfTheUser(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		for _, level := range []string{"READ-COMMITTED", "REPEATABLE-READ"} {
			db, refresh, _ := loggedIn(t, server, isolationVariable(t, server)+"='"+level+"'")
			tx, err := db.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			_, err = tx.ExecContext(t.Context(), "UPDATE users SET auth_version = 2 WHERE id = 1")
			require.NoError(t, err)

			done := make(chan error, 1)
			go func() { done <- refresh.CreateSession(t.Context(), newSession(2, "1"), 1) }()
			lockWaits(t, db, true)
			require.NoError(t, tx.Commit())
			if err = <-done; errors.Is(err, auth.ErrUnavailable) { // with snapshot isolation
				err = refresh.CreateSession(t.Context(), newSession(2, "1"), 1)
			}
			require.ErrorIs(t, err, auth.ErrUserChanged, level)
			assert.Equal(t, 1, count(t, db, "refresh_tokens"), level)
		}
	})
}

// A read waits for a rotation under way and reports it.
func TestReadSessionWaitsForWritesUnderWay(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		db, refresh, s := loggedIn(t, server)
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = tx.ExecContext(t.Context(), "UPDATE refresh_tokens SET generation = 7")
		require.NoError(t, err)
		type answer struct {
			state auth.SessionState
			err   error
		}
		done := make(chan answer, 1)
		go func() {
			st, err := refresh.ReadSession(t.Context(), s.ID)
			done <- answer{st, err}
		}()
		lockWaits(t, db, true)
		require.NoError(t, tx.Commit())
		got := <-done
		if errors.Is(got.err, auth.ErrUnavailable) { // with snapshot isolation
			got.state, got.err = refresh.ReadSession(t.Context(), s.ID)
		}
		require.NoError(t, got.err)
		assert.Equal(t, int64(7), got.state.Generation)
	})
}

// SessionByID does not wait: a host's transaction on a user does not stop the routes that
// ask whether a session is live.
func TestSessionByIDWaitsForNothing(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		db, refresh, s := loggedIn(t, server)
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer func() { require.NoError(t, tx.Rollback()) }()
		for _, change := range []string{"UPDATE users SET auth_version = 2", "UPDATE refresh_tokens SET generation = 7"} {
			_, err = tx.ExecContext(t.Context(), change)
			require.NoError(t, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), eventually)
		defer cancel()
		state, err := refresh.SessionByID(ctx, s.ID)
		require.NoError(t, err)
		assert.Equal(t, int64(1), state.Generation)
		assert.True(t, state.UserCurrent)
	})
}

// A rotation that had to wait for a lock is as old as its end, not as its beginning:
// otherwise the wait would be taken off the grace of a client that got no reply.
func TestRotationIsNotAgedByAWait(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		for _, zone := range []string{"%2B00:00", "-09:30"} {
			db, refresh, s := loggedIn(t, server, "time_zone='"+zone+"'")
			tx, err := db.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			_, err = tx.ExecContext(t.Context(), "UPDATE users SET name = 'Ann B. Lee'")
			require.NoError(t, err)
			done := make(chan error, 1)
			go func() {
				_, err := refresh.RotateSession(t.Context(), rotationOf(s, 1))
				done <- err
			}()
			lockWaits(t, db, true)
			var waiting int64
			require.NoError(t, db.QueryRowContext(t.Context(), "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))").Scan(&waiting))
			require.NoError(t, tx.Commit())
			err = <-done
			if errors.Is(err, auth.ErrUnavailable) { // with snapshot isolation
				continue
			}
			require.NoError(t, err)
			state, err := refresh.ReadSession(t.Context(), s.ID)
			require.NoError(t, err)
			require.Len(t, state.Retired, 1)
			assert.GreaterOrEqual(t, state.Retired[0].UnixMicro(), waiting)
			assert.Less(t, state.ReadAt.Sub(state.Retired[0]), eventually)
			assert.GreaterOrEqual(t, state.ReadAt.Sub(state.Retired[0]), time.Duration(0))
		}
	})
}

// A server that is read-only may be a replica that has not heard the last of its primary.
func TestReadSessionOnAReadOnlyServer(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		private := server.Private(t)
		db, refresh, s := loggedIn(t, private)
		for _, on := range []bool{false, true, false} {
			mustExec(t, db, "SET GLOBAL read_only = ?", on)
			_, err := refresh.ReadSession(t.Context(), s.ID)
			if !on {
				require.NoError(t, err)
				continue
			}
			require.ErrorIs(t, err, auth.ErrUnavailable)
			_, err = refresh.ReadSession(t.Context(), newSession(9, "1").ID)
			require.ErrorIs(t, err, auth.ErrUnavailable, "nor does it know that there is no such session")
		}
	})
}

// The cluster's setting holds for the read alone, and the host's session keeps its own.
func TestReadSessionLeavesTheHostsSettings(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		db, refresh, s := loggedIn(t, server)
		db.SetMaxOpenConns(1)
		if len(rowsOf(t, db, "SHOW VARIABLES LIKE 'wsrep_sync_wait'")) == 0 {
			_, err := refresh.ReadSession(t.Context(), s.ID)
			require.NoError(t, err)
			return
		}
		mustExec(t, db, "SET SESSION wsrep_sync_wait = 6")
		for range 2 {
			_, err := refresh.ReadSession(t.Context(), s.ID)
			require.NoError(t, err)
			assert.Equal(t, [][]string{{"6"}}, rowsOf(t, db, "SELECT @@session.wsrep_sync_wait"))
		}
	})
}

func TestReadSessionWaitsForTheCluster(t *testing.T) {
	dsn := mysqltest.Default(t).DSN(t)
	operations()[2].prepare(t, mysqltest.Open(t, dsn))
	var sent commands
	_, err := mysqlstore.New(loneConnection(t, dsn, sent.record), mysqlstore.Options{}).
		Stores().Refresh.ReadSession(t.Context(), newSession(1, "1").ID)
	require.NoError(t, err)
	list := sent.take()
	assert.Contains(t, list[len(list)-2], "/*M!100200 SET STATEMENT wsrep_sync_wait = 1 FOR */ SELECT ")
}

// withoutClusters is a store on a MariaDB that seems to have been built without clusters,
// so that it does not know their setting.
func withoutClusters(t *testing.T, o operation, sent *commands) *mysqlstore.Store {
	t.Helper()
	dsn := mysqltest.Default(t).DSN(t)
	o.prepare(t, mysqltest.Open(t, dsn))
	db := loneConnection(t, dsn, func(n int, packet []byte) fate {
		overwrite(t, packet, "wsrep_sync_wait", "wsrep_sync_gone")
		return sent.record(n, packet)
	})
	return mysqlstore.New(db, mysqlstore.Options{})
}

// One call finds out that the setting is unknown, and the others do not ask again.
func TestServerWithoutClusters(t *testing.T) {
	for _, o := range operations() {
		t.Run(o.name, func(t *testing.T) {
			var sent commands
			store := withoutClusters(t, o, &sent)
			require.NoError(t, o.run(t.Context(), store))
			sent.take()
			for range 2 {
				_ = o.run(t.Context(), store)
				assert.Equal(t, []string{"execute"}, sent.take())
			}
		})
	}
}

// Of concurrent first calls each gets its answer.
func TestServerWithoutClustersAtOnce(t *testing.T) {
	for _, o := range operations() {
		if !o.isRead() {
			continue
		}
		t.Run(o.name, func(t *testing.T) {
			var sent commands
			store := withoutClusters(t, o, &sent)
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() { assert.NoError(t, o.run(t.Context(), store)) })
			}
			wg.Wait()
		})
	}
}

func TestClientIsKept(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		for _, mode := range []string{"''", "'STRICT_ALL_TABLES'"} { // one cuts, the other refuses
			clientIsKept(t, server, mode)
		}
	})
}

func clientIsKept(t *testing.T, server *mysqltest.Server, mode string) {
	t.Helper()
	_, refresh, s := loggedIn(t, server, "sql_mode="+mode)
	for i, c := range []struct{ in, want auth.Client }{
		{auth.Client{}, auth.Client{}},
		{auth.Client{IP: netip.MustParseAddr("2001:db8::1")}, auth.Client{IP: netip.MustParseAddr("2001:db8::1")}},
		{auth.Client{IP: netip.MustParseAddr("fe80::1%eth0")}, auth.Client{IP: netip.MustParseAddr("fe80::1")}},
		{auth.Client{IP: netip.MustParseAddr("::ffff:192.0.2.7")}, auth.Client{IP: netip.MustParseAddr("192.0.2.7")}},
		{auth.Client{IP: netip.MustParseAddr("0.0.0.0")}, auth.Client{IP: netip.MustParseAddr("0.0.0.0")}},
		{auth.Client{UserAgent: strings.Repeat("😀", 300)}, auth.Client{UserAgent: strings.Repeat("😀", 255)}},
		{auth.Client{UserAgent: "a\xff\xfeb"}, auth.Client{UserAgent: "a\uFFFDb"}},
		{auth.Client{UserAgent: "x' OR ''='\\"}, auth.Client{UserAgent: "x' OR ''='\\"}},
	} {
		r := rotationOf(s, int64(i+1))
		r.Client, r.Window = c.in, 0
		rotated, err := refresh.RotateSession(t.Context(), r)
		require.NoError(t, err)
		require.True(t, rotated)
		got, err := refresh.ReadSession(t.Context(), s.ID)
		require.NoError(t, err)
		assert.Equal(t, c.want, got.Client)

		n := newSession(byte(10+i), "1")
		n.Client = c.in
		require.NoError(t, refresh.CreateSession(t.Context(), n, 1))
		got, err = refresh.ReadSession(t.Context(), n.ID)
		require.NoError(t, err)
		assert.Equal(t, c.want, got.Client)
	}
}

// An instant is cut to the microsecond, also before a midnight, and one that no
// DATETIME can hold becomes the first or the last.
func TestInstantsAreCut(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		_, refresh, _ := loggedIn(t, server, "sql_mode=''")
		east := time.FixedZone("", 9*3600)
		for i, c := range []struct{ in, want time.Time }{
			{time.Date(2036, 2, 29, 23, 59, 59, 999_999_999, time.UTC), time.Date(2036, 2, 29, 23, 59, 59, 999_999_000, time.UTC)},
			{time.Date(2037, 1, 1, 5, 0, 0, 500, east), time.Date(2036, 12, 31, 20, 0, 0, 0, time.UTC)},
			{time.Date(1969, 12, 31, 23, 59, 59, 1_999, time.UTC), time.Date(1969, 12, 31, 23, 59, 59, 1_000, time.UTC)},
			{time.Time{}, time.Time{}},
			{time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC), time.Time{}},
			{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)},
		} {
			s := newSession(byte(10+i), "1")
			s.AuthenticatedAt, s.ExpiresAt, s.MaxExpiresAt = c.in, c.in, c.in
			require.NoError(t, refresh.CreateSession(t.Context(), s, 1))
			got, err := refresh.ReadSession(t.Context(), s.ID)
			require.NoError(t, err)
			for _, at := range []time.Time{got.AuthenticatedAt, got.ExpiresAt, got.MaxExpiresAt} {
				assert.Equal(t, c.want, at)
			}
		}
	})
}

// The list of retirements is bytes that other programs may read, too.
func TestRetirementsInTheRow(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		db, refresh, s := loggedIn(t, server)
		for g := range int64(10) {
			r := rotationOf(s, g+1)
			r.Window = 0
			rotated, err := refresh.RotateSession(t.Context(), r)
			require.NoError(t, err)
			require.True(t, rotated)
			var retired []byte
			require.NoError(t, db.QueryRowContext(t.Context(), "SELECT retired FROM refresh_tokens").Scan(&retired))
			require.Len(t, retired, int(min(g+1, auth.RetiredKept))*8)
			got, err := refresh.ReadSession(t.Context(), s.ID)
			require.NoError(t, err)
			require.Len(t, got.Retired, int(min(g+1, auth.RetiredKept)))
			for i, at := range got.Retired {
				assert.True(t, bytes.Equal(retired[i*8:i*8+8], bigEndian(at.UnixMicro())))
				assert.WithinDuration(t, got.ReadAt, at, time.Minute)
			}
		}
	})
}

func bigEndian(n int64) []byte {
	b := make([]byte, 8)
	for i := range b {
		b[7-i] = byte(n >> (8 * i))
	}
	return b
}

// A window below a microsecond is a window, not none.
func TestWindowIsRoundedUp(t *testing.T) {
	db, refresh, s := loggedIn(t, mysqltest.Default(t))
	mustExec(t, db, "UPDATE refresh_tokens SET retired = REPEAT(X'7F', 64)") // far in the future
	r := rotationOf(s, 1)
	r.Window = time.Nanosecond
	rotated, err := refresh.RotateSession(t.Context(), r)
	require.NoError(t, err)
	assert.False(t, rotated)
	r.Window = -time.Nanosecond
	rotated, err = refresh.RotateSession(t.Context(), r)
	require.NoError(t, err)
	assert.True(t, rotated)
}

func TestRevokeSessionRefusesALongReason(t *testing.T) {
	db, refresh, s := loggedIn(t, mysqltest.Default(t), "sql_mode=''")
	require.Error(t, refresh.RevokeSession(t.Context(), s.ID, s.UserID, strings.Repeat("x", 33)))
	require.Error(t, refresh.RevokeSession(t.Context(), s.ID, s.UserID, "\xff"))
	assert.Equal(t, [][]string{{"NULL", ""}}, rowsOf(t, db, "SELECT revoked_at, reason FROM refresh_tokens"))
	require.NoError(t, refresh.RevokeSession(t.Context(), s.ID, s.UserID, strings.Repeat("ü", 32)))
}

// A host's IDs are bytes: no two are taken for one.
func TestSessionsAloneKeepIDsByteForByte(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		store := mysqlstore.New(server.DB(t), mysqlstore.Options{})
		require.NoError(t, store.MigrateSessions(t.Context()))
		refresh := store.Sessions()
		ids := []auth.UserID{
			"a", "A", "a ", "ä", "a\x00", "1", "01", "\xff", "' OR ''='",
			"018f4e2a-7c1b-7d11-9c3e-0242ac120002", auth.UserID(strings.Repeat("x", 64)),
		}
		for i, id := range ids {
			s := newSession(byte(i), id)
			require.NoError(t, refresh.CreateSession(t.Context(), s, 1), "%q", id)
			got, err := refresh.ReadSession(t.Context(), s.ID)
			require.NoError(t, err)
			assert.Equal(t, id, got.UserID)
			assert.False(t, got.UserCurrent, "the store does not hold the users")
			for _, other := range ids {
				rotated, err := refresh.RotateSession(t.Context(), rotationOf(newSession(byte(i), other), 1))
				require.NoError(t, err)
				assert.Equal(t, other == id, rotated, "%q is not %q", other, id)
			}
		}
		for _, id := range []auth.UserID{"", auth.UserID(strings.Repeat("x", 65))} {
			s := newSession(99, id)
			require.Error(t, refresh.CreateSession(t.Context(), s, 1))
			rotated, err := refresh.RotateSession(t.Context(), rotationOf(s, 1))
			require.NoError(t, err)
			assert.False(t, rotated)
			require.NoError(t, refresh.RevokeSession(t.Context(), s.ID, id, auth.ReasonLogout))
		}
		_, err := refresh.ReadSession(t.Context(), newSession(99, "").ID)
		require.ErrorIs(t, err, auth.ErrSessionNotFound)
	})
}

// A host whose users have no creation date leaves it zero.
func TestSessionsAloneWithoutUserCreatedAt(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		store := mysqlstore.New(server.DB(t), mysqlstore.Options{})
		require.NoError(t, store.MigrateSessions(t.Context()))
		s := newSession(1, "u")
		require.NoError(t, store.Sessions().CreateSession(t.Context(), s, 1))
		r := rotationOf(s, 1)
		require.True(t, r.UserCreatedAt.IsZero())
		rotated, err := store.Sessions().RotateSession(t.Context(), r)
		require.NoError(t, err)
		assert.True(t, rotated)
	})
}

// A deadline that passes while the row is locked ends the call, and the row stays as it
// was.
//
// ASVS: 15.4.3.
func TestDeadlineWhileTheRowIsLocked(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		db, refresh, s := loggedIn(t, server, "innodb_lock_wait_timeout=1")
		before := dumpOf(t, db)
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = tx.ExecContext(t.Context(), "SELECT id FROM refresh_tokens FOR UPDATE")
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err = refresh.RotateSession(ctx, rotationOf(s, 1))
		require.ErrorIs(t, err, auth.ErrUnavailable)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		lockWaits(t, db, false) // the server goes on waiting for a client that is gone
		require.NoError(t, tx.Rollback())
		assert.Equal(t, before, dumpOf(t, db))
	})
}
