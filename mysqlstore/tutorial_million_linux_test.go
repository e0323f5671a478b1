package mysqlstore_test

import (
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/mysqltest"
)

var peak = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)

// A million users are taken over in less than 64 MiB, by a process without the race
// detector.
func TestUpgradeTutorialMemory(t *testing.T) {
	const digits = "(SELECT 0 d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 " +
		"UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9)"
	program := buildUpgrade(t)
	dsn := tutorialDSN(t, mysqltest.Default(t), "INSERT INTO users (name, email, password) "+
		"SELECT CONCAT('&amp;lt;b&amp;gt;', n), CONCAT('P', n, '@Example.com'), '"+someHash+"' "+
		"FROM (SELECT a.d + 10 * b.d + 100 * c.d + 1000 * d.d + 10000 * e.d + 100000 * f.d n FROM "+
		strings.Join([]string{digits + " a", digits + " b", digits + " c", digits + " d", digits + " e", digits + " f"}, ", ")+") numbers")

	begun := time.Now()
	cmd := exec.CommandContext(t.Context(), program, dsn)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	found := peak.FindSubmatch(out)
	require.NotNil(t, found, "%s", out)
	kB, err := strconv.Atoi(string(found[1]))
	require.NoError(t, err)
	t.Logf("a million users in %s and %d kB", time.Since(begun).Round(time.Second), kB)
	assert.Less(t, kB, 64<<10)

	db := mysqltest.Open(t, dsn)
	assert.Equal(t, [][]string{{"1000007", "1000000"}}, rowsOf(t, db,
		"SELECT COUNT(*), SUM(name = CONCAT('&lt;b&gt;', SUBSTRING(email_key, 2, LOCATE('@', email_key) - 2)) "+
			"AND email_key = LOWER(email) AND password = 'bcrypt-tutorial:"+someHash+"') FROM users"))
}
