package mysqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/ostiary/auth"
)

const (
	// Every change locks the user's sessions and then the user's row, in the order in which
	// a refresh does: the other way round it could come into a deadlock with each refresh,
	// and lose each. From then on logins wait for it, and it sees what those have stored
	// that came before.
	lockSessions = "SELECT COUNT(*) FROM refresh_tokens FORCE INDEX (user_id) WHERE user_id = ? FOR UPDATE"
	lockUser     = "SELECT disabled FROM users WHERE id = ? FOR UPDATE"

	setDisabled = "UPDATE users SET disabled = ?" + touchUser
	setPassword = "UPDATE users SET password = ?" + touchUser
	deleteUser  = "DELETE FROM users WHERE id = ?" // and by its foreign key the sessions

	touchUser = ", auth_version = auth_version + 1, " +
		"updated_at = GREATEST(UTC_TIMESTAMP(6), updated_at + INTERVAL 1 MICROSECOND) WHERE id = ?"
)

// accounts is an auth.AccountStore on the tables of Migrate.
type accounts struct {
	db           *pool
	beforeDelete func(ctx context.Context, tx *sql.Tx, id auth.UserID) error
}

// SetDisabled implements auth.AccountStore.
func (a *accounts) SetDisabled(ctx context.Context, id auth.UserID, disabled bool) error {
	value := int64(0)
	if disabled {
		value = 1
	}
	return a.change(ctx, "set disabled", id, func(tx *sql.Tx, user int64, was bool) error {
		if !was && !disabled {
			return nil
		}
		return endSessions(ctx, tx, user, auth.ReasonDisabled, setDisabled, value, user)
	})
}

// SetPassword implements auth.AccountStore.
func (a *accounts) SetPassword(ctx context.Context, id auth.UserID, hash string) error {
	const what = "set password"
	if err := checkHash(hash); err != nil {
		return translate(what, err)
	}
	return a.change(ctx, what, id, func(tx *sql.Tx, user int64, _ bool) error {
		return endSessions(ctx, tx, user, auth.ReasonPassword, setPassword, []byte(hash), user)
	})
}

// DeleteUser implements auth.AccountStore.
func (a *accounts) DeleteUser(ctx context.Context, id auth.UserID) error {
	return a.change(ctx, "delete user", id, func(tx *sql.Tx, user int64, _ bool) error {
		if a.beforeDelete != nil {
			if err := a.beforeDelete(ctx, tx, id); err != nil {
				return fmt.Errorf("before delete: %w", err)
			}
		}
		return execText(ctx, tx, deleteUser, user)
	})
}

// endSessions makes a change of the user's row and then ends the sessions.
func endSessions(ctx context.Context, tx *sql.Tx, user int64, reason, query string, args ...any) error {
	if err := execText(ctx, tx, query, args...); err != nil {
		return err
	}
	return execText(ctx, tx, revokeUserSessions, hexUTF8(reason), user, keepArgument(auth.SessionID{}))
}

// execText sends a statement as text: such changes are too rare to keep it prepared.
func execText(ctx context.Context, tx *sql.Tx, query string, args ...any) error {
	text, err := inline(query, args)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, text)
	return err
}

// change makes one change of a user in a transaction.
func (a *accounts) change(ctx context.Context, what string, id auth.UserID, do func(tx *sql.Tx, user int64, disabled bool) error) error {
	user, ok := integerID(id)
	if !ok {
		return translate(what, auth.ErrUserNotFound)
	}
	conn, err := a.db.Conn(ctx)
	if err != nil {
		return translate(what, err)
	}
	defer func() { _ = conn.Close() }()
	if err := a.db.catchUp(ctx, conn); err != nil {
		return translate(what, err)
	}
	return translate(what, startAnew(func() error {
		return transact(ctx, conn, func(tx *sql.Tx) error {
			disabled, err := lock(ctx, tx, user)
			if err != nil {
				return err
			}
			return do(tx, user, disabled)
		})
	}))
}

// lock locks the user's sessions and the user's row, and says whether the user is
// disabled.
func lock(ctx context.Context, tx *sql.Tx, user int64) (disabled bool, err error) {
	if err := execText(ctx, tx, lockSessions, user); err != nil {
		return false, err
	}
	text, err := inline(lockUser, []any{user})
	if err != nil {
		return false, err
	}
	err = tx.QueryRowContext(ctx, text).Scan(&disabled)
	if errors.Is(err, sql.ErrNoRows) {
		err = auth.ErrUserNotFound
	}
	return disabled, err
}
