package mysqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/mysqltest"
	"github.com/ostiary/auth/mysqlstore"
)

// withNotes is a database in which ann, user 1, has a session, and a note of the host's,
// which the foreign key keeps from losing its user.
func withNotes(t *testing.T, server *mysqltest.Server, hook func(ctx context.Context, tx *sql.Tx, id auth.UserID) error) (*sql.DB, auth.AccountStore) {
	t.Helper()
	db, _, _ := loggedIn(t, server)
	mustExec(t, db, "CREATE TABLE notes (user_id BIGINT PRIMARY KEY, n INT NOT NULL DEFAULT 0, FOREIGN KEY (user_id) REFERENCES users (id))")
	mustExec(t, db, "INSERT INTO notes (user_id) VALUES (1)")
	return db, mysqlstore.New(db, mysqlstore.Options{BeforeDelete: hook}).Stores().Accounts
}

func deleteNotes(ctx context.Context, tx *sql.Tx, id auth.UserID) error {
	_, err := tx.ExecContext(ctx, "DELETE FROM notes WHERE user_id = ?", string(id))
	return err
}

// rowsLeft are the numbers of users, sessions and notes.
func rowsLeft(t *testing.T, db *sql.DB) [3]int {
	t.Helper()
	return [3]int{count(t, db, "users"), count(t, db, "refresh_tokens"), count(t, db, "notes")}
}

// The hook still sees the user and the sessions, and its rows go with them.
func TestBeforeDeleteCommitsBoth(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		var users, sessions int
		db, accounts := withNotes(t, server, func(ctx context.Context, tx *sql.Tx, id auth.UserID) error {
			if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM users WHERE id = ?", string(id)).Scan(&users); err != nil {
				return err
			}
			if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM refresh_tokens WHERE user_id = ?", string(id)).Scan(&sessions); err != nil {
				return err
			}
			return deleteNotes(ctx, tx, id)
		})
		db.SetMaxOpenConns(1)
		require.NoError(t, accounts.DeleteUser(t.Context(), "1"))
		assert.Equal(t, [2]int{1, 1}, [2]int{users, sessions})
		assert.Equal(t, [3]int{0, 0, 0}, rowsLeft(t, db))
	})
}

// While the hook runs, a login that has checked the password waits, and then finds no
// user.
//
// ASVS: 7.4.2.
func TestBeforeDeleteKeepsLoginsWaiting(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		db, refresh, _ := loggedIn(t, server)
		inHook, release := make(chan struct{}), make(chan struct{})
		accounts := mysqlstore.New(db, mysqlstore.Options{BeforeDelete: func(context.Context, *sql.Tx, auth.UserID) error {
			close(inHook)
			<-release
			return nil
		}}).Stores().Accounts
		deletion, login := make(chan error, 1), make(chan error, 1)
		go func() { deletion <- accounts.DeleteUser(t.Context(), "1") }()
		<-inHook
		go func() { login <- refresh.CreateSession(t.Context(), newSession(2, "1"), 1) }()
		lockWaits(t, db, true)
		close(release)
		require.NoError(t, <-deletion)
		if err := <-login; !errors.Is(err, auth.ErrUnavailable) { // with snapshot isolation
			require.ErrorIs(t, err, auth.ErrUserChanged)
		}
		assert.Equal(t, 0, count(t, db, "refresh_tokens"))
	})
}

func TestBeforeDeleteIsNotCalledWithoutAUser(t *testing.T) {
	calls := 0
	_, accounts := withNotes(t, mysqltest.Default(t), func(context.Context, *sql.Tx, auth.UserID) error { calls++; return nil })
	require.ErrorIs(t, accounts.DeleteUser(t.Context(), "2"), auth.ErrUserNotFound)
	require.NoError(t, accounts.SetDisabled(t.Context(), "1", true))
	assert.Equal(t, 0, calls)
}

func TestBeforeDeleteErrorKeepsEverything(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		refusal := errors.New("an unpaid bill")
		db, accounts := withNotes(t, server, func(ctx context.Context, tx *sql.Tx, id auth.UserID) error {
			return errors.Join(deleteNotes(ctx, tx, id), refusal)
		})
		err := accounts.DeleteUser(t.Context(), "1")
		require.ErrorIs(t, err, refusal)
		require.NotErrorIs(t, err, auth.ErrUnavailable)
		assert.Equal(t, [3]int{1, 1, 1}, rowsLeft(t, db))
	})
}

// What the host's own foreign key refuses leaves the user as it was.
func TestDeleteUserRefusedByAForeignKey(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		db, accounts := withNotes(t, server, nil)
		err := accounts.DeleteUser(t.Context(), "1")
		require.Error(t, err)
		require.NotErrorIs(t, err, auth.ErrUnavailable)
		require.NotErrorIs(t, err, auth.ErrUserNotFound)
		assert.Equal(t, [3]int{1, 1, 1}, rowsLeft(t, db))
	})
}

func TestBeforeDeletePanicKeepsEverythingAndNoConnection(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		db, accounts := withNotes(t, server, func(context.Context, *sql.Tx, auth.UserID) error { panic("hook") })
		assert.PanicsWithValue(t, "hook", func() { _ = accounts.DeleteUser(t.Context(), "1") })
		assert.Equal(t, [3]int{1, 1, 1}, rowsLeft(t, db))
		assert.Equal(t, 0, db.Stats().InUse)
	})
}

func TestBeforeDeleteCanceledInTheHookKeepsEverything(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		ctx, cancel := context.WithCancel(t.Context())
		db, accounts := withNotes(t, server, func(ctx context.Context, tx *sql.Tx, _ auth.UserID) error {
			cancel()
			require.Eventually(t, func() bool { // until the transaction is rolled back, and no longer knows why
				_, err := tx.ExecContext(context.WithoutCancel(ctx), "DO 0")
				return errors.Is(err, sql.ErrTxDone)
			}, eventually, tick)
			return nil
		})
		err := accounts.DeleteUser(ctx, "1")
		require.ErrorIs(t, err, auth.ErrUnavailable)
		require.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, [3]int{1, 1, 1}, rowsLeft(t, db))
	})
}

// Two hooks that lock two rows in opposite orders get a deadlock from the server. Both
// users are deleted all the same, and each one's note counts once.
func TestBeforeDeleteIsRunAnewAfterADeadlock(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		var runs atomic.Int64
		var bothLocked sync.WaitGroup
		bothLocked.Add(2)
		db, accounts := withNotes(t, server, func(ctx context.Context, tx *sql.Tx, id auth.UserID) error {
			run := runs.Add(1)
			for i, n := range []int64{100 + run%2, 101 - run%2} {
				if _, err := tx.ExecContext(ctx, "UPDATE notes SET n = n + 1 WHERE user_id = ?", n); err != nil {
					return fmt.Errorf("the host's words: %w", err)
				}
				if i == 0 && run <= 2 {
					bothLocked.Done()
					bothLocked.Wait()
				}
			}
			return deleteNotes(ctx, tx, id)
		})
		mustExec(t, db, "INSERT INTO users (id, name, email, email_key, password, created_at, updated_at) "+
			"SELECT n, 'a', 'a', n, '', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) FROM (SELECT 2 AS n UNION ALL SELECT 100 UNION ALL SELECT 101) new_ids")
		mustExec(t, db, "INSERT INTO notes (user_id) VALUES (2), (100), (101)")
		var wg sync.WaitGroup
		for _, id := range []auth.UserID{"1", "2"} {
			wg.Go(func() { assert.NoError(t, accounts.DeleteUser(t.Context(), id)) })
		}
		wg.Wait()
		assert.Equal(t, int64(3), runs.Load())
		assert.Equal(t, [][]string{{"100", "2"}, {"101", "2"}}, rowsOf(t, db, "SELECT user_id, n FROM notes ORDER BY user_id"))
		assert.Equal(t, 2, count(t, db, "users"))
	})
}

// A lock wait that takes too long leaves the transaction open. What it has done is not
// kept, and the deletion starts anew.
func TestBeforeDeleteIsRunAnewAfterALockWait(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		db, _, _ := loggedIn(t, server, "innodb_lock_wait_timeout=1")
		mustExec(t, db, "CREATE TABLE notes (user_id BIGINT PRIMARY KEY, n INT NOT NULL)")
		mustExec(t, db, "INSERT INTO notes VALUES (7, 0), (8, 0)")
		holder, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = holder.ExecContext(t.Context(), "UPDATE notes SET n = 1 WHERE user_id = 8")
		require.NoError(t, err)
		runs := 0
		accounts := mysqlstore.New(db, mysqlstore.Options{BeforeDelete: func(ctx context.Context, tx *sql.Tx, _ auth.UserID) error {
			if runs++; runs == 2 {
				require.NoError(t, holder.Commit())
			}
			if _, err := tx.ExecContext(ctx, "UPDATE notes SET n = n + 1 WHERE user_id = 7"); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, "UPDATE notes SET n = n + 1 WHERE user_id = 8")
			return err
		}}).Stores().Accounts
		require.NoError(t, accounts.DeleteUser(t.Context(), "1"))
		assert.Equal(t, 2, runs)
		assert.Equal(t, [][]string{{"1"}, {"2"}}, rowsOf(t, db, "SELECT n FROM notes ORDER BY user_id"))
		assert.Equal(t, 0, count(t, db, "users"))
	})
}
