package mysqltest_test

import (
	"database/sql"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/mysqltest"
)

// migrate runs the mysqlstore's own migrations.
func migrate(t *testing.T, db *sql.DB, pattern string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "mysqlstore", "migrations", pattern))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		up, _, _ := strings.Cut(string(text), "-- +goose Down")
		execute(t, db, up)
	}
}

func execute(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), query, args...)
	require.NoError(t, err)
}

func entries(us ...uint64) []byte {
	var b []byte
	for _, n := range us {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}

const insertSession = `INSERT INTO refresh_tokens (id, user_id, auth_version, generation, rotated_by, retired, created_at,
	authenticated_at, expires_at, max_expires_at, revoked_at, reason, ip, user_agent)
	VALUES (?, ?, 1, 1, '', ?, '2026-01-02 03:04:05.000006', '2026-01-02', '2026-01-02', '2026-01-02', ?, '', '', '')`

// session is what of a session's row Advance might touch.
type session struct {
	created, authenticated, expires, maxExpires time.Time
	revoked                                     sql.NullTime
	retired                                     []byte
}

func readSession(t *testing.T, db *sql.DB, id string) session {
	t.Helper()
	var s session
	require.NoError(t, db.QueryRowContext(t.Context(), `SELECT created_at, authenticated_at, expires_at, max_expires_at, revoked_at, retired
		FROM refresh_tokens WHERE id = ?`, id).Scan(&s.created, &s.authenticated, &s.expires, &s.maxExpires, &s.revoked, &s.retired))
	return s
}

func TestAdvance(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		db := s.DB(t, "parseTime=true")
		migrate(t, db, "*.sql")
		execute(t, db, `INSERT INTO users (id, name, email, email_key, password, created_at, updated_at)
			VALUES (7, '', '', '', '', '2026-01-02 00:00:00.5', '2026-01-03')`)
		execute(t, db, insertSession, "1234567890123456", 7, entries(5_000_000_000, 3_600_000_000, 3_600_000_001, 1, 0), nil)
		execute(t, db, insertSession, "6543210987654321", 7, "", "2026-01-02 03:04:05.000007")

		mysqltest.Advance(t, db, time.Hour+999*time.Nanosecond)

		day := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
		got := readSession(t, db, "1234567890123456")
		assert.Equal(t, time.Date(2026, 1, 2, 2, 4, 5, 6000, time.UTC), got.created)
		assert.Equal(t, []time.Time{day, day, day}, []time.Time{got.authenticated, got.expires, got.maxExpires})
		assert.False(t, got.revoked.Valid)
		assert.Equal(t, entries(1_400_000_000, 0, 1, 0, 0), got.retired)

		got = readSession(t, db, "6543210987654321")
		assert.Equal(t, time.Date(2026, 1, 2, 2, 4, 5, 7000, time.UTC), got.revoked.Time)
		assert.Empty(t, got.retired)

		var created, updated time.Time
		require.NoError(t, db.QueryRowContext(t.Context(), "SELECT created_at, updated_at FROM users").Scan(&created, &updated))
		assert.Equal(t, day.Add(-time.Hour+time.Second/2), created)
		assert.Equal(t, day.Add(23*time.Hour), updated)
	})
}

func TestAdvanceBackwards(t *testing.T) {
	db := mysqltest.Default(t).DB(t, "parseTime=true")
	migrate(t, db, "sessions/*.sql")
	execute(t, db, insertSession, "1234567890123456", "u-1", entries(5_000_000_000, 0), nil)
	mysqltest.Advance(t, db, -time.Hour)
	got := readSession(t, db, "1234567890123456")
	assert.Equal(t, time.Date(2026, 1, 2, 4, 4, 5, 6000, time.UTC), got.created)
	assert.Equal(t, entries(8_600_000_000, 3_600_000_000), got.retired)
}

func TestAdvanceWithoutUsers(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		for _, users := range []string{"SELECT 1", "CREATE TABLE users (uid CHAR(36) PRIMARY KEY, created_at DATETIME)"} {
			db := s.DB(t, "parseTime=true")
			execute(t, db, users)
			migrate(t, db, "sessions/*.sql")
			execute(t, db, insertSession, "1234567890123456", "u-1", "", nil)
			mysqltest.Advance(t, db, 48*time.Hour)
			assert.Equal(t, time.Date(2025, 12, 31, 3, 4, 5, 6000, time.UTC), readSession(t, db, "1234567890123456").created)
		}
	})
}

func TestAdvanceRefuses(t *testing.T) {
	db := mysqltest.Default(t).DB(t)
	end := observe(t, func(tb *fakeTB) { mysqltest.Advance(tb, db, 1) })
	assert.Contains(t, end.fatal, "refresh_tokens")

	migrate(t, db, "sessions/*.sql")
	execute(t, db, insertSession, "1234567890123456", "u-1", "seven b", nil)
	end = observe(t, func(tb *fakeTB) { mysqltest.Advance(tb, db, time.Hour) })
	assert.Contains(t, end.fatal, "7 bytes")
	var created string
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT created_at FROM refresh_tokens").Scan(&created))
	assert.Equal(t, "2026-01-02 03:04:05.000006", created, "all or nothing")
}
