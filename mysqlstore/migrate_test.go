package mysqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"maps"
	"os"
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
	"github.com/ostiary/auth/internal/mysqltest"
	"github.com/ostiary/auth/mysqlstore"
)

func migrate(ctx context.Context, db *sql.DB) error {
	return mysqlstore.New(db, mysqlstore.Options{}).Migrate(ctx)
}

func migrateSessions(ctx context.Context, db *sql.DB) error {
	return mysqlstore.New(db, mysqlstore.Options{}).MigrateSessions(ctx)
}

// bothMigrations are the two calls, for what holds of both.
func bothMigrations() map[string]func(context.Context, *sql.DB) error {
	return map[string]func(context.Context, *sql.DB) error{"Migrate": migrate, "MigrateSessions": migrateSessions}
}

func TestSchemaForPeopleIsTheSchema(t *testing.T) {
	text, err := os.ReadFile("../schema.sql")
	require.NoError(t, err)
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		db, _ := migrated(t, server)
		people := server.DB(t)
		run(t, people, string(text))
		made := tablesOf(t, db)
		assert.Len(t, made, 3)
		assert.Equal(t, made, tablesOf(t, people))
	})
}

// The files are what goose reads: their Ups make what Migrate makes, their Downs remove
// it again.
func TestMigrationsAreGooseFiles(t *testing.T) {
	files := mysqlstore.Migrations()
	for dir, c := range map[string]struct {
		names []string
		call  func(context.Context, *sql.DB) error
	}{
		".":        {[]string{"00001_users.sql", "00002_refresh_tokens.sql", "00003_rate_limits.sql"}, migrate},
		"sessions": {[]string{"sessions/00001_refresh_tokens.sql", "sessions/00002_rate_limits.sql"}, migrateSessions},
	} {
		names, err := fs.Glob(files, strings.TrimPrefix(dir+"/*.sql", "./"))
		require.NoError(t, err)
		assert.Equal(t, c.names, names)
		server := mysqltest.Default(t)
		db, want := server.DB(t), server.DB(t)
		require.NoError(t, c.call(t.Context(), want))
		var downs []string
		for _, name := range names {
			text, err := fs.ReadFile(files, name)
			require.NoError(t, err)
			up, down, found := strings.Cut(string(text), "-- +goose Down\n")
			require.True(t, found)
			up, found = strings.CutPrefix(up, "-- +goose Up\n")
			require.True(t, found)
			run(t, db, up)
			downs = append([]string{down}, downs...)
		}
		assert.Equal(t, tablesOf(t, want), tablesOf(t, db))
		require.NoError(t, c.call(t.Context(), db), "it has nothing to do then")
		for _, down := range downs {
			run(t, db, down)
		}
		assert.Empty(t, tablesOf(t, db))
	}
}

// A second call, and one after rows came, only looks.
func TestMigrateAgainChangesNothing(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		for name, call := range bothMigrations() {
			dsn := server.DSN(t)
			db := mysqltest.Open(t, dsn)
			require.NoError(t, call(t.Context(), db))
			if name == "Migrate" {
				_, err := mysqlstore.New(db, mysqlstore.Options{}).Stores().Users.CreateUser(t.Context(), ann())
				require.NoError(t, err)
			}
			before := dumpOf(t, db)
			var sent commands
			require.NoError(t, call(t.Context(), loneConnection(t, dsn, sent.record)))
			for _, text := range sent.take() {
				assert.Regexp(t, "^query (SELECT|SET SESSION) ", text)
			}
			assert.Equal(t, before, dumpOf(t, db))
		}
	})
}

// A database that an earlier version has migrated, and has rows, gets what is missing.
func TestMigrateAddsTables(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		for name, call := range bothMigrations() {
			want, db := server.DB(t), server.DB(t)
			require.NoError(t, call(t.Context(), want))
			require.NoError(t, call(t.Context(), db))
			run(t, db, "DROP TABLE rate_limits;\n")
			if name == "Migrate" {
				_, err := mysqlstore.New(db, mysqlstore.Options{}).Stores().Users.CreateUser(t.Context(), ann())
				require.NoError(t, err)
			}
			before := dumpOf(t, db)
			require.NoError(t, call(t.Context(), db))
			assert.Equal(t, slices.Sorted(maps.Keys(tablesOf(t, want))), slices.Sorted(maps.Keys(tablesOf(t, db))))
			run(t, db, "DROP TABLE rate_limits;\n")
			assert.Equal(t, before, dumpOf(t, db))
		}
	})
}

func TestMigrateFromEightInstancesAtOnce(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		for _, call := range bothMigrations() {
			want := server.DB(t)
			require.NoError(t, call(t.Context(), want))
			for range 5 {
				dsn := server.DSN(t)
				start := make(chan struct{})
				var wg sync.WaitGroup
				for range 8 {
					db := mysqltest.Open(t, dsn)
					require.NoError(t, db.PingContext(t.Context()))
					wg.Go(func() {
						<-start
						assert.NoError(t, call(t.Context(), db))
					})
				}
				close(start)
				wg.Wait()
				assert.Equal(t, tablesOf(t, want), tablesOf(t, mysqltest.Open(t, dsn)))
			}
		}
	})
}

// up is the statements of Migrate or MigrateSessions.
func up(t *testing.T, name string) string {
	t.Helper()
	text, err := fs.ReadFile(mysqlstore.Migrations(), name)
	require.NoError(t, err)
	s, _, _ := strings.Cut(string(text), "-- +goose Down\n")
	return strings.TrimPrefix(s, "-- +goose Up\n")
}

// Tables that are not ours stop a migration before it has made any.
func TestMigrateStopsAtForeignTables(t *testing.T) {
	tutorial, err := os.ReadFile("testdata/tutorial.sql")
	require.NoError(t, err)
	const upgrade, own = "UpgradeTutorial", "examples/ownusers"
	users, refresh, sessions := up(t, "00001_users.sql"), up(t, "00002_refresh_tokens.sql"), up(t, "sessions/00001_refresh_tokens.sql")
	const theirUsers = "CREATE TABLE users (id INT PRIMARY KEY, login VARCHAR(20));\nINSERT INTO users VALUES (1, 'x');\n"
	const theirTokens = "CREATE TABLE refresh_tokens (id INT PRIMARY KEY);\n"
	const keep = "-" // nothing is wrong
	for name, c := range map[string]struct {
		tables            string
		migrate, sessions string // what the error of the call names
	}{
		"their users":           {theirUsers, own, keep},
		"their tokens":          {theirTokens, own, own},
		"both":                  {theirUsers + theirTokens, own, own},
		"our users":             {users + theirTokens, own, own},
		"our tokens":            {theirUsers + sessions, own, keep},
		"sessions alone":        {sessions, own, keep},
		"all of ours":           {users + refresh, keep, own},
		"their rate limits":     {"CREATE TABLE rate_limits (id INT PRIMARY KEY);\n", own, own},
		"rate limits, no index": {up(t, "00003_rate_limits.sql") + "ALTER TABLE rate_limits DROP KEY full_at;\n", own, own},
		"a view":                {"CREATE TABLE people (id INT);\nCREATE VIEW users AS SELECT id FROM people;\n", own, keep},
		"column missing":        {users + refresh + "ALTER TABLE users DROP COLUMN updated_at;\n", own, own},
		"column of other type":  {users + "ALTER TABLE users MODIFY name VARCHAR(30) COLLATE utf8mb4_bin NOT NULL;\n", own, keep},
		"column nullable":       {users + "ALTER TABLE users MODIFY email_key VARBINARY(254) NULL;\n", own, keep},
		"other collation":       {users + "ALTER TABLE users MODIFY name VARCHAR(255) COLLATE utf8mb4_general_ci NOT NULL;\n", own, keep},
		"no auto increment":     {users + "ALTER TABLE users MODIFY id BIGINT NOT NULL;\n", own, keep},
		"index missing":         {users + "ALTER TABLE users DROP KEY email_key;\n", own, keep},
		"index not unique":      {users + "ALTER TABLE users DROP KEY email_key, ADD KEY email_key (email_key);\n", own, keep},
		"index of more columns": {users + "ALTER TABLE users DROP KEY email_key, ADD UNIQUE KEY email_key (email_key, name);\n", own, keep},
		"no foreign key":        {users + refresh + "ALTER TABLE refresh_tokens DROP FOREIGN KEY refresh_tokens_user;\n", own, own},
		"other foreign key": {users + refresh + "ALTER TABLE refresh_tokens DROP FOREIGN KEY refresh_tokens_user;\n" +
			"ALTER TABLE refresh_tokens ADD CONSTRAINT refresh_tokens_user FOREIGN KEY (user_id) REFERENCES users (id);\n", own, own},
		"the tutorial's":          {string(tutorial), upgrade, upgrade},
		"the tutorial's, no rows": {string(tutorial) + "DELETE FROM users;\n", upgrade, upgrade},
		"the tutorial's and more": {string(tutorial) + "ALTER TABLE users ADD phone VARCHAR(20);\n", own, own},
		"the tutorial's users":    {string(tutorial) + "DROP TABLE refresh_tokens;\n", upgrade, keep},
		"the tutorial's, renamed": {string(tutorial) + "RENAME TABLE refresh_tokens TO tutorial_refresh_tokens;\n", upgrade, upgrade},
	} {
		t.Run(name, func(t *testing.T) {
			mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
				for call, want := range map[string]string{"Migrate": c.migrate, "MigrateSessions": c.sessions} {
					db := server.DB(t)
					run(t, db, c.tables)
					before := dumpOf(t, db)
					err := bothMigrations()[call](t.Context(), db)
					if want == keep {
						require.NoError(t, err, call)
						continue
					}
					require.Error(t, err, call)
					assert.Contains(t, err.Error(), want, call)
					assert.NotContains(t, err.Error(), strings.NewReplacer(upgrade, own, own, upgrade).Replace(want), call)
					require.NotErrorIs(t, err, auth.ErrUnavailable)
					assert.Equal(t, before, dumpOf(t, db), call)
				}
			})
		})
	}
}

// What UpgradeTutorial leaves behind when it is killed is UpgradeTutorial's.
func TestMigrateAfterAHalfMadeUpgrade(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		for n := 1; ; n++ {
			dsn := tutorialDSN(t, server)
			changed := 0
			through := newRelay(t, dsn, func(_ int, packet []byte) fate {
				if changes.Match(packet) {
					changed++
				}
				if changed == n {
					return cutAnswered
				}
				return pass
			}, func() {})
			db := mysqltest.Open(t, dsn)
			if upgrade(t.Context(), quiet(t, through)) == nil {
				require.NoError(t, migrate(t.Context(), db))
				require.Greater(t, n, 5, "that was no upgrade")
				return
			}
			before := dumpOf(t, db)
			if err := migrate(t.Context(), db); err != nil {
				require.ErrorContains(t, err, "UpgradeTutorial", "after change %d", n)
			} else { // the last change was made
				run(t, db, "DROP TABLE rate_limits;\n")
			}
			assert.Equal(t, before, dumpOf(t, db), "after change %d", n)
		}
	})
}

// What a host has added to our tables, and its other tables, stay.
func TestMigrateLeavesTheHostsAlone(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		for name, call := range bothMigrations() {
			db := server.DB(t)
			run(t, db, "CREATE TABLE orders (id INT PRIMARY KEY);\nCREATE TABLE Usr (id INT);\nINSERT INTO orders VALUES (7);\n")
			require.NoError(t, call(t.Context(), db))
			run(t, db, "ALTER TABLE refresh_tokens ADD country CHAR(2), ADD KEY reason (reason);\n")
			if name == "Migrate" {
				run(t, db, "ALTER TABLE users ADD phone VARCHAR(20) FIRST, ADD KEY name (name), ADD UNIQUE KEY phone (phone);\n")
			}
			before := dumpOf(t, db)
			require.NoError(t, call(t.Context(), db))
			assert.Equal(t, before, dumpOf(t, db))
			assert.Contains(t, before, `["7"]`)
		}
	})
}

// Killed around each of its commands, and called again, a migration ends as if it had
// not been disturbed.
func TestMigrateCutOff(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		for _, call := range bothMigrations() {
			want := server.DB(t)
			require.NoError(t, call(t.Context(), want))
			for _, f := range []fate{cutInFlight, cutAnswered} {
				for n := 1; ; n++ {
					dsn := server.DSN(t)
					db := mysqltest.Open(t, dsn)
					err := call(t.Context(), quiet(t, newRelay(t, dsn, at(n, f), func() {})))
					if err == nil {
						require.Greater(t, n, 5, "that was no migration")
						break
					}
					require.ErrorIs(t, err, auth.ErrUnavailable, "command %d", n)
					require.NoError(t, call(t.Context(), db), "command %d", n)
					require.Equal(t, tablesOf(t, want), tablesOf(t, db), "command %d", n)
				}
			}
		}
	})
}

// The server is killed after each table was made.
func TestMigrateServerKilled(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		private := server.Private(t)
		want := server.DB(t)
		require.NoError(t, migrate(t.Context(), want))
		for n := 1; n <= 3; n++ {
			dsn := private.DSN(t)
			made := 0
			through := newRelay(t, dsn, func(_ int, packet []byte) fate {
				if strings.HasPrefix(string(packet), "\x03CREATE") {
					made++
				}
				if made == n {
					return cutAnswered
				}
				return pass
			}, func() { private.Kill(t) })
			require.ErrorIs(t, migrate(t.Context(), quiet(t, through)), auth.ErrUnavailable)
			private.Restart(t)
			db := mysqltest.Open(t, dsn)
			assert.Len(t, tablesOf(t, db), n)
			require.NoError(t, migrate(t.Context(), db))
			assert.Equal(t, tablesOf(t, want), tablesOf(t, db))
		}
	})
}

// refuse turns a query into one that the server answers with a deadlock.
func refuse(packet []byte) {
	const refusal = "\x03SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213"
	if len(packet) > len(refusal) {
		copy(packet, refusal+strings.Repeat(" ", len(packet)-len(refusal)))
	}
}

// On a cluster another node's migration may end each of the commands, a look at the
// tables too; then the migration looks anew.
func TestMigrateStartsAnewAfterAConflict(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		want := server.DB(t)
		require.NoError(t, migrate(t.Context(), want))
		for n, last := 2, 3; n <= last; n++ { // 1 is the connection's own limits
			dsn := server.DSN(t)
			var sent commands
			err := migrate(t.Context(), loneConnection(t, dsn, func(i int, packet []byte) fate {
				if i == n {
					refuse(packet)
				}
				return sent.record(i, packet)
			}))
			require.NoError(t, err, "command %d", n)
			last = len(sent.take())
			assert.Equal(t, tablesOf(t, want), tablesOf(t, mysqltest.Open(t, dsn)), "command %d", n)
		}

		var looks atomic.Int64
		err := migrate(t.Context(), loneConnection(t, server.DSN(t), func(_ int, packet []byte) fate {
			if strings.HasPrefix(string(packet), "\x03SELECT") {
				looks.Add(1)
				refuse(packet)
			}
			return pass
		}))
		require.ErrorIs(t, err, auth.ErrUnavailable)
		assert.Equal(t, int64(10), looks.Load())
	})
}

// A lock that somebody else holds stops a migration after seconds, not after the
// servers' day, and the pool's connections keep their own limits.
func TestMigrateWaitsForLocksForSeconds(t *testing.T) {
	t.Parallel()
	dsn := mysqltest.Private(t).DSN(t)
	db, backup := mysqltest.Open(t, dsn), mysqltest.Open(t, dsn)
	backup.SetMaxOpenConns(1)
	mustExec(t, backup, "FLUSH TABLES WITH READ LOCK")
	const limits = "SELECT @@lock_wait_timeout, @@innodb_lock_wait_timeout"
	before := rowsOf(t, backup, limits)

	start := time.Now()
	err := migrate(t.Context(), db)
	require.ErrorIs(t, err, auth.ErrUnavailable)
	refused, ok := errors.AsType[*mysql.MySQLError](err)
	require.True(t, ok)
	assert.Equal(t, uint16(1205), refused.Number)
	assert.Less(t, time.Since(start), 30*time.Second)

	mustExec(t, backup, "UNLOCK TABLES")
	require.NoError(t, migrate(t.Context(), db))
	db.SetMaxOpenConns(1) // the pool's connection, if it has one
	assert.Equal(t, before, rowsOf(t, db, limits))
}

// The privileges that the comment names are enough, for the store's work too.
func TestMigratePrivileges(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		private := server.Private(t)
		for name, call := range bothMigrations() {
			dsn := private.DSN(t)
			cfg, err := mysql.ParseDSN(dsn)
			require.NoError(t, err)
			admin := mysqltest.Open(t, dsn)
			user := "app_" + strings.ToLower(name)
			mustExec(t, admin, "CREATE USER "+user+"@'%' IDENTIFIED BY 'secret'")
			mustExec(t, admin, "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, REFERENCES ON "+cfg.DBName+".* TO "+user+"@'%'")
			cfg.User, cfg.Passwd = user, "secret"
			db := mysqltest.Open(t, cfg.FormatDSN())
			require.NoError(t, call(t.Context(), db))
			require.NoError(t, call(t.Context(), db))
			store := mysqlstore.New(db, mysqlstore.Options{AfterCreate: nothing})
			check := store.Check
			if name == "MigrateSessions" {
				check = store.CheckSessions
			}
			findings, err := check(t.Context(), auth.CheckInput{})
			require.NoError(t, err)
			assert.Empty(t, findings)
			if name == "Migrate" {
				_, err := store.Stores().Users.CreateUser(t.Context(), ann())
				require.NoError(t, err)
			}
			for _, o := range operations() {
				if o.isAlone() == (name == "MigrateSessions") {
					_ = store.Sessions().CreateSession(t.Context(), newSession(1, "1"), 1)
					mustExec(t, admin, "UPDATE refresh_tokens SET generation = 1, revoked_at = NULL")
					require.NoError(t, o.run(t.Context(), store), o.name)
				}
			}
		}
	})
}

func TestMigrateWithoutADatabase(t *testing.T) {
	cfg, err := mysql.ParseDSN(mysqltest.Default(t).DSN(t))
	require.NoError(t, err)
	cfg.DBName = ""
	err = migrate(t.Context(), mysqltest.Open(t, cfg.FormatDSN()))
	require.ErrorContains(t, err, "No database selected")
	require.NotErrorIs(t, err, auth.ErrUnavailable)
}

func TestMigrateCanceled(t *testing.T) {
	db := mysqltest.Default(t).DB(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, call := range bothMigrations() {
		err := call(ctx, db)
		require.ErrorIs(t, err, auth.ErrUnavailable)
		require.ErrorIs(t, err, context.Canceled)
	}
	assert.Empty(t, tablesOf(t, db))
}
