package mysqlstore

import (
	"context"
	"database/sql"
	"time"
)

const (
	expiredSessions = "SELECT id FROM refresh_tokens FORCE INDEX (expires_at) WHERE expires_at < ? ORDER BY expires_at LIMIT ?"

	// Not every server takes a hint in the other form of a DELETE.
	deleteBatch = "DELETE s FROM refresh_tokens s FORCE INDEX (PRIMARY) WHERE s.expires_at < ? AND s.id IN "
)

// PurgeSessions implements auth.RefreshStore. It deletes up to 500 rows, all in one
// statement.
func (s *sessions) PurgeSessions(ctx context.Context, before time.Time, limit int) (purged int, err error) {
	const what = "purge sessions"
	if limit <= 0 {
		return 0, nil
	}
	for purged == 0 { // another call may have deleted all that this one found
		ids, err := s.ids(ctx, &s.expired, instant(before), int64(min(limit, batchRows)))
		if err != nil || len(ids) == 0 {
			return 0, translate(what, err)
		}
		query, err := inline(deleteBatch+inList(ids), []any{instant(before)})
		if err != nil {
			return 0, translate(what, err)
		}
		if purged, err = s.delete(ctx, query); err != nil {
			return 0, translate(what, err)
		}
	}
	return purged, nil
}

// delete runs a DELETE in a transaction of its own.
func (s *sessions) delete(ctx context.Context, query string) (deleted int, err error) {
	err = startAnew(func() error {
		return transact(ctx, s.db, func(tx *sql.Tx) error {
			n, err := affected(tx.ExecContext(ctx, query))
			deleted = int(n)
			return err
		})
	})
	return deleted, err
}
