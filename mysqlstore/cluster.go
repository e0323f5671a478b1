package mysqlstore

import (
	"context"
	"database/sql"
	"sync/atomic"
)

// pool is the host's pool, and the kind of cluster that it leads to.
type pool struct {
	*sql.DB
	found atomic.Int32 // a cluster
}

// cluster is how a server is made to apply what others have acknowledged, before it
// answers.
type cluster int32

const (
	unknown cluster = iota // nobody has asked yet
	alone                  // there is nothing to wait for
	galera                 // each statement can say so itself: see statement.syncWait
	group                  // Group Replication: a variable of the session says so
)

// connection is a pool or one of its connections.
type connection interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// cluster is the kind of cluster behind the pool. The first call asks for it on the
// connection, in one or two round trips.
func (p *pool) cluster(ctx context.Context, on connection) (cluster, error) {
	if c := cluster(p.found.Load()); c != unknown {
		return c, nil
	}
	c, err := findCluster(ctx, on)
	if err != nil {
		return unknown, err
	}
	p.found.Store(int32(c))
	return c, nil
}

// findCluster asks for variables that only servers of one kind have. A MariaDB that can be
// in a Galera cluster counts as one of it. Of a group with one primary, that has applied
// all that was ever acknowledged, unless a new one may answer before (EVENTUAL).
func findCluster(ctx context.Context, on connection) (cluster, error) {
	var variable sql.NullString
	err := on.QueryRowContext(ctx, "SELECT @@global.wsrep_sync_wait").Scan(&variable)
	if errorNumber(err) != errUnknownVariable {
		return galera, err
	}
	var inStep bool
	err = on.QueryRowContext(ctx, "SELECT @@global.group_replication_single_primary_mode "+
		"AND @@global.group_replication_consistency <> 'EVENTUAL'").Scan(&inStep)
	switch {
	case errorNumber(err) == errUnknownVariable:
		return alone, nil
	case err != nil:
		return unknown, err
	case inStep:
		return alone, nil
	default:
		return group, nil
	}
}

// isMultiPrimary says whether the server is of a group in which every member takes writes.
func isMultiPrimary(ctx context.Context, on connection) (bool, error) {
	var single bool
	err := on.QueryRowContext(ctx, "SELECT @@global.group_replication_single_primary_mode").Scan(&single)
	if errorNumber(err) == errUnknownVariable {
		return false, nil
	}
	return err == nil && !single, err
}

// In a group a variable of the session makes a member wait, for each later statement of
// the session too. A host's own setting that is stronger stays as strong.
const (
	waitForGroup = "SET @auth_consistency = @@session.group_replication_consistency, SESSION group_replication_consistency = " +
		"IF(@@session.group_replication_consistency IN ('AFTER', 'BEFORE_AND_AFTER'), 'BEFORE_AND_AFTER', 'BEFORE')"
	waitNoMore = "SET SESSION group_replication_consistency = @auth_consistency"
)

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

// catchUp returns when the server has applied what others of its cluster had acknowledged.
// It is for a transaction that is to begin on the connection: within one no server waits.
func (p *pool) catchUp(ctx context.Context, conn *sql.Conn) error {
	const look = "SELECT 1 FROM users LIMIT 1"
	c, err := p.cluster(ctx, conn)
	switch {
	case err != nil:
		return err
	case c == galera:
		_, err = conn.ExecContext(ctx, syncedRead+look)
	case c == group:
		err = caughtUp(ctx, conn, func() error {
			_, err := conn.ExecContext(ctx, look)
			return err
		})
	}
	return err
}
