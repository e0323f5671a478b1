package mysqlstore_test

import (
	"bytes"
	"context"
	"database/sql"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/faultproxy"
	"github.com/ostiary/auth/internal/mysqltest"
	"github.com/ostiary/auth/limit"
	"github.com/ostiary/auth/mysqlstore"
)

// pause is what a call is told to wait that the table could not answer.
const pause = time.Second

// busy takes one of k, which must be limited because the table could not be asked.
func busy(tb testing.TB, l limit.Limiter, b limit.Bucket) {
	tb.Helper()
	wait, err := l.Take(tb.Context(), "k", b, 1)
	require.NoError(tb, err)
	require.Equal(tb, pause, wait)
}

// A pool that has no connection to spare limits a key soon, and takes nothing.
func TestLimiterSaturatedPool(t *testing.T) {
	const size = 10
	db, store := migrated(t, mysqltest.Default(t))
	l, b := store.Limiter(), minutely(3)
	db.SetMaxOpenConns(size)
	var held []*sql.Conn
	for range size {
		c, err := db.Conn(t.Context())
		require.NoError(t, err)
		held = append(held, c)
	}
	for range b.Size + 2 {
		start := time.Now()
		busy(t, l, b)
		took := time.Since(start)
		assert.GreaterOrEqual(t, took, 250*time.Millisecond)
		assert.Less(t, took, 5*time.Second)
	}
	start := time.Now()
	_, err := l.Take(t.Context(), "k", b, -1)
	require.NoError(t, err)
	assert.Less(t, time.Since(start), 5*time.Second)
	for _, c := range held {
		require.NoError(t, c.Close())
	}
	store.SetLimiterTime(eventually)
	for range b.Size {
		took(t, l, "k", b)
	}
	isOver(t, l, "k", b)
}

// What could not be given back is given back with the next.
func TestLimiterOwes(t *testing.T) {
	dsn := mysqltest.Default(t).DSN(t)
	db, other := mysqltest.Open(t, dsn), mysqltest.Open(t, dsn)
	store := mysqlstore.New(db, mysqlstore.Options{})
	require.NoError(t, store.Migrate(t.Context()))
	l, b := store.Limiter(), minutely(3)
	another := patient(other).Limiter()
	store.SetLimiterTime(eventually)
	for range b.Size {
		took(t, l, "k", b)
	}
	unlock := lockLimits(t, mysqltest.Open(t, dsn))
	store.SetLimiterTime(time.Second) // the server ends what waits in a fifth of it
	for range b.Size - 1 {
		wait, err := l.Take(t.Context(), "k", b, -1)
		require.NoError(t, err)
		require.Zero(t, wait)
	}
	unlock()
	isOver(t, another, "k", b)
	store.SetLimiterTime(eventually)
	_, err := l.Take(t.Context(), "k", b, -1)
	require.NoError(t, err)
	another = patient(other).Limiter() // whose memory knows nothing of the refusal
	for range b.Size {
		took(t, another, "k", b)
	}
	isOver(t, another, "k", b)
}

// slowLimits is a store whose takes reach the server late while slow is set: after the call
// has been answered.
func slowLimits(t *testing.T, slow *atomic.Bool) (*sql.DB, *mysqlstore.Store) {
	t.Helper()
	dsn := mysqltest.Default(t).DSN(t)
	cfg, err := mysql.ParseDSN(dsn)
	require.NoError(t, err)
	p, err := faultproxy.New(faultproxy.MySQL, cfg.Net, cfg.Addr, func(c faultproxy.Command) faultproxy.Fault {
		if slow.Load() && c.Code == faultproxy.ComExecute && strings.Contains(c.Text, "INSERT INTO rate_limits") {
			return faultproxy.Fault{Delay: 400 * time.Millisecond}
		}
		return faultproxy.Fault{}
	})
	require.NoError(t, err)
	t.Cleanup(p.Close)
	cfg.Net, cfg.Addr = "tcp", p.Addr()
	store := mysqlstore.New(mysqltest.Open(t, cfg.FormatDSN()), mysqlstore.Options{})
	require.NoError(t, store.Migrate(t.Context()))
	return mysqltest.Open(t, dsn), store
}

// A take that comes too late for its call is settled with the next.
func TestLimiterSettlesLateTakes(t *testing.T) {
	var slow atomic.Bool
	db, store := slowLimits(t, &slow)
	store.SetLimiterTime(eventually)
	l, b := store.Limiter(), minutely(3)
	took(t, l, "k", b)
	_, err := l.Take(t.Context(), "k", b, -1)
	require.NoError(t, err)
	const column = "SELECT full_at FROM rate_limits"
	for range b.Size {
		before := rowsOf(t, db, column)
		slow.Store(true)
		store.SetLimiterTime(100 * time.Millisecond)
		busy(t, l, b)
		slow.Store(false)
		require.Eventually(t, func() bool { return !slices.EqualFunc(rowsOf(t, db, column), before, slices.Equal[[]string]) }, eventually, 10*time.Millisecond)
	}
	store.SetLimiterTime(eventually)
	for range b.Size {
		took(t, l, "k", b)
	}
	isOver(t, l, "k", b)
}

// What the table could not be asked for is not given back to it.
func TestLimiterGivesBackWhatItTook(t *testing.T) {
	db, store := migrated(t, mysqltest.Default(t))
	store.SetLimiterTime(eventually)
	l, b := store.Limiter(), minutely(5)
	for range 2 {
		took(t, l, "k", b)
	}
	mustExec(t, db, "RENAME TABLE rate_limits TO elsewhere")
	for range 2 {
		_, err := l.Take(t.Context(), "k", b, 1)
		require.Error(t, err)
		_, _ = l.Take(t.Context(), "k", b, -1)
	}
	mustExec(t, db, "RENAME TABLE elsewhere TO rate_limits")
	_, err := l.Take(t.Context(), "k", b, -1)
	require.NoError(t, err)
	another := patient(db).Limiter()
	for range b.Size - 1 {
		took(t, another, "k", b)
	}
	isOver(t, another, "k", b)
}

// lockLimits locks every row of rate_limits, and the gaps between them, until the test
// ends or the function is called.
func lockLimits(tb testing.TB, db *sql.DB) (unlock func()) {
	tb.Helper()
	tx, err := db.BeginTx(tb.Context(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	require.NoError(tb, err)
	_, err = tx.ExecContext(tb.Context(), "UPDATE rate_limits SET full_at = full_at + 1")
	require.NoError(tb, err)
	return func() { _ = tx.Rollback() }
}

// A flood whose statements all wait keeps four connections busy, and leaves the others of
// the pool to whoever else wants one.
//
// ASVS: 15.2.2.
func TestLimiterConnections(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		dsn := server.DSN(t)
		db, other := mysqltest.Open(t, dsn), mysqltest.Open(t, dsn)
		store := mysqlstore.New(db, mysqlstore.Options{})
		require.NoError(t, store.Migrate(t.Context()))
		db.SetMaxOpenConns(10)
		l, b := store.Limiter(), minutely(1000)
		took(t, patient(other).Limiter(), "k", b)
		unlock := lockLimits(t, other)
		defer unlock()
		var most atomic.Int64
		done := make(chan struct{})
		var watcher, flood sync.WaitGroup
		watcher.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					most.Store(max(most.Load(), int64(db.Stats().InUse)))
					time.Sleep(time.Millisecond)
				}
			}
		})
		for range 64 {
			flood.Go(func() {
				wait, err := l.Take(t.Context(), "k", b, 1)
				assert.NoError(t, err)
				assert.Equal(t, pause, wait)
			})
		}
		flood.Wait()
		close(done)
		watcher.Wait()
		assert.LessOrEqual(t, most.Load(), int64(4))
		assert.Positive(t, most.Load())
		unlock()
		store.SetLimiterTime(eventually)
		took(t, l, "k", b)
	})
}

// MariaDB ends a statement that waits by itself, so that it neither goes on waiting nor
// costs the connection.
func TestLimiterKeepsItsConnection(t *testing.T) {
	for _, server := range mariaDBs(t) {
		dsn := server.DSN(t)
		db, other := mysqltest.Open(t, dsn), mysqltest.Open(t, dsn)
		db.SetMaxOpenConns(1)
		require.NoError(t, migrate(t.Context(), db))
		l, b := patient(db).Limiter(), minutely(1000)
		took(t, l, "k", b)
		unlock := lockLimits(t, other)
		const session = "SELECT CONNECTION_ID(), @@max_statement_time"
		before := rowsOf(t, db, session)
		busy(t, l, b)
		_, err := l.Take(t.Context(), "k", b, -1)
		require.NoError(t, err)
		assert.Equal(t, before, rowsOf(t, db, session))
		unlock()
		took(t, l, "k", b)
		assert.Equal(t, before, rowsOf(t, db, session))
	}
}

// A statement that came into another's way limits its key and takes nothing; giving back
// tries again.
func TestLimiterConflicts(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		dsn := server.DSN(t)
		require.NoError(t, migrate(t.Context(), mysqltest.Open(t, dsn)))
		var conflicts atomic.Int64
		l := patient(loneConnection(t, dsn, func(_ int, packet []byte) fate {
			if bytes.Contains(packet, []byte("rate_limits")) && conflicts.Add(-1) >= 0 {
				refuse(packet)
			}
			return pass
		})).Limiter()
		b := minutely(3)
		conflicts.Store(4)
		for range 4 {
			busy(t, l, b)
		}
		for range b.Size {
			took(t, l, "k", b)
		}
		isOver(t, l, "k", b)
		conflicts.Store(3)
		_, err := l.Take(t.Context(), "k", b, -1)
		require.NoError(t, err)
		took(t, l, "k", b)
		isOver(t, l, "k", b)
	})
}

// alone takes what the process's own count allows, each with an error, and no more.
func alone(t *testing.T, l limit.Limiter, key string, b limit.Bucket, check func(err error)) {
	t.Helper()
	for range b.Size {
		wait, err := l.Take(t.Context(), key, b, 1)
		require.Error(t, err)
		require.Zero(t, wait)
		check(err)
	}
	isOver(t, l, key, b)
}

// A server that is gone is an outage, during which the process counts by itself.
//
// ASVS: 16.5.2.
func TestLimiterServerGone(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		private := server.Private(t)
		db, store := migrated(t, private)
		store.SetLimiterTime(eventually)
		l, b := store.Limiter(), minutely(3)
		took(t, l, "before", b)
		private.Kill(t)
		alone(t, l, "k", b, func(err error) {
			require.ErrorIs(t, err, auth.ErrUnavailable)
			assert.Contains(t, err.Error(), "mysqlstore: ")
		})
		wait, err := l.Take(t.Context(), "before", b, 0)
		require.NoError(t, err, "a look asks nobody")
		assert.Zero(t, wait)
		_, err = l.Take(t.Context(), "before", b, -1)
		require.ErrorIs(t, err, auth.ErrUnavailable)
		private.Restart(t)
		took(t, l, "another", b)
		isOver(t, l, "k", b)
		took(t, patient(db).Limiter(), "k", b)
	})
}

func TestLimiterTableMissing(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		db, store := migrated(t, server)
		store.SetLimiterTime(eventually)
		mustExec(t, db, "DROP TABLE rate_limits")
		alone(t, store.Limiter(), "k", minutely(3), func(err error) {
			require.NotErrorIs(t, err, auth.ErrUnavailable)
			require.ErrorContains(t, err, "rate_limits")
		})
	})
}

// Whoever has gone away is not told that the key is over; the take is counted, lest
// nobody count those who always go.
func TestLimiterCanceled(t *testing.T) {
	_, store := migrated(t, mysqltest.Default(t))
	l, b := store.Limiter(), minutely(2)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range b.Size {
		_, err := l.Take(ctx, "k", b, 1)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, auth.ErrUnavailable)
	}
	isOver(t, l, "k", b)

	ctx, cancel = context.WithTimeout(t.Context(), 0)
	defer cancel()
	_, err := l.Take(ctx, "other", b, 1)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// mariaDBs are the servers of Legs that are no MySQL.
func mariaDBs(t *testing.T) []*mysqltest.Server {
	t.Helper()
	var list []*mysqltest.Server
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		if strings.Contains(rowsOf(t, server.DB(t), "SELECT VERSION()")[0][0], "MariaDB") {
			list = append(list, server)
		}
	})
	return list
}
