package auth_test

import (
	"database/sql"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/mysqltest"
	"github.com/ostiary/auth/mysqlstore"
)

// onPrivate is a world on a server that the test may kill, with a driver that keeps quiet
// about it.
func onPrivate(t *testing.T, s *mysqltest.Server) *world {
	t.Helper()
	cfg, err := mysql.ParseDSN(s.DSN(t))
	require.NoError(t, err)
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	require.NoError(t, err)
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	store := mysqlstore.New(db, mysqlstore.Options{})
	require.NoError(t, store.Migrate(t.Context()))
	w := &world{stores: store.Stores(), db: db, clock: &clock{}, log: &safeBuffer{}}
	w.pass = func(d time.Duration) { mysqltest.Advance(t, db, d) }
	w.Authenticator = w.another(t)
	return w
}

// While the server is down every route that needs it is 503, and what needs none works.
// Afterwards the same tokens do, on the same pool.
//
// ASVS: 16.5.2.
func TestServerKilled(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		private := s.Private(t)
		w := onPrivate(t, private)
		site := serve(t, w.Handler(""))
		w.signUp(t, ann)
		tokens := w.logIn(t, ann)
		warm(t, site, tokens)

		private.Kill(t)
		for range 2 {
			for name, got := range map[string]reply{
				"signup":  site.do(t, http.MethodPost, "/signup", signupBody(t, "bob@example.com")),
				"login":   site.do(t, http.MethodPost, "/login", loginBody(t, ann)),
				"refresh": site.do(t, http.MethodPost, "/refresh", "", "Authorization", "Bearer "+tokens.RefreshToken),
				"profile": site.do(t, http.MethodGet, "/profile", "", "Authorization", "Bearer "+tokens.AccessToken),
			} {
				assert.Equal(t, http.StatusServiceUnavailable, got.status, name)
				assert.Equal(t, "1", got.header.Get("Retry-After"), name)
				assert.JSONEq(t, `{"status":503,"code":"unavailable","message":"Service Unavailable"}`, got.body, name)
			}
			require.ErrorIs(t, w.Logout(t.Context(), tokens.RefreshToken), auth.ErrUnavailable)
			assert.Equal(t, http.StatusOK, w.required(tokens.AccessToken), "nothing is asked")
			assert.Equal(t, http.StatusServiceUnavailable, w.live(tokens.AccessToken), "never open, never 401")
		}
		assert.Contains(t, w.log.String(), "level=ERROR")

		private.Restart(t)
		warm(t, site, tokens)
		next := site.do(t, http.MethodPost, "/refresh", "", "Authorization", "Bearer "+tokens.RefreshToken).tokens(t)
		assert.Equal(t, int64(2), generationOf(t, next))
		assert.Equal(t, http.StatusNoContent, w.live(next.AccessToken))
		assert.Equal(t, http.StatusCreated, site.do(t, http.MethodPost, "/signup", signupBody(t, "bob@example.com")).status, "nothing of it was stored")
		w.logIn(t, "bob@example.com")
		require.NoError(t, w.Logout(t.Context(), next.RefreshToken))
	})
}

// warm has several connections of the pool in use at once, each of which must work.
func warm(t *testing.T, s site, tokens auth.Tokens) {
	t.Helper()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			r := newRequest(t, http.MethodGet, s.url+"/profile", "", "Authorization", "Bearer "+tokens.AccessToken)
			res, err := http.DefaultTransport.RoundTrip(r)
			if assert.NoError(t, err) {
				assert.Equal(t, http.StatusOK, res.StatusCode)
				assert.NoError(t, res.Body.Close())
			}
		})
	}
	wg.Wait()
}

// Clients that refresh while the server is killed and started again, and try again where
// they got no answer, all go on: nobody is logged out, and no answer is anything but a
// success or that the store is unavailable.
func TestRefreshingThroughAKill(t *testing.T) {
	const clients = 6
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		private := s.Private(t)
		w := onPrivate(t, private)
		w.Authenticator = w.another(t, noLimits, func(c *auth.Config) { c.Tokens.Grace = 5 * time.Minute })
		w.signUp(t, ann)
		var refreshed, unavailable atomic.Int64
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range clients {
			tokens := w.logIn(t, ann)
			wg.Go(func() {
				for {
					next, err := w.Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
					switch {
					case err == nil:
						tokens = next
						refreshed.Add(1)
					case assert.ErrorIs(t, err, auth.ErrUnavailable):
						unavailable.Add(1)
					default:
						return
					}
					select {
					case <-stop:
						return
					default:
					}
				}
			})
		}
		goOn := func(counter *atomic.Int64) {
			t.Helper()
			from := counter.Load()
			assert.Eventually(t, func() bool { return counter.Load() >= from+clients }, 30*time.Second, time.Millisecond)
		}
		for range 3 {
			goOn(&refreshed)
			private.Kill(t)
			goOn(&unavailable)
			private.Restart(t)
			goOn(&refreshed)
		}
		close(stop)
		wg.Wait()
		assert.Empty(t, w.strings(t, "SELECT id FROM refresh_tokens WHERE revoked_at IS NOT NULL"))
	})
}

// A table that is gone is a fault of the host's: 500 without a word of SQL, and the cause
// in its log.
//
// ASVS: 16.3.4, 16.5.1.
func TestTableDropped(t *testing.T) {
	const body = `{"status":500,"code":"internal","message":"Internal Server Error"}`
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		w := onServer(t, s)
		site := serve(t, w.Handler(""))
		w.signUp(t, ann)
		tokens := w.logIn(t, ann)
		drop := func(table string) {
			_, err := w.db.ExecContext(t.Context(), "DROP TABLE "+table)
			require.NoError(t, err)
		}
		fails := func(name string, got reply) {
			assert.Equal(t, http.StatusInternalServerError, got.status, name)
			assert.Equal(t, body, got.body, name)
		}
		drop("refresh_tokens")
		fails("login", site.do(t, http.MethodPost, "/login", loginBody(t, ann)))
		fails("refresh", site.do(t, http.MethodPost, "/refresh", "", "Authorization", "Bearer "+tokens.RefreshToken))
		assert.Equal(t, http.StatusInternalServerError, w.live(tokens.AccessToken))
		assert.Equal(t, http.StatusOK, site.do(t, http.MethodGet, "/profile", "", "Authorization", "Bearer "+tokens.AccessToken).status)
		assert.Contains(t, w.log.String(), "refresh_tokens' doesn't exist")
		drop("users")
		fails("signup", site.do(t, http.MethodPost, "/signup", signupBody(t, "bob@example.com")))
		fails("login", site.do(t, http.MethodPost, "/login", loginBody(t, ann)))
		fails("profile", site.do(t, http.MethodGet, "/profile", "", "Authorization", "Bearer "+tokens.AccessToken))
		assert.Contains(t, w.log.String(), "users' doesn't exist")
	})
}
