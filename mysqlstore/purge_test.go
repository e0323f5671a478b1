package mysqlstore_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/mysqltest"
	"github.com/ostiary/auth/mysqlstore"
)

// expiredAndLive is a database in which ann, user 1, has sessions 1 to 4, of which those
// with an even number live, and its data source name.
func expiredAndLive(t *testing.T, server *mysqltest.Server, params ...string) (string, auth.RefreshStore) {
	t.Helper()
	dsn := server.DSN(t, params...)
	store := mysqlstore.New(mysqltest.Open(t, dsn), mysqlstore.Options{})
	require.NoError(t, store.Migrate(t.Context()))
	_, err := store.Stores().Users.CreateUser(t.Context(), ann())
	require.NoError(t, err)
	refresh := store.Stores().Refresh
	for n := byte(1); n <= 4; n++ {
		s := newSession(n, "1")
		if n%2 == 1 {
			s.ExpiresAt = configNow().Add(-time.Hour)
		}
		require.NoError(t, refresh.CreateSession(t.Context(), s, 1))
	}
	return dsn, refresh
}

// sessionNumbers are the numbers of the sessions that are there.
func sessionNumbers(t *testing.T, refresh auth.RefreshStore) string {
	t.Helper()
	var list strings.Builder
	for n := byte(1); n <= 9; n++ {
		_, err := refresh.SessionByID(t.Context(), newSession(n, "1").ID)
		if err == nil {
			list.WriteByte('0' + n)
		} else {
			require.ErrorIs(t, err, auth.ErrSessionNotFound)
		}
	}
	return list.String()
}

// beforeDelete is a store that calls f once, when its DELETE is on the way to the server.
func beforeDelete(t *testing.T, dsn string, f func()) auth.RefreshStore {
	t.Helper()
	var once sync.Once
	db := loneConnection(t, dsn, func(_ int, packet []byte) fate {
		if strings.HasPrefix(string(packet), "\x03DELETE ") {
			once.Do(f)
		}
		return pass
	})
	return mysqlstore.New(db, mysqlstore.Options{}).Stores().Refresh
}

// A session that is extended after the purge has found it, by an instance whose clock is
// behind, stays.
func TestPurgeSparesASessionExtendedMeanwhile(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		dsn, refresh := expiredAndLive(t, server)
		purged, err := beforeDelete(t, dsn, func() {
			r := rotationOf(newSession(3, "1"), 1)
			r.Now = configNow().Add(-2 * time.Hour)
			rotated, err := refresh.RotateSession(t.Context(), r)
			assert.NoError(t, err)
			assert.True(t, rotated)
		}).PurgeSessions(t.Context(), configNow(), 10)
		require.NoError(t, err)
		assert.Equal(t, 1, purged)
		assert.Equal(t, "234", sessionNumbers(t, refresh))
	})
}

// The same if the extension is under way when the DELETE comes. Meanwhile the DELETE
// keeps nobody else waiting, whatever isolation the host wants for its own transactions,
// not even who stores a session beside one that is gone meanwhile.
func TestPurgeWaitsForAnExtensionAndHoldsUpNoOther(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		level := isolationVariable(t, server)
		dsn, refresh := expiredAndLive(t, server, level+"='SERIALIZABLE'", "innodb_lock_wait_timeout=20")
		db := mysqltest.Open(t, dsn)
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		third := newSession(3, "1")
		_, err = tx.ExecContext(t.Context(), "UPDATE refresh_tokens SET expires_at = '2036-06-01' WHERE id = ?", third.ID[:])
		require.NoError(t, err)
		type answer struct {
			purged int
			err    error
		}
		done := make(chan answer, 1)
		purge := beforeDelete(t, dsn, func() { mustExec(t, db, "DELETE FROM refresh_tokens ORDER BY id LIMIT 1") })
		go func() {
			purged, err := purge.PurgeSessions(t.Context(), configNow(), 10)
			done <- answer{purged, err}
		}()
		lockWaits(t, db, true)

		ctx, cancel := context.WithTimeout(t.Context(), eventually)
		defer cancel()
		for _, n := range []byte{2, 4} {
			rotated, err := refresh.RotateSession(ctx, rotationOf(newSession(n, "1"), 1))
			require.NoError(t, err)
			assert.True(t, rotated)
		}
		for _, n := range []byte{1, 5, 6} {
			require.NoError(t, refresh.CreateSession(ctx, newSession(n, "1"), 1))
		}
		require.NoError(t, tx.Commit())
		assert.Equal(t, answer{}, <-done, "what it has found is gone or lives")
		assert.Equal(t, "123456", sessionNumbers(t, refresh))
	})
}

// The connection goes back to the pool with the isolation level that it had.
func TestPurgeLeavesTheIsolationLevel(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		level := isolationVariable(t, server)
		dsn, _ := expiredAndLive(t, server, level+"='SERIALIZABLE'")
		db := mysqltest.Open(t, dsn)
		db.SetMaxOpenConns(1)
		purged, err := mysqlstore.New(db, mysqlstore.Options{}).Stores().Refresh.PurgeSessions(t.Context(), configNow(), 10)
		require.NoError(t, err)
		assert.Equal(t, 2, purged)
		assert.Equal(t, [][]string{{"SERIALIZABLE"}}, rowsOf(t, db, "SELECT @@session."+level))
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer func() { require.NoError(t, tx.Rollback()) }()
		var got string
		_, err = tx.ExecContext(t.Context(), "UPDATE users SET name = 'x'")
		require.NoError(t, err)
		require.NoError(t, tx.QueryRowContext(t.Context(),
			"SELECT trx_isolation_level FROM information_schema.innodb_trx WHERE trx_mysql_thread_id = CONNECTION_ID()").Scan(&got))
		assert.Equal(t, "SERIALIZABLE", got)
	})
}

// Another instance that deletes all that this one has found is no end: 0 says that
// nothing is left.
func TestPurgeGoesOnAfterAnother(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		dsn, refresh := expiredAndLive(t, server)
		purged, err := beforeDelete(t, dsn, func() {
			purged, err := refresh.PurgeSessions(t.Context(), configNow(), 1)
			assert.NoError(t, err)
			assert.Equal(t, 1, purged)
		}).PurgeSessions(t.Context(), configNow(), 1)
		require.NoError(t, err)
		assert.Equal(t, 1, purged)
		assert.Equal(t, "24", sessionNumbers(t, refresh))
	})
}

// Purges at once share the work, beside refreshes, and none fails.
func TestPurgesAtOnce(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		const n = 2000
		_, db, refresh := filled(t, server, n)
		s := newSession(1, "1")
		require.NoError(t, refresh.CreateSession(t.Context(), s, 1))
		var purges, refreshes sync.WaitGroup
		stop := make(chan struct{})
		refreshes.Go(func() {
			for generation := int64(1); ; generation++ {
				select {
				case <-stop:
					return
				default:
				}
				r := rotationOf(s, generation)
				r.Window = 0
				rotated, err := refresh.RotateSession(t.Context(), r)
				assert.NoError(t, err)
				assert.True(t, rotated)
			}
		})
		var all atomic.Int64
		for range 4 {
			purges.Go(func() {
				for {
					purged, err := refresh.PurgeSessions(t.Context(), configNow(), 90)
					if !assert.NoError(t, err) || purged == 0 {
						return
					}
					assert.LessOrEqual(t, purged, 90)
					all.Add(int64(purged))
				}
			})
		}
		purges.Wait()
		close(stop)
		refreshes.Wait()
		assert.Equal(t, int64(n), all.Load())
		assert.Equal(t, n+1, count(t, db, "refresh_tokens"))
	})
}

// An instance whose clock is a minute fast purges nothing that lives by any other's, nor
// what has expired by its own just now.
func TestPurgeByAFastClock(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		_, store := migrated(t, server)
		id, err := store.Stores().Users.CreateUser(t.Context(), ann())
		require.NoError(t, err)
		now := configNow()
		for i, left := range []time.Duration{-61 * time.Minute, -58 * time.Minute, -time.Second, time.Second, time.Hour} {
			s := newSession(byte(i+1), id)
			s.ExpiresAt = now.Add(left)
			require.NoError(t, store.Stores().Refresh.CreateSession(t.Context(), s, 1))
		}
		fast, err := auth.New(store.Stores(), auth.Config{
			Now:    func() time.Time { return now.Add(time.Minute) },
			Logger: slog.New(slog.DiscardHandler),
			Tokens: auth.TokenOptions{
				AccessKeys:  []auth.Key{auth.HMACKey([]byte(strings.Repeat("a", 32)))},
				RefreshKeys: []auth.Key{auth.HMACKey([]byte(strings.Repeat("r", 32)))},
			},
		})
		require.NoError(t, err)
		purged, err := fast.PurgeSessions(t.Context(), 0)
		require.NoError(t, err)
		assert.Equal(t, int64(1), purged)
		assert.Equal(t, "2345", sessionNumbers(t, store.Stores().Refresh))
	})
}
