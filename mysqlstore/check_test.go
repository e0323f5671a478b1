package mysqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/mysqltest"
	"github.com/ostiary/auth/mysqlstore"
)

// problems returns the problems that Check finds, with their mends.
func problems(t *testing.T, db *sql.DB) []string {
	t.Helper()
	findings, err := mysqlstore.New(db, mysqlstore.Options{}).Check(t.Context(), auth.CheckInput{})
	require.NoError(t, err)
	var list []string
	for _, f := range findings {
		assert.NotEmpty(t, f.Mend)
		list = append(list, f.String())
	}
	return list
}

func TestCheckFindsNothing(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		for _, params := range []string{"parseTime=true", "time_zone='%2B09:00'", "clientFoundRows=true", "interpolateParams=true"} {
			db, _ := migrated(t, server, params)
			assert.Empty(t, problems(t, db), params)
		}
	})
}

// The sessions of a host with users of its own are looked at by another method than ours:
// each says that the other's table is not the right one.
func TestCheckSessions(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		db := server.DB(t)
		store := mysqlstore.New(db, mysqlstore.Options{})
		findings, err := store.CheckSessions(t.Context(), auth.CheckInput{})
		require.NoError(t, err)
		assert.Equal(t, []auth.Finding{
			{Problem: "table refresh_tokens is missing", Mend: "call MigrateSessions"},
			{Problem: "table rate_limits is missing", Mend: "call MigrateSessions"},
		}, findings)
		require.NoError(t, store.MigrateSessions(t.Context()))
		run(t, db, "CREATE TABLE users (uuid CHAR(36) PRIMARY KEY);\n")
		findings, err = store.CheckSessions(t.Context(), auth.CheckInput{})
		require.NoError(t, err)
		assert.Empty(t, findings, "the users are the host's")
		assert.NotEmpty(t, problems(t, db))

		_, shared := migrated(t, server)
		findings, err = shared.CheckSessions(t.Context(), auth.CheckInput{})
		require.NoError(t, err)
		assert.NotEmpty(t, findings)
	})
}

// Looks that leave no connection for each other do not wait for ever.
func TestCheckAtOnceOnASmallPool(t *testing.T) {
	db, store := migrated(t, mysqltest.Default(t))
	const looks = 4
	db.SetMaxOpenConns(looks)
	ctx, cancel := context.WithTimeout(t.Context(), eventually)
	defer cancel()
	var errs [looks]error
	var wg sync.WaitGroup
	for i := range looks {
		wg.Go(func() { _, errs[i] = store.Check(ctx, auth.CheckInput{}) })
	}
	wg.Wait()
	assert.NoError(t, errors.Join(errs[:]...))
}

func TestCheckFindsAStandingSysdate(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		db, _ := migrated(t, server.Private(t, "--sysdate-is-now"))
		got := problems(t, db)
		require.Len(t, got, 1)
		assert.Contains(t, got[0], "sysdate-is-now")
	})
}

// One connection is enough, and connections that are in use are not waited for.
func TestCheckOnASmallPool(t *testing.T) {
	db, store := migrated(t, mysqltest.Default(t))
	db.SetMaxOpenConns(2)
	busy, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, busy.Close()) }()
	ctx, cancel := context.WithTimeout(t.Context(), eventually)
	defer cancel()
	findings, err := store.Check(ctx, auth.CheckInput{})
	require.NoError(t, err)
	assert.Empty(t, findings)
	assert.Equal(t, 1, db.Stats().InUse)
}

func TestCheckFindsSettings(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		for param, want := range map[string]string{
			"sql_mode=''":                     "sql_mode is not strict",
			"sql_mode='NO_ZERO_DATE'":         "sql_mode is not strict",
			"charset=latin1":                  "character set is latin1",
			"charset=utf8":                    "character set is utf8",
			"autocommit=0":                    "autocommit is off",
			"foreign_key_checks=0":            "foreign_key_checks is off",
			"unique_checks=0":                 "unique_checks is off",
			"sql_mode='STRICT_ALL_TABLES'":    "",
			"sql_mode='TRADITIONAL'":          "",
			"collation=utf8mb4_unicode_ci":    "",
			"innodb_lock_wait_timeout=5":      "",
			"charset=utf8mb4&loc=Asia%2FAden": "",
		} {
			dsn := server.DSN(t)
			require.NoError(t, migrate(t.Context(), mysqltest.Open(t, dsn)))
			got := problems(t, mysqltest.Open(t, dsn, param))
			if want == "" {
				assert.Empty(t, got, param)
				continue
			}
			require.Len(t, got, 1, param)
			assert.Contains(t, got[0], want, param)
		}
	})
}

// A session whose time stands still, or goes by another clock.
func TestCheckFindsAPinnedTime(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		dsn := server.DSN(t)
		require.NoError(t, migrate(t.Context(), mysqltest.Open(t, dsn)))
		got := problems(t, mysqltest.Open(t, dsn, "timestamp=1500000000"))
		require.Len(t, got, 2)
		assert.Contains(t, got[0], "@@timestamp is set")
		assert.Contains(t, got[1], "the clock of this process is ")
	})
}

func TestCheckFindsAReadOnlyServer(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		db, _ := migrated(t, server.Private(t))
		mustExec(t, db, "SET GLOBAL read_only = 1")
		got := problems(t, db)
		require.Len(t, got, 1)
		assert.Contains(t, got[0], "read-only")
	})
}

// A log of statements cannot hold what is done at READ COMMITTED.
func TestCheckFindsAStatementLog(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		private := server.Private(t, "--log-bin=bin")
		for format, found := range map[string]bool{"STATEMENT": true, "MIXED": false, "ROW": false} {
			mustExec(t, private.DB(t), "SET GLOBAL binlog_format = "+format) // of the connections to come
			db, store := migrated(t, private)
			_, err := store.Stores().Users.CreateUser(t.Context(), ann())
			require.NoError(t, err)
			got := problems(t, db)
			err = store.Stores().Accounts.SetDisabled(t.Context(), "1", true)
			if !found {
				assert.Empty(t, got)
				require.NoError(t, err, format)
				continue
			}
			require.Len(t, got, 1)
			assert.Contains(t, got[0], "binlog_format is STATEMENT")
			require.Error(t, err)
			require.NotErrorIs(t, err, auth.ErrUnavailable)
		}
	})
}

// nodes hands out connections to several servers in turn, as a proxy does.
type nodes struct {
	list []driver.Connector
	n    atomic.Int64
}

func (c *nodes) Connect(ctx context.Context) (driver.Conn, error) {
	return c.list[c.n.Add(1)%int64(len(c.list))].Connect(ctx)
}

func (c *nodes) Driver() driver.Driver { return c.list[0].Driver() }

// The connections of one pool lead to nodes whose clocks or settings differ.
func TestCheckLooksAtSeveralConnections(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		dsn := server.DSN(t)
		require.NoError(t, migrate(t.Context(), mysqltest.Open(t, dsn)))
		pool := func(ahead time.Duration, params string) *sql.DB {
			now := time.Now()
			c := &nodes{}
			for _, d := range []string{
				fmt.Sprintf("%s&timestamp=%.6f%s", withQuestionMark(dsn), float64(now.Add(ahead).UnixMicro())/1e6, params),
				dsn, // the first
			} {
				cfg, err := mysql.ParseDSN(d)
				require.NoError(t, err)
				connector, err := mysql.NewConnector(cfg)
				require.NoError(t, err)
				c.list = append(c.list, connector)
			}
			db := sql.OpenDB(c)
			t.Cleanup(func() { assert.NoError(t, db.Close()) })
			return db
		}
		got := strings.Join(problems(t, pool(8*time.Second, "&sql_mode=''")), "\n")
		assert.Contains(t, got, "ahead of that of")
		assert.Contains(t, got, "sql_mode is not strict")
		got = strings.Join(problems(t, pool(3*time.Second, "")), "\n")
		assert.NotContains(t, got, "ahead of that of")
	})
}

// So is the clock that tokens are dated by, for either kind of host.
func TestCheckFindsTheConfigsClock(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		_, store := migrated(t, server)
		hosts := mysqlstore.New(server.DB(t), mysqlstore.Options{})
		require.NoError(t, hosts.MigrateSessions(t.Context()))
		for _, check := range []func(context.Context, auth.CheckInput) ([]auth.Finding, error){store.Stores().Check, hosts.CheckSessions} {
			for ahead, want := range map[time.Duration]string{
				0: "", 3 * time.Second: "", -3 * time.Second: "",
				8 * time.Second:  "the clock of Config.Now is ",
				-8 * time.Second: "ahead of that of Config.Now",
			} {
				findings, err := check(t.Context(), auth.CheckInput{Now: func() time.Time { return time.Now().Add(ahead) }})
				require.NoError(t, err)
				if want == "" {
					assert.Empty(t, findings, ahead)
					continue
				}
				require.Len(t, findings, 1, ahead)
				assert.Contains(t, findings[0].Problem, want)
				assert.NotEmpty(t, findings[0].Mend)
			}
		}
	})
}

func withQuestionMark(dsn string) string {
	if strings.Contains(dsn[strings.LastIndexByte(dsn, '/'):], "?") {
		return dsn
	}
	return dsn + "?parseTime=false"
}

func TestCheckFindsTables(t *testing.T) {
	tutorial, err := os.ReadFile("testdata/tutorial.sql")
	require.NoError(t, err)
	users, refresh, limits := up(t, "00001_users.sql"), up(t, "00002_refresh_tokens.sql"), up(t, "00003_rate_limits.sql")
	const half = "CREATE TABLE tutorial_refresh_tokens (user_id INT NOT NULL, token VARCHAR(35) NOT NULL, created_at DATETIME NOT NULL);\n"
	for name, c := range map[string]struct {
		tables string
		want   []string // of each finding
		mend   string
	}{
		"empty":           {"", []string{"table users is missing", "table refresh_tokens is missing", "table rate_limits is missing"}, "call Migrate"},
		"one":             {users + limits, []string{"table refresh_tokens is missing"}, "call Migrate"},
		"an older schema": {users + refresh, []string{"table rate_limits is missing"}, "call Migrate"},
		"column missing":  {users + refresh + limits + "ALTER TABLE users DROP COLUMN updated_at;\n", []string{"column updated_at of table users is missing"}, "by hand"},
		"column differs": {
			users + refresh + limits + "ALTER TABLE users MODIFY name VARCHAR(30) COLLATE utf8mb4_bin NOT NULL;\n",
			[]string{"column name of table users is varchar(30) collate utf8mb4_bin not null, not varchar(255) collate utf8mb4_bin not null"},
			"by hand",
		},
		"index missing":       {users + refresh + limits + "ALTER TABLE refresh_tokens DROP KEY expires_at;\n", []string{"index expires_at (expires_at) of table refresh_tokens"}, "by hand"},
		"index of the limits": {users + refresh + limits + "ALTER TABLE rate_limits DROP KEY full_at;\n", []string{"index full_at (full_at) of table rate_limits"}, "by hand"},
		"foreign key":         {users + refresh + limits + "ALTER TABLE refresh_tokens DROP FOREIGN KEY refresh_tokens_user;\n", []string{"foreign key refresh_tokens_user"}, "by hand"},
		"the tutorial's": {string(tutorial) + "DROP TABLE refresh_tokens;\n" + half, []string{
			"column name of table users is varchar(30)", "column email of table users is varchar(40)",
			"column email_key of table users is missing", "column password of table users is varchar(70)",
			"column auth_version of table users is missing", "table refresh_tokens is missing",
			"table rate_limits is missing",
		}, "UpgradeTutorial"},
	} {
		t.Run(name, func(t *testing.T) {
			mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
				db := server.DB(t)
				run(t, db, c.tables)
				got := problems(t, db)
				for _, want := range c.want {
					assert.Contains(t, strings.Join(got, "\n"), want)
				}
				for _, problem := range got {
					assert.Contains(t, problem, c.mend)
				}
				if c.mend != "UpgradeTutorial" {
					assert.Len(t, got, len(c.want), "%v", got)
				}
			})
		})
	}
}

// A look that fails gives its connections back.
func TestCheckFailing(t *testing.T) {
	db, store := migrated(t, mysqltest.Default(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := store.Check(ctx, auth.CheckInput{})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, auth.ErrUnavailable)
	assert.Equal(t, 0, db.Stats().InUse)
}
