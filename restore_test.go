package auth_test

import (
	"database/sql"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/mysqltest"
)

// exec runs statements that must succeed.
func (w *world) exec(t *testing.T, statements ...string) {
	t.Helper()
	for _, s := range statements {
		_, err := w.db.ExecContext(t.Context(), s)
		require.NoError(t, err, s)
	}
}

// texts are the values of a query's first column.
func (w *world) texts(t *testing.T, query string) []string {
	t.Helper()
	rows, err := w.db.QueryContext(t.Context(), query)
	require.NoError(t, err, query)
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	require.NoError(t, err)
	var (
		first string
		list  []string
	)
	row := make([]any, len(columns))
	for i := range row {
		row[i] = new(sql.RawBytes)
	}
	row[0] = &first
	for rows.Next() {
		require.NoError(t, rows.Scan(row...))
		list = append(list, first)
	}
	require.NoError(t, rows.Err())
	return list
}

// runbook is the SQL of docs/restore.md, one statement each.
func runbook(t *testing.T) []string {
	t.Helper()
	var statements []string
	for _, block := range regexp.MustCompile("(?ms)^ *```sql\n(.*?)^ *```$").FindAllStringSubmatch(readText(t, "docs/restore.md"), -1) {
		for line := range strings.Lines(block[1]) {
			statement, _, ok := strings.Cut(line, ";")
			require.True(t, ok, "a statement is a line: %q", line)
			statements = append(statements, strings.TrimSpace(statement))
		}
	}
	return statements
}

// TestRestoredBackup has happen what docs/restore.md says of a restored backup, and then
// takes its steps, by its own statements.
func TestRestoredBackup(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		w := onServer(t, s)
		ctx := t.Context()
		ann, bob, carl := w.signUp(t, "ann@example.com"), w.signUp(t, "bob@example.com"), w.signUp(t, "carl@example.com")
		left, refreshed := w.logIn(t, "ann@example.com"), w.logIn(t, "ann@example.com")
		bobs, carls := w.logIn(t, "bob@example.com"), w.logIn(t, "carl@example.com")
		backupTime := w.texts(t, "SELECT UTC_TIMESTAMP(6)")[0]
		w.exec(t, "CREATE TABLE backup_users AS SELECT * FROM users", "CREATE TABLE backup_sessions AS SELECT * FROM refresh_tokens")

		// Since the backup.
		require.NoError(t, w.Logout(ctx, left.RefreshToken))
		for range 2 {
			next, err := w.Refresh(ctx, refreshed.RefreshToken, auth.Client{})
			require.NoError(t, err)
			refreshed = next
		}
		require.NoError(t, w.stores.Accounts.SetPassword(ctx, ann, ""))
		require.NoError(t, w.DisableUser(ctx, bob))
		require.NoError(t, w.stores.Accounts.DeleteUser(ctx, carl))
		dora := w.signUp(t, "dora@example.com")
		doras := w.logIn(t, "dora@example.com")

		steps := runbook(t)
		require.Len(t, steps, 4)
		assert.Equal(t, []string{string(dora)}, w.texts(t, steps[0]), "the highest ID")
		changed := regexp.MustCompile(`'.*'`).ReplaceAllString(steps[1], "'"+backupTime+"'")
		assert.ElementsMatch(t, []string{string(ann), string(bob), string(dora)}, w.texts(t, changed))
		w.exec(t, "DELETE FROM refresh_tokens", "DELETE FROM users", "ALTER TABLE users AUTO_INCREMENT = 1",
			"INSERT INTO users SELECT * FROM backup_users", "INSERT INTO refresh_tokens SELECT * FROM backup_sessions")

		// What is alive again.
		old := w.logIn(t, "ann@example.com")
		tokens := []string{old.RefreshToken}
		for _, back := range []auth.Tokens{left, refreshed, bobs, carls} {
			next, err := w.Refresh(ctx, back.RefreshToken, auth.Client{})
			require.NoError(t, err)
			tokens = append(tokens, next.RefreshToken)
		}
		assert.Equal(t, 1, strings.Count(w.log.String(), "event=state_lost"), "that of the session that was refreshed")
		assert.Equal(t, dora, w.signUp(t, "eve@example.com"), "dora's ID is given again")

		w.exec(t, steps[2])
		revoked, err := w.RevokeAllSessions(ctx, time.Now())
		require.NoError(t, err)
		assert.EqualValues(t, len(tokens), revoked)
		require.NoError(t, w.DisableUser(ctx, bob))
		require.NoError(t, w.stores.Accounts.DeleteUser(ctx, carl))
		require.NoError(t, w.stores.Accounts.SetPassword(ctx, ann, ""))
		assert.Equal(t, []string{"0"}, w.texts(t, steps[3]))

		logged := len(w.log.String())
		for _, token := range append(tokens, left.RefreshToken, refreshed.RefreshToken, bobs.RefreshToken, carls.RefreshToken, doras.RefreshToken) {
			_, err := w.Refresh(ctx, token, auth.Client{})
			require.ErrorIs(t, err, auth.ErrSessionEnded)
		}
		assert.NotContains(t, w.log.String()[logged:], "event=", "neither state_lost nor refresh_retried")
		for address, want := range map[string]error{
			"ann@example.com": auth.ErrInvalidCredentials, "bob@example.com": auth.ErrAccountDisabled, "carl@example.com": auth.ErrInvalidCredentials,
		} {
			_, err := w.Login(ctx, auth.LoginInput{Email: address, Password: password})
			assert.ErrorIs(t, err, want, address)
		}
		assert.NotContains(t, []auth.UserID{ann, bob, carl, dora}, w.signUp(t, "fay@example.com"))

		_, err = w.Verify(doras.AccessToken)
		require.NoError(t, err, "it has not expired")
		rekeyed := w.another(t, func(cfg *auth.Config) {
			cfg.Tokens.AccessKeys = []auth.Key{auth.HMACKey([]byte("another access secret of tests, 32 bytes and more"))}
		})
		_, err = rekeyed.Verify(doras.AccessToken)
		require.ErrorIs(t, err, auth.ErrTokenSignature)
	})
}
