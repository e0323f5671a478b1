package mysqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/mysqltest"
	"github.com/ostiary/auth/mysqlstore"
)

func ann() auth.NewUser {
	return auth.NewUser{Name: "Ann", Email: "Ann@example.com", EmailKey: "ann@example.com", PasswordHash: "$2a$12$hash"}
}

// notes makes a host's table, in which a hook leaves a row for each new user.
func notes(tb testing.TB, server *mysqltest.Server, hook func(ctx context.Context, tx *sql.Tx, id auth.UserID) error) (*sql.DB, auth.UserStore) {
	tb.Helper()
	db, _ := migrated(tb, server)
	mustExec(tb, db, "CREATE TABLE notes (user_id BIGINT PRIMARY KEY, email_key VARCHAR(20) UNIQUE)")
	return db, mysqlstore.New(db, mysqlstore.Options{AfterCreate: hook}).Stores().Users
}

func count(tb testing.TB, db *sql.DB, table string) (n int) {
	tb.Helper()
	require.NoError(tb, db.QueryRowContext(tb.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n))
	return n
}

// nothing is a hook that does nothing.
func nothing(context.Context, *sql.Tx, auth.UserID) error { return nil }

func addNote(ctx context.Context, tx *sql.Tx, id auth.UserID) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO notes (user_id, email_key) VALUES (?, 'note')", string(id))
	return err
}

func TestAfterCreateCommitsBoth(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		db, users := notes(t, server, addNote)
		id, err := users.CreateUser(t.Context(), ann())
		require.NoError(t, err)
		assert.Equal(t, auth.UserID("1"), id)
		assert.Equal(t, 1, count(t, db, "users"))
		assert.Equal(t, [][]string{{"1", "note"}}, rowsOf(t, db, "SELECT user_id, email_key FROM notes"))
	})
}

// The hook sees the row, as no other connection does.
func TestAfterCreateRunsInsideTheTransaction(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		var inside, outside int
		var db *sql.DB
		db, users := notes(t, server, func(ctx context.Context, tx *sql.Tx, id auth.UserID) error {
			if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM users").Scan(&outside); err != nil {
				return err
			}
			return tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM users WHERE id = ?", string(id)).Scan(&inside)
		})
		_, err := users.CreateUser(t.Context(), ann())
		require.NoError(t, err)
		assert.Equal(t, 1, inside)
		assert.Equal(t, 0, outside)
		assert.Equal(t, 1, count(t, db, "users"))
	})
}

// ASVS: 2.3.3.
func TestAfterCreateErrorLeavesNothing(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		refusal := errors.New("no more seats")
		db, users := notes(t, server, func(ctx context.Context, tx *sql.Tx, id auth.UserID) error {
			return errors.Join(addNote(ctx, tx, id), refusal)
		})
		_, err := users.CreateUser(t.Context(), ann())
		require.ErrorIs(t, err, refusal)
		require.NotErrorIs(t, err, auth.ErrUnavailable)
		assert.Equal(t, 0, count(t, db, "users"))
		assert.Equal(t, 0, count(t, db, "notes"))
	})
}

// A duplicate in a host's table is the host's error, whatever its index is called.
func TestAfterCreateDuplicateIsNoTakenAddress(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		db, users := notes(t, server, addNote)
		mustExec(t, db, "INSERT INTO notes VALUES (77, 'note')")
		_, err := users.CreateUser(t.Context(), ann())
		require.Error(t, err)
		require.NotErrorIs(t, err, auth.ErrEmailTaken)
		require.NotErrorIs(t, err, auth.ErrUnavailable)
		assert.Equal(t, 0, count(t, db, "users"))
	})
}

func TestAfterCreateTakenAddressDoesNotReachTheHook(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		calls := 0
		_, users := notes(t, server, func(context.Context, *sql.Tx, auth.UserID) error { calls++; return nil })
		_, err := users.CreateUser(t.Context(), ann())
		require.NoError(t, err)
		_, err = users.CreateUser(t.Context(), ann())
		require.ErrorIs(t, err, auth.ErrEmailTaken)
		assert.Equal(t, 1, calls)
		assert.NotContains(t, err.Error(), ann().EmailKey)
	})
}

func TestAfterCreatePanicLeavesNothingAndNoConnection(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		db, users := notes(t, server, func(context.Context, *sql.Tx, auth.UserID) error { panic("hook") })
		assert.PanicsWithValue(t, "hook", func() { _, _ = users.CreateUser(t.Context(), ann()) })
		assert.Equal(t, 0, count(t, db, "users"))
		assert.Equal(t, 0, db.Stats().InUse)
	})
}

func TestAfterCreateCanceledInTheHookLeavesNothing(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		for _, wait := range []bool{false, true} {
			ctx, cancel := context.WithCancel(t.Context())
			db, users := notes(t, server, func(ctx context.Context, tx *sql.Tx, _ auth.UserID) error {
				cancel()
				if wait { // until the transaction is rolled back, and no longer knows why
					require.Eventually(t, func() bool {
						_, err := tx.ExecContext(context.WithoutCancel(ctx), "DO 0")
						return errors.Is(err, sql.ErrTxDone)
					}, eventually, tick)
				}
				return nil
			})
			_, err := users.CreateUser(ctx, ann())
			require.ErrorIs(t, err, auth.ErrUnavailable)
			require.ErrorIs(t, err, context.Canceled)
			assert.Equal(t, 0, count(t, db, "users"))
		}
	})
}

// One connection is enough, also for the first sign-up, which prepares its statement.
func TestAfterCreateOnOneConnection(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		db, users := notes(t, server, addNote)
		db.SetMaxOpenConns(1)
		_, err := users.CreateUser(t.Context(), ann())
		require.NoError(t, err)
	})
}

// Two hooks that lock two rows in opposite orders get a deadlock from the server. Both
// sign-ups succeed all the same, and each leaves its rows once.
func TestAfterCreateIsRunAnewAfterADeadlock(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		var runs atomic.Int64
		var bothLocked sync.WaitGroup
		bothLocked.Add(2)
		db, users := notes(t, server, func(ctx context.Context, tx *sql.Tx, id auth.UserID) error {
			run := runs.Add(1)
			for i, n := range []int64{100 + run%2, 101 - run%2} {
				if _, err := tx.ExecContext(ctx, "UPDATE notes SET email_key = ? WHERE user_id = ?", fmt.Sprint(id, "-", n), n); err != nil {
					return fmt.Errorf("the host's words: %w", err)
				}
				if i == 0 && run <= 2 {
					bothLocked.Done()
					bothLocked.Wait()
				}
			}
			_, err := tx.ExecContext(ctx, "INSERT INTO notes (user_id) VALUES (?)", string(id))
			return err
		})
		mustExec(t, db, "INSERT INTO notes (user_id) VALUES (100), (101)")
		var wg sync.WaitGroup
		for i := range 2 {
			wg.Go(func() {
				u := ann()
				u.EmailKey = fmt.Sprint("key", i)
				_, err := users.CreateUser(t.Context(), u)
				assert.NoError(t, err)
			})
		}
		wg.Wait()
		assert.Equal(t, int64(3), runs.Load())
		assert.Equal(t, 2, count(t, db, "users"))
		assert.Equal(t, 4, count(t, db, "notes"))
	})
}

// Without a strict sql_mode the server would cut these off.
func TestCreateUserRefusesWhatTheColumnsCannotHold(t *testing.T) {
	db, store := migrated(t, mysqltest.Default(t), "sql_mode=''")
	for name, change := range map[string]func(*auth.NewUser){
		"name":         func(u *auth.NewUser) { u.Name = strings.Repeat("😀", 256) },
		"name bytes":   func(u *auth.NewUser) { u.Name = "a\xff" },
		"email":        func(u *auth.NewUser) { u.Email = strings.Repeat("a", 255) },
		"email bytes":  func(u *auth.NewUser) { u.Email = "a\xff@x.test" },
		"email key":    func(u *auth.NewUser) { u.EmailKey = strings.Repeat("a", 255) },
		"passwordhash": func(u *auth.NewUser) { u.PasswordHash = strings.Repeat("a", 256) },
	} {
		u := ann()
		change(&u)
		_, err := store.Stores().Users.CreateUser(t.Context(), u)
		require.Error(t, err, name)
		require.NotErrorIs(t, err, auth.ErrUnavailable, name)
	}
	id, err := store.Stores().Users.CreateUser(t.Context(), ann())
	require.NoError(t, err)
	_, err = store.Stores().Users.UpdatePassword(t.Context(), id, ann().PasswordHash, strings.Repeat("a", 256))
	require.Error(t, err)
	assert.Equal(t, [][]string{{"Ann", "$2a$12$hash"}}, rowsOf(t, db, "SELECT name, password FROM users"))
}

// What is in the columns is what other programs expect there, whatever the connection's
// character set was.
func TestCreateUserStoresUTF8(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		for _, charset := range []string{"utf8mb4", "utf8", "latin1", "gbk", "big5"} {
			dsn := server.DSN(t)
			store := mysqlstore.New(mysqltest.Open(t, dsn, "charset="+charset), mysqlstore.Options{})
			require.NoError(t, store.Migrate(t.Context()))
			u := ann()
			u.Name, u.Email, u.EmailKey = "Zoë 李小龙 😀", "zoë😀@example.com", "zoë😀@example.com"
			_, err := store.Stores().Users.CreateUser(t.Context(), u)
			require.NoError(t, err, charset)
			db := mysqltest.Open(t, dsn, "charset=utf8mb4")
			assert.Equal(t, [][]string{{u.Name, u.Email, u.EmailKey}}, rowsOf(t, db, "SELECT name, email, email_key FROM users"), charset)
		}
	})
}

// A rehash to an equal hash is a swap too, whether the server counts rows that match or
// rows that change.
func TestUpdatePasswordToTheSameHash(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		for _, found := range []string{"true", "false"} {
			_, store := migrated(t, server, "clientFoundRows="+found)
			users := store.Stores().Users
			id, err := users.CreateUser(t.Context(), ann())
			require.NoError(t, err)
			for range 3 {
				swapped, err := users.UpdatePassword(t.Context(), id, ann().PasswordHash, ann().PasswordHash)
				require.NoError(t, err)
				assert.True(t, swapped)
			}
		}
	})
}

// created_at is in UTC, whatever the server's and the session's zones are.
func TestCreatedAtIsUTC(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		db, store := migrated(t, server, "time_zone='%2B09:00'", "parseTime=true", "loc=Asia%2FTokyo")
		_, err := store.Stores().Users.CreateUser(t.Context(), ann())
		require.NoError(t, err)
		assert.Equal(t, [][]string{{"1", "1"}}, rowsOf(t, db,
			"SELECT ABS(TIMESTAMPDIFF(SECOND, created_at, UTC_TIMESTAMP())) < 60, created_at = updated_at FROM users"))
	})
}

// Only a canonical number that fits an int64 reaches the database, which is closed here.
func FuzzUserID(f *testing.F) {
	for _, id := range []string{
		"1", "42", "9223372036854775807", "9223372036854775808", "18446744073709551617",
		"", "0", "-1", "+1", "01", "1e3", "0x1", "1_0", " 1", "1 ", "１", "1\x00", "\xff",
	} {
		f.Add(id)
	}
	db, err := sql.Open("mysql", "/")
	require.NoError(f, err)
	require.NoError(f, db.Close())
	users := mysqlstore.New(db, mysqlstore.Options{}).Stores().Users
	canonical := regexp.MustCompile(`^[1-9][0-9]{0,18}$`)
	f.Fuzz(func(t *testing.T, id string) {
		fits := canonical.MatchString(id) && (len(id) < 19 || id <= "9223372036854775807")
		_, err := users.UserByID(t.Context(), auth.UserID(id))
		assert.Equal(t, fits, errors.Is(err, auth.ErrUnavailable), "%q", id)
		assert.Equal(t, !fits, errors.Is(err, auth.ErrUserNotFound), "%q", id)
	})
}
