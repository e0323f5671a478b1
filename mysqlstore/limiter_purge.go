package mysqlstore

import (
	"context"
	"database/sql"
)

const (
	limiterPurgeEvery = 100
	limiterPurgeRows  = "200"

	// A row is left until its budget has been full for a minute, so that a key in use keeps
	// its row, and no other node has to give way to the purge.
	fullForAMinute = "full_at < " + utcMicros + " - 60000000"

	fullLimits = "SELECT id FROM rate_limits FORCE INDEX (full_at) WHERE " + fullForAMinute + " ORDER BY full_at LIMIT " + limiterPurgeRows

	// Not every server takes a hint in the other form of a DELETE.
	deleteFullLimits = endedSoon + "DELETE r FROM rate_limits r FORCE INDEX (PRIMARY) WHERE r." + fullForAMinute + " AND r.id IN "
)

// purge deletes up to 200 rows of budgets that are full, which are as good as none. As in
// PurgeSessions, they are found without a lock, so that takes do not wait for the search.
func (l *limiter) purge(ctx context.Context) error {
	var ids [][]byte
	err := l.full.queryAll(ctx, l.db, nil, func(rows *sql.Rows) error {
		var id []byte
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
	if err != nil || len(ids) == 0 {
		return err
	}
	return transact(ctx, l.db, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, deleteFullLimits+inList(ids))
		return err
	})
}
