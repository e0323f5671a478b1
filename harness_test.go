package auth_test

import (
	"bytes"
	"database/sql"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/mysqltest"
	"github.com/ostiary/auth/limit"
	"github.com/ostiary/auth/memstore"
	"github.com/ostiary/auth/mysqlstore"
)

func TestMain(m *testing.M) { os.Exit(mysqltest.Main(m)) }

const (
	accessSecret  = "an access secret of tests, 32 bytes and more"
	refreshSecret = "a refresh secret of tests, 32 bytes and more"
	password      = "correct horse"
)

// world is an Authenticator over one kind of store, and what a test turns about it.
type world struct {
	*auth.Authenticator
	stores auth.Stores
	db     *sql.DB // nil: memstore
	clock  *clock
	log    *safeBuffer
	pass   func(d time.Duration) // the store's clock alone

	limiter limit.Limiter // the server's; see shareLimits
}

// advance lets d pass for Config.Now and for the store.
func (w *world) advance(d time.Duration) {
	w.clock.add(d)
	w.pass(d)
}

// config is a Config with what tests need; edit may change it.
func config(c *clock, log *safeBuffer, edit ...func(*auth.Config)) auth.Config {
	cfg := auth.Config{
		Tokens: auth.TokenOptions{
			AccessKeys:  []auth.Key{auth.HMACKey([]byte(accessSecret))},
			RefreshKeys: []auth.Key{auth.HMACKey([]byte(refreshSecret))},
		},
		HashCost:         4,
		InsecureHashCost: true,
		Now:              c.Now,
		Logger:           slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range edit {
		f(&cfg)
	}
	return cfg
}

// another is a second instance on the same stores and with the same keys.
func (w *world) another(t *testing.T, edit ...func(*auth.Config)) *auth.Authenticator {
	t.Helper()
	a, err := auth.New(w.stores, config(w.clock, w.log, edit...))
	require.NoError(t, err)
	return a
}

// noon is when a clock that stands still begins.
var noon = time.Date(2026, 11, 24, 12, 0, 0, 123456789, time.UTC)

// onMemory is a world over memstore. Its clock stands still.
func onMemory(t *testing.T, edit ...func(*auth.Config)) *world {
	t.Helper()
	c := &clock{frozen: noon}
	store := &clock{frozen: c.frozen}
	w := &world{stores: memstore.New(memstore.Options{Now: store.Now}).Stores(), clock: c, log: &safeBuffer{}, pass: store.add}
	w.Authenticator = w.another(t, edit...)
	return w
}

// onServer is a world over mysqlstore on a real server. Config.Now is the server's clock,
// or ahead of it.
func onServer(t *testing.T, s *mysqltest.Server, edit ...func(*auth.Config)) *world {
	t.Helper()
	return onDSN(t, s.DSN(t), edit...)
}

// onDSN is onServer with a pool of its own on a database that is there already.
func onDSN(t *testing.T, dsn string, edit ...func(*auth.Config)) *world {
	t.Helper()
	db := mysqltest.Open(t, dsn)
	store := mysqlstore.New(db, mysqlstore.Options{})
	require.NoError(t, store.Migrate(t.Context()))
	w := &world{stores: store.Stores(), db: db, clock: &clock{}, log: &safeBuffer{}}
	w.pass = func(d time.Duration) { mysqltest.Advance(t, db, d) }
	w.limiter, w.stores.Limiter = w.stores.Limiter, nil
	w.Authenticator = w.another(t, edit...)
	return w
}

// shareLimits has the server keep the budgets, where there is one. Without it they are in
// memory, since a server on a busy machine may take longer than the 250 ms after which a
// call counts as limited.
func (w *world) shareLimits(t *testing.T, edit ...func(*auth.Config)) {
	t.Helper()
	w.stores.Limiter = w.limiter
	w.Authenticator = w.another(t, edit...)
}

// everywhere runs f on memstore and on every kind of server that can be had.
func everywhere(t *testing.T, f func(t *testing.T, w *world), edit ...func(*auth.Config)) {
	t.Helper()
	t.Run("memstore", func(t *testing.T) { f(t, onMemory(t, edit...)) })
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) { f(t, onServer(t, s, edit...)) })
}

// signUp makes a user with the password above and returns its ID.
func (w *world) signUp(t *testing.T, address string) auth.UserID {
	t.Helper()
	user, err := w.Signup(t.Context(), auth.SignupInput{Name: "Ann Lee", Email: address, Password: password})
	require.NoError(t, err)
	return user.ID
}

// logIn logs a user of signUp's in.
func (w *world) logIn(t *testing.T, address string) auth.Tokens {
	t.Helper()
	tokens, err := w.Login(t.Context(), auth.LoginInput{Email: address, Password: password})
	require.NoError(t, err)
	return tokens
}

// state is a session's row.
func (w *world) state(t *testing.T, id auth.SessionID) auth.SessionState {
	t.Helper()
	s, err := w.stores.Refresh.ReadSession(t.Context(), id)
	require.NoError(t, err)
	return s
}

// clock is a clock to turn: it stands still at frozen or, if that is zero, runs.
type clock struct {
	mu     sync.Mutex
	frozen time.Time
	offset time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.frozen
	if now.IsZero() {
		now = time.Now()
	}
	return now.Add(c.offset)
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

// safeBuffer is a bytes.Buffer for concurrent writers.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
