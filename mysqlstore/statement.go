package mysqlstore

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
)

// statement is one SQL statement, prepared when it is first used and kept. Its arguments
// are of type int64, string and []byte.
//
// A server that has no room for another prepared statement gets it as text instead; one
// that has lost it, or wants it anew, gets it prepared once more, for that call. In both
// cases nothing was executed before.
type statement struct {
	query string
	// syncWait is a prefix that makes a node of a Galera cluster wait, or "" where there is
	// nothing to wait for. In a group of MySQL's a statement with one waits by other means.
	syncWait string

	kept, synced atomic.Pointer[sql.Stmt] // without the prefix, and with it
}

// The prefixes. MariaDB alone executes these comments. The node then answers only when it
// has applied what other nodes had acknowledged before. The session's own value of the
// variable stays as it is.
const (
	syncedRead   = "/*M!100200 SET STATEMENT wsrep_sync_wait = 1 FOR */ "
	syncedUpdate = "/*M!100200 SET STATEMENT wsrep_sync_wait = 2 FOR */ "
	syncedInsert = "/*M!100200 SET STATEMENT wsrep_sync_wait = 4 FOR */ "
)

// form is a statement as it is sent.
type form struct {
	text string
	kept *atomic.Pointer[sql.Stmt]
}

// plain is the statement without its prefix.
func (s *statement) plain() form { return form{s.query, &s.kept} }

// prepared returns the kept statement. Of concurrent first calls each prepares it under
// its own context, and one of them stays.
func (f form) prepared(ctx context.Context, db *pool) (*sql.Stmt, error) {
	if stmt := f.kept.Load(); stmt != nil {
		return stmt, nil
	}
	stmt, err := db.PrepareContext(ctx, f.text)
	if err != nil {
		return nil, err
	}
	if f.kept.CompareAndSwap(nil, stmt) {
		return stmt, nil
	}
	defer func() { _ = stmt.Close() }()
	return f.kept.Load(), nil
}

// exec runs the statement on the pool.
func (s *statement) exec(ctx context.Context, db *pool, args ...any) (res sql.Result, err error) {
	err = s.run(ctx, db, args, func(f form) error {
		stmt, err := f.prepared(ctx, db) //nolint:sqlclosecheck // it is kept
		if err != nil {
			return err
		}
		res, err = stmt.ExecContext(ctx, args...)
		return err
	}, func(on connection, query string, args ...any) error {
		res, err = on.ExecContext(ctx, query, args...)
		return err
	})
	return res, err
}

// execTx runs the statement in tx. stmt is what prepared returned before tx began, with
// its error: a pool of one connection has none left for it now.
func (s *statement) execTx(ctx context.Context, tx *sql.Tx, stmt *sql.Stmt, prepareErr error, args ...any) (res sql.Result, err error) {
	err = s.plain().run(args, func(form) error {
		if prepareErr != nil {
			return prepareErr
		}
		res, err = tx.StmtContext(ctx, stmt).ExecContext(ctx, args...) //nolint:sqlclosecheck // it ends with tx
		return err
	}, func(query string, args ...any) error {
		res, err = tx.ExecContext(ctx, query, args...)
		return err
	})
	return res, err
}

// queryRow runs the statement on the pool and scans its only row into dest, or returns
// [sql.ErrNoRows].
func (s *statement) queryRow(ctx context.Context, db *pool, args, dest []any) error {
	return s.run(ctx, db, args, func(f form) error {
		stmt, err := f.prepared(ctx, db) //nolint:sqlclosecheck // it is kept
		if err != nil {
			return err
		}
		return stmt.QueryRowContext(ctx, args...).Scan(dest...)
	}, func(on connection, query string, args ...any) error {
		return on.QueryRowContext(ctx, query, args...).Scan(dest...)
	})
}

// queryAll runs the statement on the pool and calls scan for each of its rows.
func (s *statement) queryAll(ctx context.Context, db *pool, args []any, scan func(*sql.Rows) error) error {
	return s.run(ctx, db, args, func(f form) error {
		stmt, err := f.prepared(ctx, db) //nolint:sqlclosecheck // it is kept
		if err != nil {
			return err
		}
		rows, err := stmt.QueryContext(ctx, args...)
		return scanAll(rows, err, scan)
	}, func(on connection, query string, args ...any) error {
		rows, err := on.QueryContext(ctx, query, args...)
		return scanAll(rows, err, scan)
	})
}

func scanAll(rows *sql.Rows, err error, scan func(*sql.Rows) error) error {
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// run calls kept with the form to send, or direct with a text.
func (s *statement) run(ctx context.Context, db *pool, args []any,
	kept func(f form) error, direct func(on connection, query string, args ...any) error,
) error {
	f := s.plain()
	if s.syncWait != "" {
		c, err := db.cluster(ctx, db)
		switch {
		case err != nil:
			return err
		case c == group:
			return s.runInGroup(ctx, db, args, direct)
		case c == galera:
			f = form{s.syncWait + s.query, &s.synced}
		}
	}
	return f.run(args, kept, func(query string, args ...any) error { return direct(db, query, args...) })
}

// runInGroup runs the statement on a connection of its own, when the member has caught
// up.
func (s *statement) runInGroup(ctx context.Context, db *pool, args []any, direct func(on connection, query string, args ...any) error) error {
	text, err := inline(s.query, args)
	if err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return caughtUp(ctx, conn, func() error { return direct(conn, text) })
}

func (f form) run(args []any, kept func(f form) error, direct func(query string, args ...any) error) error {
	err := kept(f)
	if n := errorNumber(err); n == errUnknownStatement || n == errNeedReprepare {
		err = direct(f.text, args...)
	}
	if errorNumber(err) == errTooManyStatements {
		text, inlineErr := inline(f.text, args)
		if inlineErr != nil {
			return inlineErr
		}
		err = direct(text)
	}
	return err
}

// inline writes the arguments into the query in place of its question marks. Text
// becomes hexadecimal, so that no sql_mode or character set can read it otherwise.
func inline(query string, args []any) (string, error) {
	parts := strings.Split(query, "?")
	if len(parts) != len(args)+1 {
		return "", fmt.Errorf("mysqlstore: %d arguments for %d places", len(args), len(parts)-1)
	}
	var b strings.Builder
	b.WriteString(parts[0])
	for i, arg := range args {
		switch v := arg.(type) {
		case int64:
			b.WriteString(" " + strconv.FormatInt(v, 10)) // no two minuses make a comment
		case string:
			b.WriteString("_utf8mb4 X'" + hex.EncodeToString([]byte(v)) + "'")
		case []byte:
			b.WriteString("X'" + hex.EncodeToString(v) + "'")
		default:
			return "", fmt.Errorf("mysqlstore: an argument of type %T", arg)
		}
		b.WriteString(parts[i+1])
	}
	return b.String(), nil
}
