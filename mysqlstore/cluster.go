package mysqlstore

import (
	"context"
	"database/sql"
)

// Group Replication has no word in a statement that makes a member apply what others
// have acknowledged before it, as Galera has: a variable of the session does that, for
// each later statement of the session too. A host's own setting that is stronger stays
// as strong.
const (
	waitForGroup = "SET @auth_consistency = @@session.group_replication_consistency, SESSION group_replication_consistency = " +
		"IF(@auth_consistency IN ('AFTER', 'BEFORE_AND_AFTER'), 'BEFORE_AND_AFTER', 'BEFORE')"
	waitNoMore = "SET SESSION group_replication_consistency = @auth_consistency"

	singlePrimary = "SELECT @@global.group_replication_single_primary_mode"

	// MySQL, from the version on that knows the variable, executes what is in this comment,
	// and finds it wrong; MariaDB ignores it. So a first statement tells the two apart, and
	// on MariaDB without a further one.
	refusedByMySQL = " /*!80014 GROUP */"
)

// isMultiPrimary says whether the server is of a group in which every member takes
// writes, so that it may not have applied yet what another one has acknowledged. A lone
// primary has applied all that was ever acknowledged.
func isMultiPrimary(ctx context.Context, on connection) (bool, error) {
	var single bool
	err := on.QueryRowContext(ctx, singlePrimary).Scan(&single)
	if errorNumber(err) == errUnknownVariable {
		return false, nil
	}
	return err == nil && !single, err
}

// runInGroup runs the statement on a connection of its own, when the member has caught
// up.
func (s *statement) runInGroup(ctx context.Context, db *sql.DB, args []any, direct func(on connection, query string, args ...any) error) error {
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

// caughtUp calls do, whose statement on the connection waits for the group. After it the
// connection is as it was before, or is closed.
func caughtUp(ctx context.Context, conn *sql.Conn, do func() error) error {
	if _, err := conn.ExecContext(ctx, waitForGroup); err != nil {
		return err
	}
	err := do()
	if _, resetErr := conn.ExecContext(ctx, waitNoMore); resetErr != nil {
		discard(conn)
	}
	return err
}

// catchUp returns when the server has applied what other nodes of its cluster had
// acknowledged. It is for a transaction, in which a node does not wait, and which is to
// begin on the connection.
func catchUp(ctx context.Context, conn *sql.Conn) error {
	const look = "SELECT 1 FROM users LIMIT 1"
	_, err := conn.ExecContext(ctx, syncedRead+look+refusedByMySQL)
	switch errorNumber(err) {
	case errUnknownVariable:
		return nil
	case errSyntax:
	default:
		return err
	}
	if multi, err := isMultiPrimary(ctx, conn); err != nil || !multi {
		return err
	}
	return caughtUp(ctx, conn, func() error {
		_, err := conn.ExecContext(ctx, look)
		return err
	})
}
