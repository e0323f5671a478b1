package examples_test

import (
	"net/http"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/mysqltest"
)

var peak = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)

// TestUpgradeOfAMillionUsers takes over as many, in less than 64 MiB of memory.
func TestUpgradeOfAMillionUsers(t *testing.T) {
	dsn, db := tutorialDatabase(t, mysqltest.Default(t))
	const digits = "(SELECT 0 AS d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 " +
		"UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9)"
	for _, query := range []string{
		"DELETE FROM users WHERE id > 1",
		"INSERT INTO users (name, email, password) " +
			"SELECT CONCAT('Tom &amp; Jerry ', n), CONCAT('Person', n, '@Example.com'), (SELECT password FROM users WHERE id = 1) " +
			"FROM (SELECT a.d + 10 * b.d + 100 * c.d + 1000 * d.d + 10000 * e.d + 100000 * f.d AS n FROM " +
			digits + " a, " + digits + " b, " + digits + " c, " + digits + " d, " + digits + " e, " + digits + " f) numbers",
	} {
		_, err := db.ExecContext(t.Context(), query)
		require.NoError(t, err)
	}
	require.Equal(t, 1_000_001, count(t, db, "users"))

	begun := time.Now()
	p := start(t, command(t, keys, "mysql", "-addr", "127.0.0.1:0", "-cost", "10", "-upgrade-tutorial", "-dsn", dsn))
	url := p.urlWithin(t, 10*time.Minute)
	took := time.Since(begun)

	// The kernel's own count of a process that was waited for holds its parent's, too.
	status, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/status")
	require.NoError(t, err)
	found := peak.FindSubmatch(status)
	require.NotNil(t, found)
	kB, err := strconv.Atoi(string(found[1]))
	require.NoError(t, err)
	t.Logf("the upgrade took %s and %d kB", took.Round(time.Second), kB)
	assert.Less(t, kB, 64<<10)
	assert.Greater(t, kB, 1<<10)

	tokens := logIn(t, http.StatusOK, url, "person999999@example.com", "correct horse")
	profile := do(t, http.StatusOK, "GET", url+"/api/profile", tokens.str("access_token"), "")
	user, ok := profile.body["user"].(map[string]any)
	require.True(t, ok)
	assert.Equal(t, "Tom & Jerry 999999", user["name"])
	assert.Equal(t, "Person999999@Example.com", user["email"])
	var left int
	require.NoError(t, db.QueryRowContext(t.Context(),
		"SELECT COUNT(*) FROM users WHERE email_key <> LOWER(email) OR name LIKE '%&amp;%' OR password NOT LIKE 'bcrypt-tutorial:%'").Scan(&left))
	assert.Zero(t, left)
}
