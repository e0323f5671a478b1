package examples_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/mysqltest"
)

func TestDirect(t *testing.T) {
	dsn := mysqltest.Default(t).DSN(t)
	db := mysqltest.Open(t, dsn)
	for range 2 {
		code, out := finish(t, command(t, nil, "direct", "-dsn", dsn))
		require.Zero(t, code, out)
		assert.Contains(t, out, "logged in: user 1, Ann Lee, plan free")
		assert.Contains(t, out, "logged out")
		assert.Equal(t, 1, count(t, db, "customers"))
	}
	code, out := finish(t, command(t, nil, "direct", "-dsn", dsn, "-email", "no address"))
	assert.Equal(t, 1, code)
	assert.Contains(t, out, "Invalid email address.")
	assert.Equal(t, 1, count(t, db, "users"))
}

// TestDirectAllOrNothing has the host's own row refused: the user is not stored either.
func TestDirectAllOrNothing(t *testing.T) {
	dsn := mysqltest.Default(t).DSN(t)
	db := mysqltest.Open(t, dsn)
	_, err := db.ExecContext(t.Context(), "CREATE TABLE customers (user_id BIGINT NOT NULL PRIMARY KEY, plan VARCHAR(20) NOT NULL CHECK (plan <> 'free'))")
	require.NoError(t, err)
	code, out := finish(t, command(t, nil, "direct", "-dsn", dsn))
	assert.Equal(t, 1, code, out)
	assert.Zero(t, count(t, db, "customers"))
	assert.Zero(t, count(t, db, "users"))
}

// TestOwnUsers goes through the API of a host whose users are its own, and ends sessions
// by raising the user's version.
func TestOwnUsers(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		dsn := s.DSN(t)
		_, url := serve(t, nil, "ownusers", "-cost", "10", "-dsn", dsn)
		id := do(t, http.StatusCreated, "POST", url+"/api/signup", "", ann).str("user_id")
		assert.Regexp(t, `^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`, id)
		do(t, http.StatusUnprocessableEntity, "POST", url+"/api/signup", "", ann)
		do(t, http.StatusUnauthorized, "POST", url+"/api/login", "", `{"email":"bob@example.com","password":"correct horse"}`)

		phone := do(t, http.StatusOK, "POST", url+"/api/login", "", annLogin)
		laptop := do(t, http.StatusOK, "POST", url+"/api/login", "", annLogin)
		profile := do(t, http.StatusOK, "GET", url+"/api/profile", phone.str("access_token"), "")
		assert.Equal(t, map[string]any{"id": id, "name": "Ann Lee", "email": annsEmail}, profile.body["user"])
		phone = do(t, http.StatusOK, "POST", url+"/api/refresh", phone.str("refresh_token"), "")

		do(t, http.StatusNoContent, "POST", url+"/sign-out-everywhere", laptop.str("access_token"), "")
		for _, device := range []answer{phone, laptop} {
			do(t, http.StatusUnauthorized, "POST", url+"/api/refresh", device.str("refresh_token"), "")
			do(t, http.StatusUnauthorized, "POST", url+"/sign-out-everywhere", device.str("access_token"), "")
		}
		again := do(t, http.StatusOK, "POST", url+"/api/login", "", annLogin)
		do(t, http.StatusOK, "POST", url+"/api/refresh", again.str("refresh_token"), "")
		db := mysqltest.Open(t, dsn)
		assert.Equal(t, 1, count(t, db, "accounts"))
		assert.Equal(t, 3, count(t, db, "refresh_tokens"))
	})
}
