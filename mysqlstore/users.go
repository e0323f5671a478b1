package mysqlstore

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/ostiary/auth"
)

const (
	// Text goes in as the hexadecimal digits of its UTF-8, and comes out as bytes, so that
	// the character set of the connection can neither change nor refuse it.
	utf8Argument = "UNHEX(?)"

	insertUser = "INSERT INTO users (name, email, email_key, password, auth_version, created_at, updated_at) VALUES (" +
		utf8Argument + ", " + utf8Argument + ", ?, ?, 1, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))"

	selectUser = "SELECT id, CAST(name AS BINARY), CAST(email AS BINARY), email_key, password, auth_version, disabled, " +
		sinceEpoch + "created_at) FROM users WHERE "

	// updated_at moves even within a microsecond, so that the row changes although the
	// hash may not: a server that counts changed rows reports it then, too.
	updatePassword = "UPDATE users SET password = ?, updated_at = GREATEST(UTC_TIMESTAMP(6), updated_at + INTERVAL 1 MICROSECOND) " +
		"WHERE id = ? AND password = ?"
)

// users is an auth.UserStore on the table of Migrate.
type users struct {
	db                            *pool
	afterCreate                   func(ctx context.Context, tx *sql.Tx, id auth.UserID) error
	create, byEmail, byID, rehash statement
}

func newUsers(db *pool, o Options) users {
	return users{
		db: db, afterCreate: o.AfterCreate,
		create:  statement{query: insertUser},
		byEmail: statement{query: selectUser + "email_key = ?", syncWait: syncedRead},
		byID:    statement{query: selectUser + "id = ?", syncWait: syncedRead},
		rehash:  statement{query: updatePassword},
	}
}

// CreateUser implements auth.UserStore in one round trip, save where there is a hook.
func (u *users) CreateUser(ctx context.Context, n auth.NewUser) (auth.UserID, error) {
	const what = "create user"
	if err := checkNewUser(n); err != nil {
		return "", translate(what, err)
	}
	insert := u.insert
	if u.afterCreate != nil {
		insert = u.insertWithHook
	}
	var id auth.UserID
	err := startAnew(func() (err error) {
		id, err = insert(ctx, []any{hexUTF8(n.Name), hexUTF8(n.Email), []byte(n.EmailKey), []byte(n.PasswordHash)})
		return err
	})
	return id, translate(what, err)
}

// hexUTF8 is the argument of utf8Argument for s.
func hexUTF8(s string) string { return hex.EncodeToString([]byte(s)) }

// checkNewUser refuses what the columns would cut off in a sql_mode that is not strict.
func checkNewUser(n auth.NewUser) error {
	switch {
	case !utf8.ValidString(n.Name), utf8.RuneCountInString(n.Name) > 255:
		return errors.New("the name is not valid UTF-8 or longer than 255 code points")
	case !utf8.ValidString(n.Email), len(n.Email) > 254, len(n.EmailKey) > 254:
		return errors.New("the e-mail address or its key is not valid UTF-8 or longer than 254 bytes")
	}
	return checkHash(n.PasswordHash)
}

func checkHash(hash string) error {
	if len(hash) > 255 {
		return errors.New("the password hash is longer than 255 bytes")
	}
	return nil
}

func (u *users) insert(ctx context.Context, args []any) (auth.UserID, error) {
	res, err := u.create.exec(ctx, u.db, args...)
	return insertedID(res, err)
}

func (u *users) insertWithHook(ctx context.Context, args []any) (auth.UserID, error) {
	stmt, prepareErr := u.create.plain().prepared(ctx, u.db)
	tx, err := u.db.BeginTx(ctx, nil)
	if err != nil {
		return "", err
	}
	defer func() { _ = tx.Rollback() }() // of no effect after Commit
	id, err := insertedID(u.create.execTx(ctx, tx, stmt, prepareErr, args...))
	if err != nil {
		return "", ended(ctx, err)
	}
	if err := u.afterCreate(ctx, tx, id); err != nil {
		return "", ended(ctx, fmt.Errorf("after create: %w", err))
	}
	if err := tx.Commit(); err != nil {
		return "", ended(ctx, fmt.Errorf("commit: %w", err))
	}
	return id, nil
}

// ended adds the context's error to what a transaction says that was rolled back
// because of it.
func ended(ctx context.Context, err error) error {
	if errors.Is(err, sql.ErrTxDone) && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}

func insertedID(res sql.Result, err error) (auth.UserID, error) {
	if duplicateOf(err, "email_key") {
		return "", auth.ErrEmailTaken // the server's words hold the address
	}
	if err != nil {
		return "", err
	}
	id, err := res.LastInsertId()
	if err != nil {
		return "", err
	}
	return auth.UserID(strconv.FormatInt(id, 10)), nil
}

// UserByEmail implements auth.UserStore in one round trip.
func (u *users) UserByEmail(ctx context.Context, emailKey string) (auth.UserRecord, error) {
	return u.find(ctx, &u.byEmail, []byte(emailKey))
}

// UserByID implements auth.UserStore in one round trip, or none where the text can be no
// ID of ours.
func (u *users) UserByID(ctx context.Context, id auth.UserID) (auth.UserRecord, error) {
	n, ok := integerID(id)
	if !ok {
		return auth.UserRecord{}, fmt.Errorf("mysqlstore: find user: %w", auth.ErrUserNotFound)
	}
	return u.find(ctx, &u.byID, n)
}

func (u *users) find(ctx context.Context, by *statement, key any) (auth.UserRecord, error) {
	var (
		r       auth.UserRecord
		created int64
	)
	err := by.queryRow(ctx, u.db, []any{key}, []any{
		(*string)(&r.ID), &r.Name, &r.Email, &r.EmailKey, &r.PasswordHash, &r.AuthVersion, &r.Disabled, &created,
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = auth.ErrUserNotFound
	}
	if err != nil {
		return auth.UserRecord{}, translate("find user", err)
	}
	r.CreatedAt = fromMicros(created)
	return r, nil
}

// UpdatePassword implements auth.UserStore in one round trip.
func (u *users) UpdatePassword(ctx context.Context, id auth.UserID, old, hash string) (swapped bool, err error) {
	const what = "update password"
	if err := checkHash(hash); err != nil {
		return false, translate(what, err)
	}
	n, ok := integerID(id)
	if !ok {
		return false, nil
	}
	res, err := u.rehash.exec(ctx, u.db, []byte(hash), n, []byte(old))
	return changed(what, res, err)
}

// changed says whether a statement that changes at most one row did so.
func changed(what string, res sql.Result, err error) (bool, error) {
	if err != nil {
		return false, translate(what, err)
	}
	n, err := res.RowsAffected()
	return n > 0, translate(what, err)
}

// integerID reads a positive decimal number without leading zeros that fits an int64.
func integerID(id auth.UserID) (int64, bool) {
	n, err := strconv.ParseInt(string(id), 10, 64)
	return n, err == nil && n > 0 && strconv.FormatInt(n, 10) == string(id)
}
