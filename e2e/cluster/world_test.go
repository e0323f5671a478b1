//go:build cluster

package cluster_test

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/mysqlstore"
)

const (
	accessSecret  = "an access secret of tests, 32 bytes and more"
	refreshSecret = "a refresh secret of tests, 32 bytes and more"
	password      = "correct horse"
)

// world is an Authenticator on each node of a cluster, each with a pool of its own, on one
// database.
type world struct {
	*cluster
	database string
	at       []*member
}

// member is one of them.
type member struct {
	*auth.Authenticator
	db     *sql.DB
	stores auth.Stores
	live   http.Handler

	// How many rotations the store was asked for, and how many of them it could not do
	// because of a conflict or an outage.
	rotations, refused atomic.Int64
}

// on returns a world on a database of the test's own. Edit may change the configuration.
// When the test ends, no connection of a pool may wait for the cluster by itself.
func on(t *testing.T, c *cluster, edit ...func(*auth.Config)) *world {
	t.Helper()
	w := &world{cluster: c, database: c.database(t)}
	for i := range c.nodes {
		db := c.pool(t, i, w.database)
		store := mysqlstore.New(db, mysqlstore.Options{})
		if i == 0 {
			require.NoError(t, store.Migrate(t.Context()))
		}
		w.at = append(w.at, newMember(t, db, store.Stores(), edit...))
	}
	for i := range w.at {
		w.await(t, i, "SELECT COUNT(*) = 3 FROM information_schema.tables WHERE table_schema = DATABASE()")
	}
	t.Cleanup(func() { w.assertNoWait(t) })
	return w
}

func newMember(t *testing.T, db *sql.DB, stores auth.Stores, edit ...func(*auth.Config)) *member {
	t.Helper()
	in := &member{db: db, stores: stores}
	stores.Refresh = counting{stores.Refresh, in}
	in.Authenticator = authenticator(t, stores, edit...)
	in.live = in.RequireWith(auth.Requirement{Live: true})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
	}))
	return in
}

// authenticator has no limit of rotations: sessions hop faster than people do.
func authenticator(t *testing.T, stores auth.Stores, edit ...func(*auth.Config)) *auth.Authenticator {
	t.Helper()
	cfg := auth.Config{
		Tokens: auth.TokenOptions{
			AccessKeys:  []auth.Key{auth.HMACKey([]byte(accessSecret))},
			RefreshKeys: []auth.Key{auth.HMACKey([]byte(refreshSecret))},
		},
		HashCost:         4,
		InsecureHashCost: true,
		InsecureNoLimits: true,
		Logger:           slog.New(slog.DiscardHandler),
	}
	for _, f := range edit {
		f(&cfg)
	}
	a, err := auth.New(stores, cfg)
	require.NoError(t, err)
	return a
}

// counting counts rotations, and those that came into another's way.
type counting struct {
	auth.RefreshStore
	of *member
}

func (s counting) RotateSession(ctx context.Context, r auth.Rotation) (bool, error) {
	ok, err := s.RefreshStore.RotateSession(ctx, r)
	s.of.rotations.Add(1)
	if errors.Is(err, auth.ErrUnavailable) {
		s.of.refused.Add(1)
	}
	return ok, err
}

// refused is how many rotations were refused on all nodes, of how many.
func (w *world) refused() (refused, of int64) {
	for _, in := range w.at {
		refused += in.refused.Load()
		of += in.rotations.Load()
	}
	return refused, of
}

// liveStatus is the answer of a route that asks for Live.
func (in *member) liveStatus(ctx context.Context, accessToken string) int {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+accessToken)
	rec := httptest.NewRecorder()
	in.live.ServeHTTP(rec, r)
	return rec.Code
}

// signUp makes a user at the first node that is on every node when it returns.
func (w *world) signUp(t *testing.T, address string) auth.UserID {
	t.Helper()
	user, err := w.at[0].Signup(t.Context(), auth.SignupInput{Name: "Ann Lee", Email: address, Password: password})
	require.NoError(t, err)
	for i := range w.at {
		w.await(t, i, "SELECT COUNT(*) FROM users WHERE id = ?", string(user.ID))
	}
	return user.ID
}

func (in *member) logIn(t *testing.T, address string) auth.Tokens {
	t.Helper()
	tokens, err := in.Login(t.Context(), auth.LoginInput{Email: address, Password: password})
	require.NoError(t, err)
	return tokens
}

// await waits until a query of a number at node i gives another one than 0.
func (w *world) await(t *testing.T, i int, query string, args ...any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		var n int
		err := w.at[i].db.QueryRowContext(ctx, query, args...).Scan(&n)
		if err == nil && n != 0 {
			return
		}
		select {
		case <-ctx.Done():
			require.FailNow(t, "it did not come to pass", "%s: %v", query, err)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// assertNoWait looks at every connection of every pool: none was left waiting for the
// cluster before each of its statements.
func (w *world) assertNoWait(t *testing.T) {
	t.Helper()
	query, want := "SELECT @@session.wsrep_sync_wait", "0"
	if w.name != "galera" {
		query, want = "SELECT IF(@@session.group_replication_consistency = @@global.group_replication_consistency, 'as it was', @@session.group_replication_consistency)", "as it was"
	}
	ctx := context.WithoutCancel(t.Context())
	looked := 0
	for i, in := range w.at {
		var held []*sql.Conn
		for range in.db.Stats().Idle {
			conn, err := in.db.Conn(ctx)
			require.NoError(t, err)
			held = append(held, conn)
			var got string
			require.NoError(t, conn.QueryRowContext(ctx, query).Scan(&got))
			require.Equal(t, want, got, "node %d", i+1)
			looked++
		}
		for _, conn := range held {
			require.NoError(t, conn.Close())
		}
	}
	require.Positive(t, looked)
}

// claims are those of a refresh token.
type claims struct {
	Session    string `json:"sid"`
	Generation int64  `json:"gen"`
}

func claimsOf(t *testing.T, refreshToken string) claims {
	t.Helper()
	parts := strings.Split(refreshToken, ".")
	require.Len(t, parts, 3)
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	var c claims
	require.NoError(t, json.Unmarshal(text, &c))
	return c
}

// lag has the other nodes fall behind the first one: it changes many rows at once, which a
// node acknowledges before the others have applied them. What it writes next, they apply
// later.
func (w *world) lag(t *testing.T) {
	t.Helper()
	_, err := w.at[0].db.ExecContext(t.Context(), "UPDATE ballast SET n = n + 1")
	require.NoError(t, err)
}

// prepareLag makes what lag needs.
func (w *world) prepareLag(t *testing.T) {
	t.Helper()
	const digits = "(SELECT 0 AS d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4" +
		" UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)"
	for _, statement := range []string{
		"CREATE TABLE ballast (id INT NOT NULL PRIMARY KEY, n INT NOT NULL, KEY n (n))",
		"INSERT INTO ballast SELECT a.d + 10*b.d + 100*c.d + 1000*e.d + 10000*f.d, 0 FROM " +
			digits + " a, " + digits + " b, " + digits + " c, " + digits + " e, (SELECT 0 AS d UNION ALL SELECT 1) f",
	} {
		_, err := w.at[0].db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	for i := range w.at {
		w.await(t, i, "SELECT COUNT(*) = 20000 FROM information_schema.tables t, ballast WHERE t.table_schema = DATABASE() AND t.table_name = 'ballast'")
	}
}
