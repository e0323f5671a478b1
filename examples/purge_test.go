package examples_test

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/mysqltest"
)

// TestPurge has two processes purge one table, twice each at least.
func TestPurge(t *testing.T) {
	dsn := mysqltest.Default(t).DSN(t)
	args := []string{"-cost=10", "-purge=50ms", "-dsn", dsn}
	p, url := serve(t, keys, "mysql", args...)
	serve(t, keys, "mysql", args...)
	do(t, http.StatusCreated, "POST", url+"/api/signup", "", ann)
	live, recent, old := login(t, url), login(t, url), login(t, url)
	db := mysqltest.Open(t, dsn)
	expire := func(token string, hours int) {
		res, err := db.ExecContext(t.Context(), "UPDATE refresh_tokens SET expires_at = UTC_TIMESTAMP(6) - INTERVAL ? MINUTE WHERE id = UNHEX(?)",
			60*hours-30, claims(t, token).SID)
		require.NoError(t, err)
		n, err := res.RowsAffected()
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
	}
	expire(recent, 1)
	expire(old, 2)
	p.until(t, "a purge", func() bool { return count(t, db, "refresh_tokens") == 2 })
	expire(recent, 2)
	p.until(t, "another purge", func() bool { return count(t, db, "refresh_tokens") == 1 })
	do(t, http.StatusOK, "POST", url+"/api/refresh", live, "")
	assert.Zero(t, p.end(t, syscall.SIGTERM))
	assert.NotContains(t, p.stderr.String(), "not purged")
}

// TestPurgeGoesOn has the database fail while a process purges.
func TestPurgeGoesOn(t *testing.T) {
	server := mysqltest.Private(t)
	dsn := server.DSN(t)
	p, url := serve(t, keys, "mysql", "-cost=10", "-purge=50ms", "-dsn", dsn)
	do(t, http.StatusCreated, "POST", url+"/api/signup", "", ann)
	login(t, url)
	server.Kill(t)
	p.until(t, "the log", func() bool { return strings.Contains(p.stderr.String(), "the sessions were not purged") })
	server.Restart(t)
	db := mysqltest.Open(t, dsn)
	_, err := db.ExecContext(t.Context(), "UPDATE refresh_tokens SET expires_at = UTC_TIMESTAMP(6) - INTERVAL 1 DAY")
	require.NoError(t, err)
	p.until(t, "a purge", func() bool { return count(t, db, "refresh_tokens") == 0 })
}

// TestPurgeEndsWithTheProgram stops a process long before its first purge.
func TestPurgeEndsWithTheProgram(t *testing.T) {
	p, _ := serve(t, keys, "mysql", "-purge=1000h", "-dsn", mysqltest.Default(t).DSN(t))
	begun := time.Now()
	assert.Zero(t, p.end(t, syscall.SIGTERM))
	assert.Less(t, time.Since(begun), 30*time.Second)
}

// login returns the refresh token of a new session of Ann's.
func login(t *testing.T, url string) string {
	t.Helper()
	return do(t, http.StatusOK, "POST", url+"/api/login", "", annLogin).str("refresh_token")
}
