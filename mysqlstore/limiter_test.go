package mysqlstore_test

import (
	"bytes"
	"database/sql"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/mysqltest"
	"github.com/ostiary/auth/limit"
	"github.com/ostiary/auth/mysqlstore"
	"github.com/ostiary/auth/storetest"
)

// limitersOn opens limiters of instances of their own on one database, in the tables of
// one of the migrations.
func limitersOn(server *mysqltest.Server, params ...string) func(tb testing.TB) storetest.Limiters {
	return func(tb testing.TB) storetest.Limiters {
		tb.Helper()
		db := server.DB(tb, params...)
		require.NoError(tb, migrateSessions(tb.Context(), db))
		return storetest.Limiters{
			Open: func() limit.Limiter { return patient(db).Limiter() },
			Advance: func(d time.Duration) {
				mustExec(tb, db, "UPDATE rate_limits SET full_at = full_at - ?", d.Microseconds())
			},
		}
	}
}

// ASVS: 6.3.1.
func TestLimiterConforms(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		level := isolationVariable(t, server)
		for name, params := range map[string][]string{
			"default":      nil,
			"zones":        {"time_zone='%2B09:00'", "clientFoundRows=true", "parseTime=true", "loc=Asia%2FTokyo", "sql_mode=''"},
			"interpolated": {"interpolateParams=true", "sql_mode='ANSI,NO_BACKSLASH_ESCAPES,TRADITIONAL'", level + "='SERIALIZABLE'"},
		} {
			t.Run(name, func(t *testing.T) { storetest.RunLimiter(t, limitersOn(server, params...)) })
		}
	})
}

// minutely is a budget of size, which a minute refills by one.
func minutely(size int) limit.Bucket { return limit.Bucket{Size: size, Every: time.Minute} }

// patient is a store on db whose limiter waits as long as a slow machine needs.
func patient(db *sql.DB) *mysqlstore.Store {
	store := mysqlstore.New(db, mysqlstore.Options{})
	store.SetLimiterTime(eventually)
	return store
}

// took takes one, which must succeed.
func took(tb testing.TB, l limit.Limiter, key string, b limit.Bucket) {
	tb.Helper()
	wait, err := l.Take(tb.Context(), key, b, 1)
	require.NoError(tb, err)
	require.Zero(tb, wait)
}

// isOver takes one, which the budget must not hold, and returns the wait.
func isOver(tb testing.TB, l limit.Limiter, key string, b limit.Bucket) time.Duration {
	tb.Helper()
	wait, err := l.Take(tb.Context(), key, b, 1)
	require.NoError(tb, err)
	require.Positive(tb, wait)
	require.LessOrEqual(tb, wait, b.Every)
	return wait
}

func TestLimiterIsOneOfTheStore(t *testing.T) {
	db, store := migrated(t, mysqltest.Default(t))
	assert.Same(t, store.Limiter(), store.Limiter())
	assert.Same(t, store.Limiter(), store.Stores().Limiter)
	assert.NotSame(t, store.Limiter(), mysqlstore.New(db, mysqlstore.Options{}).Limiter())
}

// A key that is known to be over costs no statement, whoever has found out; neither does
// a look.
func TestLimiterStatements(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		dsn := server.DSN(t)
		other := patient(mysqltest.Open(t, dsn))
		require.NoError(t, other.Migrate(t.Context()))
		var sent commands
		l := patient(loneConnection(t, dsn, sent.record)).Limiter()
		takes := func() []string {
			return slices.DeleteFunc(sent.take(), func(s string) bool { return strings.Contains(s, "prepare") })
		}
		b := minutely(2)

		took(t, l, "own", b)
		took(t, l, "own", b)
		assert.Equal(t, []string{"execute", "execute"}, takes())
		isOver(t, l, "own", b)
		assert.Empty(t, takes(), "its own takes were all")

		took(t, other.Limiter(), "others", b)
		took(t, other.Limiter(), "others", b)
		isOver(t, l, "others", b)
		assert.Equal(t, []string{"execute"}, takes(), "the table knew")
		for _, n := range []int{0, 1, 2} {
			wait, err := l.Take(t.Context(), "others", b, n)
			require.NoError(t, err)
			assert.Greater(t, wait, time.Duration(max(0, n-1))*time.Minute)
		}
		for _, key := range []string{"own", "others", "new"} {
			_, err := l.Take(t.Context(), key, b, 0)
			require.NoError(t, err)
		}
		assert.Empty(t, takes())

		_, err := l.Take(t.Context(), "own", b, -1)
		require.NoError(t, err)
		took(t, l, "own", b)
		assert.Equal(t, []string{"execute", "execute"}, takes())
	})
}

// What the table has refused is refused for as long as it said, and no longer.
func TestLimiterRefusalEnds(t *testing.T) {
	db, store := migrated(t, mysqltest.Default(t))
	b := limit.Bucket{Size: 1, Every: 300 * time.Millisecond}
	took(t, store.Limiter(), "k", b)
	other := patient(db).Limiter()
	wait, err := other.Take(t.Context(), "k", b, 1)
	require.NoError(t, err)
	assert.LessOrEqual(t, wait, b.Every)
	assert.Eventually(t, func() bool {
		wait, err := other.Take(t.Context(), "k", b, 1)
		return wait == 0 && err == nil
	}, eventually, tick)
}

// Nobody who reads the table reads an address.
func TestLimiterHidesKeys(t *testing.T) {
	db, _ := migrated(t, mysqltest.Default(t))
	took(t, patient(db).Limiter(), "account ann@example.com", minutely(5))
	dump := dumpOf(t, db)
	assert.Len(t, rowsOf(t, db, "SELECT id FROM rate_limits"), 1)
	for _, s := range []string{"ann", "account", hex.EncodeToString([]byte("ann@"))} {
		assert.NotContains(t, strings.ToLower(dump), s)
	}
}

// Each hundredth take deletes rows of budgets that have been full for a while, the oldest
// first, some hundred at most, and no others.
//
// ASVS: 14.2.7.
func TestLimiterPurges(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		db, _ := migrated(t, server, "time_zone='%2B09:00'")
		add := func(name string, n int, from string) {
			for i := range n {
				mustExec(t, db, "INSERT INTO rate_limits VALUES (RPAD(?, 32, '-'), "+
					"TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) "+from+" + ?)", fmt.Sprint(name, i), i)
			}
		}
		add("old", 150, "- 7200000000")
		add("older", 150, "- 36000000000")
		add("recent", 5, "- 5000000")
		add("live", 5, "+ 600000000")
		left := func(name string) int {
			return len(rowsOf(t, db, "SELECT id FROM rate_limits WHERE id LIKE '"+name+"%-' AND id NOT LIKE '"+name+"er%'"))
		}
		l := patient(db).Limiter()
		b := minutely(1000)
		for i := range 99 {
			took(t, l, fmt.Sprint(i%7), b)
		}
		assert.Equal(t, []int{150, 150}, []int{left("older"), left("old")})
		took(t, l, "k", b)
		assert.Equal(t, []int{0, 100}, []int{left("older"), left("old")})
		for range 100 {
			took(t, l, "k", b)
		}
		assert.Equal(t, []int{0, 5, 5}, []int{left("old"), left("recent"), left("live")})
		assert.Len(t, rowsOf(t, db, "SELECT id FROM rate_limits"), 5+5+8)
	})
}

// A purge that fails is no failure of the take it came with.
func TestLimiterPurgeFails(t *testing.T) {
	for _, word := range []string{"SELECT id FROM rate_limits", "DELETE", "COMMIT"} {
		dsn := mysqltest.Default(t).DSN(t)
		db := mysqltest.Open(t, dsn)
		require.NoError(t, migrate(t.Context(), db))
		mustExec(t, db, "INSERT INTO rate_limits VALUES (REPEAT('x', 32), 0)")
		var refused atomic.Int64
		l := patient(loneConnection(t, dsn, func(_ int, packet []byte) fate {
			if bytes.Contains(packet, []byte(word)) {
				refused.Add(1)
				refuse(packet)
			}
			return pass
		})).Limiter()
		for range 200 {
			took(t, l, "k", minutely(1000))
		}
		assert.Equal(t, int64(2), refused.Load(), word)
	}
}
