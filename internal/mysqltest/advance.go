package mysqltest

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"testing"
	"time"
)

// Advance makes d, in whole microseconds, pass by the store's clock, which is the
// server's: it moves back what that clock wrote, the sessions' created_at, revoked_at
// and retired (no further than the Unix epoch), and, if there is such a table, the
// users' created_at and updated_at. A negative d sets the clock back. Expiries and
// authenticated_at are by Config.Now and stay. Nothing else may write to the database
// meanwhile.
func Advance(tb testing.TB, db *sql.DB, d time.Duration) {
	tb.Helper()
	if err := advance(tb.Context(), db, d.Microseconds()); err != nil {
		tb.Fatalf("mysqltest: %v", err)
	}
}

func advance(ctx context.Context, db *sql.DB, us int64) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	const sessions = `UPDATE refresh_tokens SET created_at = created_at - INTERVAL ? MICROSECOND,
		revoked_at = revoked_at - INTERVAL ? MICROSECOND`
	if _, err := tx.ExecContext(ctx, sessions, us, us); err != nil {
		return err
	}
	if err := advanceRetired(ctx, tx, us); err != nil {
		return err
	}
	const columns = `SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
		AND table_name = 'users' AND column_name IN ('created_at', 'updated_at')`
	var n int
	if err := tx.QueryRowContext(ctx, columns).Scan(&n); err != nil {
		return err
	}
	if n == 2 {
		const users = `UPDATE users SET created_at = created_at - INTERVAL ? MICROSECOND,
			updated_at = updated_at - INTERVAL ? MICROSECOND`
		if _, err := tx.ExecContext(ctx, users, us, us); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// advanceRetired moves every retirement of every session.
func advanceRetired(ctx context.Context, tx *sql.Tx, us int64) error {
	rows, err := tx.QueryContext(ctx, "SELECT id, retired FROM refresh_tokens WHERE retired <> ''")
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	retired := map[string][]byte{}
	for rows.Next() {
		var id, list []byte
		if err := rows.Scan(&id, &list); err != nil {
			return err
		}
		if len(list)%8 != 0 {
			return fmt.Errorf("retired of %x has %d bytes, not 8 for each entry", id, len(list))
		}
		for i := 0; i < len(list); i += 8 {
			entry := int64(binary.BigEndian.Uint64(list[i:])) //nolint:gosec // microseconds of our time
			binary.BigEndian.PutUint64(list[i:], uint64(max(0, entry-us)))
		}
		retired[string(id)] = list
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for id, list := range retired {
		if _, err := tx.ExecContext(ctx, "UPDATE refresh_tokens SET retired = ? WHERE id = ?", list, []byte(id)); err != nil {
			return err
		}
	}
	return nil
}
