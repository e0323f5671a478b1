package mysqltest_test

import (
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/mysqltest"
)

func TestDatabasesAreSeparate(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		ctx := t.Context()
		one, two := s.DB(t), s.DB(t)
		for _, statement := range []string{"CREATE TABLE t (s VARCHAR(9))", "INSERT INTO t VALUES ('ß')"} {
			_, err := one.ExecContext(ctx, statement)
			require.NoError(t, err)
		}
		var n int
		err := two.QueryRowContext(ctx, "SELECT COUNT(*) FROM t").Scan(&n)
		var no *mysql.MySQLError
		require.ErrorAs(t, err, &no)
		assert.EqualValues(t, 1146, no.Number)

		require.NoError(t, one.QueryRowContext(ctx, "SELECT COUNT(*) FROM t WHERE s = 'S'").Scan(&n))
		assert.Equal(t, 1, n, "a column that names no collation must hold different letters equal")
	})
}

func TestDatabaseEndsWithItsTest(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		var dsn string
		t.Run("test", func(t *testing.T) {
			dsn = s.DSN(t)
			require.NoError(t, mysqltest.Open(t, dsn).PingContext(t.Context()))
		})
		var no *mysql.MySQLError
		require.ErrorAs(t, mysqltest.Open(t, dsn).PingContext(t.Context()), &no)
		assert.EqualValues(t, 1049, no.Number)
	})
}

func TestParams(t *testing.T) {
	s := mysqltest.Default(t)
	const now = "SELECT UTC_TIMESTAMP(6)"
	var at time.Time
	require.Error(t, s.DB(t).QueryRowContext(t.Context(), now).Scan(&at))
	require.NoError(t, s.DB(t, "parseTime=true").QueryRowContext(t.Context(), now).Scan(&at))

	dsn := s.DSN(t, "parseTime=true", "loc=Asia%2FTokyo")
	for _, db := range []string{dsn, dsn + "&clientFoundRows=true"} {
		pool := mysqltest.Open(t, db, "time_zone=%27%2B09%3A00%27")
		var zone string
		require.NoError(t, pool.QueryRowContext(t.Context(), "SELECT @@time_zone, NOW(6)").Scan(&zone, &at))
		assert.Equal(t, "+09:00", zone)
		assert.Equal(t, "Asia/Tokyo", at.Location().String())
	}
}

func TestOpenRefusesABadOption(t *testing.T) {
	end := observe(t, func(tb *fakeTB) { mysqltest.Open(tb, "root@tcp(127.0.0.1:1)/", "parseTime=perhaps") })
	assert.Contains(t, end.fatal, "perhaps")
}

func TestManyConnections(t *testing.T) {
	db := mysqltest.Default(t).DB(t)
	for range 250 {
		conn, err := db.Conn(t.Context())
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
	}
}
