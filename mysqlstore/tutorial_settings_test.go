package mysqlstore_test

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/mysqltest"
	"github.com/ostiary/auth/mysqlstore"
)

// The end is the same whatever the connection is set to.
func TestUpgradeTutorialSettings(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		want, _, _ := undisturbed(t, s, crowd())
		for name, params := range map[string][]string{
			"default":            nil,
			"parseTime":          {"parseTime=true", "loc=Asia%2FTokyo"},
			"time zone":          {"time_zone=%27%2B05:00%27"},
			"clientFoundRows":    {"clientFoundRows=true"},
			"not strict":         {"sql_mode=%27%27"},
			"ANSI":               {"sql_mode=%27ANSI,NO_BACKSLASH_ESCAPES%27"},
			"interpolate":        {"interpolateParams=true", "columnsWithAlias=true"},
			"latin1":             {"charset=latin1"},
			"another collation":  {"collation=utf8mb4_unicode_ci"},
			"no autocommit":      {"autocommit=0"},
			"safe updates":       {"sql_safe_updates=1"},
			"other transactions": {"transaction_isolation=%27SERIALIZABLE%27"},
		} {
			if name == "other transactions" && strings.HasPrefix(s.Name, "mariadb") {
				params = []string{"tx_isolation=%27SERIALIZABLE%27"}
			}
			t.Run(name, func(t *testing.T) {
				dsn := tutorialDSN(t, s, crowd())
				require.NoError(t, upgrade(t.Context(), mysqltest.Open(t, dsn, params...)))
				assert.Equal(t, want, dumpOf(t, mysqltest.Open(t, dsn)))
			})
		}
	})
}

// The tutorial's application wrote dates in the server's time zone; ours are in UTC. And
// no statement needs to be prepared.
func TestUpgradeTutorialTimeZone(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		s = s.Private(t, "--default-time-zone=+09:00", "--max-prepared-stmt-count=0")
		dsn := tutorialDSN(t, s, dates+" WHERE id = 1")
		var age time.Duration
		db := mysqltest.Open(t, dsn, "time_zone=%27-03:00%27")
		run(t, mysqltest.Open(t, dsn), user(8, "Now", "now@example.com", someHash))
		require.NoError(t, upgrade(t.Context(), db))
		assert.Equal(t, [][]string{{"2026-01-01 18:04:05.000000", "2026-02-02 19:05:06.000000"}},
			rowsOf(t, db, "SELECT created_at, updated_at FROM users WHERE id = 1"))
		require.NoError(t, db.QueryRowContext(t.Context(),
			"SELECT 1000 * TIMESTAMPDIFF(MICROSECOND, created_at, UTC_TIMESTAMP(6)) FROM users WHERE id = 8").Scan(&age))
		assert.Less(t, age.Abs(), time.Minute)
	})
}

// The pool is as it was: no setting, lock or temporary table is left on a connection.
func TestUpgradeTutorialLeavesThePoolAlone(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		const settings = "SELECT @@sql_mode, @@lock_wait_timeout, @@innodb_lock_wait_timeout, @@autocommit, @@collation_connection"
		dsn := tutorialDSN(t, s)
		db := mysqltest.Open(t, dsn, "sql_mode=%27%27", "autocommit=0")
		db.SetMaxOpenConns(1)
		before := rowsOf(t, db, settings)
		for range 2 {
			require.NoError(t, upgrade(t.Context(), db))
			assert.Equal(t, before, rowsOf(t, db, settings))
		}
		// The server lets go of the lock when it sees that the connection has ended.
		assert.Eventually(t, func() bool {
			held := rowsOf(t, db, "SELECT IS_USED_LOCK(CONCAT('auth_tutorial_', LEFT(SHA2(DATABASE(), 256), 40)))")
			return held[0][0] == "NULL"
		}, 10*time.Second, 10*time.Millisecond)
	})
}

// soon shortens a relayed upgrade's waits for locks to a second.
func soon(tb testing.TB) func(int, []byte) fate {
	tb.Helper()
	return func(_ int, packet []byte) fate {
		overwrite(tb, packet, "lock_wait_timeout = 10", "lock_wait_timeout = 01")
		overwrite(tb, packet, "40)), 10)", "40)), 01)")
		return pass
	}
}

// Whoever holds a lock for longer than the call waits makes it fail, with nothing lost.
func TestUpgradeTutorialLocks(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		want, _, _ := undisturbed(t, s, someone())
		for name, lock := range map[string]string{
			"another instance": "SELECT GET_LOCK(CONCAT('auth_tutorial_', LEFT(SHA2(DATABASE(), 256), 40)), 0)",
			"tokens in use":    "SELECT token FROM refresh_tokens",
			"a user in use":    "SELECT name FROM users WHERE id = 3 FOR UPDATE",
		} {
			t.Run(name, func(t *testing.T) {
				dsn := tutorialDSN(t, s, someone())
				db := mysqltest.Open(t, dsn)
				tx, err := db.BeginTx(t.Context(), nil)
				require.NoError(t, err)
				_, err = tx.ExecContext(t.Context(), lock)
				require.NoError(t, err)
				require.ErrorIs(t, upgrade(t.Context(), quiet(t, newRelay(t, dsn, soon(t), nil))), auth.ErrUnavailable)
				require.NoError(t, tx.Rollback())
				run(t, db, "DO RELEASE_ALL_LOCKS()")
				db.SetMaxIdleConns(0) // with the lock of the first case, on whichever connection
				completes(t, dsn, want)
			})
		}
	})
}

// A user who signs up while the upgrade runs, with an application that was not stopped,
// is reported, and converted by the next call.
func TestUpgradeTutorialLateUser(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		dsn := tutorialDSN(t, s)
		db := mysqltest.Open(t, dsn)
		through := newRelay(t, dsn, func(_ int, packet []byte) fate {
			if bytes.HasPrefix(packet, []byte("\x03ALTER TABLE refresh_tokens")) {
				_, err := db.ExecContext(context.WithoutCancel(t.Context()), user(30, "Late &lt;3", "late@example.com", someHash))
				assert.NoError(t, err)
			}
			return pass
		}, nil)
		require.ErrorContains(t, upgrade(t.Context(), quiet(t, through)), "user 30 was added meanwhile")
		run(t, db, "INSERT INTO users (id, name, email, password, created_at, updated_at) VALUES "+
			"(31, 'Ann', 'ANN@example.com', '"+someHash+"', NOW(), NOW()), (32, 'Al', 'al@example.com', 'x', NOW(), NOW())")
		err := upgrade(t.Context(), db)
		require.ErrorContains(t, err, "users 1 and 31 have one e-mail address")
		require.ErrorContains(t, err, "user 32: name: too short; user 32: passhash: ")
		run(t, db, "DELETE FROM users WHERE id IN (31, 32)")
		require.NoError(t, upgrade(t.Context(), db))
		assert.Equal(t, [][]string{{"Late <3", "late@example.com", "bcrypt-tutorial:" + someHash}},
			rowsOf(t, db, "SELECT name, email_key, password FROM users WHERE id = 30"))
	})
}

// Half an upgrade is nothing that Migrate touches or takes for its own.
func TestUpgradeTutorialHalfDone(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		_, commands, changing := undisturbed(t, s, someone())
		for _, n := range append(changing[2:], commands) {
			dsn := tutorialDSN(t, s, someone())
			require.Error(t, upgrade(t.Context(), quiet(t, newRelay(t, dsn, at(n, cutAnswered), func() {}))))
			db := mysqltest.Open(t, dsn)
			before := dumpOf(t, db)
			err := mysqlstore.New(db, mysqlstore.Options{}).Migrate(t.Context())
			if n < changing[len(changing)-1] {
				require.ErrorContains(t, err, "UpgradeTutorial", "command %d", n)
			} else {
				require.NoError(t, err, "command %d", n)
				mustExec(t, db, "DROP TABLE rate_limits") // which is no table of the tutorial's
			}
			require.Equal(t, before, dumpOf(t, db), "command %d", n)
		}
	})
}

// The privileges that the comment lists are enough, and next to none where there is
// nothing to do.
func TestUpgradeTutorialPrivileges(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		s = s.Private(t)
		dsn := tutorialDSN(t, s)
		cfg, err := mysql.ParseDSN(dsn)
		require.NoError(t, err)
		admin := mysqltest.Open(t, dsn)
		run(t, admin, "CREATE USER app@'%' IDENTIFIED BY 'app';\nGRANT SELECT, INSERT, UPDATE, CREATE, CREATE TEMPORARY TABLES, "+
			"ALTER, DROP, INDEX, REFERENCES ON `"+cfg.DBName+"`.* TO app@'%'")
		cfg.User, cfg.Passwd = "app", "app"
		app := mysqltest.Open(t, cfg.FormatDSN())
		require.NoError(t, upgrade(t.Context(), app))
		run(t, admin, "REVOKE INSERT, UPDATE, CREATE, CREATE TEMPORARY TABLES, ALTER, DROP, INDEX ON `"+cfg.DBName+"`.* FROM app@'%'")
		require.NoError(t, upgrade(t.Context(), app))
	})
}

// A canceled context ends the call, and the next one completes it.
func TestUpgradeTutorialCanceled(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		want, _, changing := undisturbed(t, s, someone())
		for _, n := range changing {
			dsn := tutorialDSN(t, s, someone())
			ctx, cancel := context.WithCancel(t.Context())
			through := newRelay(t, dsn, func(i int, _ []byte) fate {
				if i == n {
					cancel()
				}
				return pass
			}, nil)
			err := upgrade(ctx, quiet(t, through))
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, auth.ErrUnavailable)
			completes(t, dsn, want, "command %d", n)
		}
	})
}

// The statements in the comment of UpgradeTutorial lead back to the tutorial's database.
func TestUpgradeTutorialBack(t *testing.T) {
	back := statementsOfComment(t)
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		db := mysqltest.Open(t, tutorialDSN(t, s,
			user(8, "&amp;lt; &quot;&#x27;&gt;", "eight@example.com", someHash),
			user(9, "&lt;&#x2F;&#x5C;&#96;", "nine@example.com", someHash),
		))
		store := mysqlstore.New(db, mysqlstore.Options{})
		before := dumpOf(t, db)
		for range 2 {
			require.NoError(t, store.UpgradeTutorial(t.Context()))
			run(t, db, back)
			require.Equal(t, before, dumpOf(t, db))
		}

		require.NoError(t, store.UpgradeTutorial(t.Context()))
		_, err := store.Stores().Users.CreateUser(t.Context(), auth.NewUser{
			Name: "<New>", Email: "new@example.com", EmailKey: "new@example.com", PasswordHash: strings.Replace(someHash, "$2b$", "$2a$", 1),
		})
		require.NoError(t, err)
		run(t, db, back)
		assert.Equal(t, [][]string{{"10", "&lt;New&gt;", strings.Replace(someHash, "$2b$", "$2a$", 1)}},
			rowsOf(t, db, "SELECT id, name, password FROM users WHERE email = 'NEW@example.com'"))
		run(t, db, user(11, "Node", "node@example.com", someHash)+";\nINSERT INTO refresh_tokens (user_id, token) VALUES (11, 'x')")
	})
}

// Whoever goes back half-way, against the comment, spoils nothing: the call goes on after it.
func TestUpgradeTutorialBackHalfWay(t *testing.T) {
	back := statementsOfComment(t)
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		whole := mysqltest.Open(t, tutorialDSN(t, s))
		require.NoError(t, upgrade(t.Context(), whole))

		dsn := tutorialDSN(t, s)
		require.Error(t, upgrade(t.Context(), loneConnection(t, dsn, func(_ int, packet []byte) fate {
			if strings.Contains(string(packet), "ALTER TABLE users MODIFY id") {
				return cutAnswered
			}
			return pass
		})))
		db := mysqltest.Open(t, dsn)
		failed := 0
		for statement := range strings.SplitSeq(back, ";\n") {
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				failed++
			}
		}
		assert.Positive(t, failed)
		require.NoError(t, upgrade(t.Context(), db))
		assert.Equal(t, dumpOf(t, whole), dumpOf(t, db))
	})
}

// statementsOfComment returns the SQL in the comment of UpgradeTutorial.
func statementsOfComment(t *testing.T) string {
	t.Helper()
	source, err := os.ReadFile("tutorial.go")
	require.NoError(t, err)
	var b strings.Builder
	for line := range strings.Lines(string(source)) {
		if statement, found := strings.CutPrefix(line, "//\t"); found {
			b.WriteString(statement)
		}
	}
	require.Contains(t, b.String(), "ALTER TABLE users")
	return b.String()
}
