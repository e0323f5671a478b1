package mysqlstore

import (
	"context"
	"database/sql"
	"fmt"
)

// beginner is a [sql.DB] or a [sql.Conn].
type beginner interface {
	BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error)
}

// transact commits what do has done, or rolls it back if there is an error: after a
// conflict a commit may keep the half of it, or say that all went well.
//
// Whatever the isolation level of the host's connections, the transaction is READ
// COMMITTED: it locks the rows that it finds, and not the gaps beside them, in which the
// sessions of others may have to go.
func transact(ctx context.Context, db beginner, do func(tx *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // of no effect after Commit
	if err := do(tx); err != nil {
		return ended(ctx, err)
	}
	if err := tx.Commit(); err != nil {
		return ended(ctx, fmt.Errorf("commit: %w", err))
	}
	return nil
}

// attempts is how often an operation is tried in all that came into another's way.
const attempts = 8

// startAnew calls op again, attempts times at most, as long as it comes into another
// transaction's way and nothing of it is left.
func startAnew(op func() error) error {
	for attempt := 1; ; attempt++ {
		if err := op(); !isConflict(err) || attempt >= attempts {
			return err
		}
	}
}
