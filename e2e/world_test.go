package e2e_test

import (
	"database/sql"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/e2e/client"
	"github.com/ostiary/auth/e2e/instance"
	"github.com/ostiary/auth/mysqlstore"
)

const (
	ann      = "ann@example.com"
	password = "correct horse"

	// defaultGrace is what the instances have unless a flag says otherwise.
	defaultGrace = time.Minute
)

// world is a database with some instances, and a look at its rows.
type world struct {
	dsn    string
	db     *sql.DB
	stores auth.Stores
	at     []client.Client
}

// newWorld starts an instance for each list of arguments, and signs Ann up.
func newWorld(t *testing.T, dsn string, args ...[]string) *world {
	t.Helper()
	w := &world{dsn: dsn, db: quiet(t, dsn)}
	store := mysqlstore.New(w.db, mysqlstore.Options{})
	require.NoError(t, store.Migrate(t.Context()))
	w.stores = store.Stores()
	for _, a := range args {
		w.at = append(w.at, to(start(t, dsn, a...)))
	}
	a, err := w.authenticator(t).Signup(t.Context(), auth.SignupInput{Name: "Ann Lee", Email: ann, Password: password})
	require.NoError(t, err)
	require.NotEmpty(t, a.ID)
	return w
}

// quiet opens a pool that keeps lost connections, also those that it finds when it is
// closed, to itself.
func quiet(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	cfg, err := mysql.ParseDSN(dsn)
	require.NoError(t, err)
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	require.NoError(t, err)
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// to is a client of an instance.
func to(p *instance.Process) client.Client { return client.Client{URL: p.URL} }

// authenticator is one with the instances' keys, in this process.
func (w *world) authenticator(t *testing.T) *auth.Authenticator {
	t.Helper()
	cfg := instance.Config()
	cfg.Logger = slog.New(slog.DiscardHandler)
	a, err := auth.New(w.stores, cfg)
	require.NoError(t, err)
	return a
}

// row is a session's row, by one of its tokens.
func (w *world) row(t *testing.T, refreshToken string) auth.SessionState {
	t.Helper()
	id, err := auth.ParseSessionID(claims(t, refreshToken).Session)
	require.NoError(t, err)
	state, err := w.stores.Refresh.ReadSession(t.Context(), id)
	require.NoError(t, err)
	state.ReadAt = time.Time{}
	return state
}

func claims(t *testing.T, refreshToken string) client.Claims {
	t.Helper()
	c, err := client.Read(refreshToken)
	require.NoError(t, err)
	return c
}

// logIn begins a session of Ann's and returns its first refresh token.
func logIn(t *testing.T, c client.Client) string {
	t.Helper()
	a, err := c.LogIn(t.Context(), ann, password)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	return a.RefreshToken
}

// refresh presents a token, which must be answered with another.
func refresh(t *testing.T, c client.Client, token string) string {
	t.Helper()
	a, err := c.Refresh(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	require.NotEqual(t, token, a.RefreshToken)
	return a.RefreshToken
}

// refused presents a token whose session must have ended.
func refused(t *testing.T, c client.Client, token string) {
	t.Helper()
	a, err := c.Refresh(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, a.Status, a.Body)
	require.Equal(t, "session_ended", a.Code)
}

// persistently presents a token until the answer is another than 503, as clients do.
func persistently(t *testing.T, c client.Client, token string) client.Answer {
	t.Helper()
	for range 100 {
		a, err := c.Refresh(t.Context(), token)
		require.NoError(t, err)
		if a.Status != http.StatusServiceUnavailable {
			return a
		}
		time.Sleep(20 * time.Millisecond) // as Retry-After asks for, though less
	}
	require.FailNow(t, "the database does not come back")
	return client.Answer{}
}
