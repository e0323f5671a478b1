package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/go-sql-driver/mysql"
	"github.com/google/uuid"

	"github.com/ostiary/auth"
)

// Accounts is the table accounts as an auth.UserStore. Its pool has the driver's options
// parseTime, for joined_at, and clientFoundRows, so that a row counts that is found.
type Accounts struct{ DB *sql.DB }

// CreateUser implements auth.UserStore.
func (s Accounts) CreateUser(ctx context.Context, u auth.NewUser) (auth.UserID, error) {
	id := uuid.New()
	const query = "INSERT INTO accounts (account_id, full_name, login_email, login_key, secret, joined_at) VALUES (?, ?, ?, ?, ?, UTC_TIMESTAMP(6))"
	_, err := s.DB.ExecContext(ctx, query, id[:], u.Name, u.Email, u.EmailKey, u.PasswordHash)
	if refused, ok := errors.AsType[*mysql.MySQLError](err); ok && refused.Number == 1062 { // login_key is there
		return "", auth.ErrEmailTaken
	}
	return auth.UserID(id.String()), translate(err)
}

// UserByEmail implements auth.UserStore.
func (s Accounts) UserByEmail(ctx context.Context, emailKey string) (auth.UserRecord, error) {
	return s.find(ctx, "login_key", []byte(emailKey))
}

// UserByID implements auth.UserStore.
func (s Accounts) UserByID(ctx context.Context, id auth.UserID) (auth.UserRecord, error) {
	return s.find(ctx, "account_id", key(id))
}

func (s Accounts) find(ctx context.Context, column string, value []byte) (auth.UserRecord, error) {
	const query = "SELECT account_id, full_name, login_email, login_key, secret, version, joined_at FROM accounts WHERE "
	var id uuid.UUID
	var r auth.UserRecord
	err := s.DB.QueryRowContext(ctx, query+column+" = ?", value).
		Scan(&id, &r.Name, &r.Email, &r.EmailKey, &r.PasswordHash, &r.AuthVersion, &r.CreatedAt)
	if errors.Is(err, sql.ErrNoRows) {
		return r, auth.ErrUserNotFound
	}
	r.ID = auth.UserID(id.String())
	return r, translate(err)
}

// UpdatePassword implements auth.UserStore.
func (s Accounts) UpdatePassword(ctx context.Context, id auth.UserID, old, hash string) (bool, error) {
	res, err := s.DB.ExecContext(ctx, "UPDATE accounts SET secret = ? WHERE account_id = ? AND secret = ?", hash, key(id), old)
	if err != nil {
		return false, translate(err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// key is the ID as its column has it, or NULL, which no row has, if the text is none.
func key(id auth.UserID) []byte {
	if u, err := uuid.Parse(string(id)); err == nil && u.String() == string(id) {
		return u[:]
	}
	return nil
}

// translate marks what a later try may mend: whatever the server did not refuse for good.
func translate(err error) error {
	passing := []uint16{1020, 1040, 1047, 1053, 1180, 1205, 1213, 1290, 1792, 1836, 3101}
	if refused, ok := errors.AsType[*mysql.MySQLError](err); err == nil || ok && !slices.Contains(passing, refused.Number) {
		return err
	}
	return fmt.Errorf("accounts: %w: %w", auth.ErrUnavailable, err)
}
