package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/mysqltest"
	"github.com/ostiary/auth/memstore"
)

// robbed is a session with a token that is so old that its use is reuse.
func (w *world) robbed(t *testing.T) (stale, current auth.Tokens) {
	t.Helper()
	stale = w.logIn(t, ann)
	current = w.refresh(t, stale.RefreshToken)
	w.advance(2 * time.Minute)
	return stale, current
}

// assertReuseKept checks that the session was ended for reuse, for good.
func (w *world) assertReuseKept(t *testing.T, stale, current auth.Tokens) {
	t.Helper()
	row := w.row(t, stale.SessionID)
	assert.Equal(t, auth.ReasonReuse, row.Reason)
	assert.False(t, row.RevokedAt.IsZero())
	for _, tokens := range []auth.Tokens{current, stale, current} {
		require.ErrorIs(t, w.refreshError(t, tokens.RefreshToken), auth.ErrSessionEnded)
	}
	assert.Equal(t, row, w.row(t, stale.SessionID))
}

// The end for reuse is kept although the request fails or its client hangs up, at any
// moment from the verdict on.
//
// ASVS: 10.4.5.
func TestInvariant06ReuseIsKept(t *testing.T) {
	for name, disturb := range map[string]func(s *script, hangUp func()){
		"hung up after the verdict":     func(s *script, hangUp func()) { s.after = doing(readSession, hangUp) },
		"hung up before the revocation": func(s *script, hangUp func()) { s.before = doing(revokeSession, hangUp) },
		"hung up after the revocation":  func(s *script, hangUp func()) { s.after = doing(revokeSession, hangUp) },
		"hung up, and the store was busy": func(s *script, hangUp func()) {
			s.after, s.before = doing(readSession, hangUp), failing(errBusy, revokeSession, 1, 2)
		},
		"the revocation's reply was lost":  func(s *script, _ func()) { s.after = failing(errBusy, revokeSession) },
		"the revocation's reply was a lie": func(s *script, _ func()) { s.after = failing(errFault, revokeSession) },
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, w *world) {
				w.signUp(t, ann)
				stale, current := w.robbed(t)
				a, s := w.scripted(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				disturb(s, cancel)
				_, err := a.Refresh(ctx, stale.RefreshToken, auth.Client{})
				if ctx.Err() != nil {
					require.ErrorIs(t, err, auth.ErrSessionEnded)
				} else {
					require.ErrorIs(t, err, auth.ErrUnavailable, "whether it was carried out is not known")
					require.NotErrorIs(t, err, auth.ErrInvalidToken)
				}
				w.assertReuseKept(t, stale, current)
			})
		})
	}
}

// The same where the request's deadline passes between the verdict and the revocation.
func TestInvariant06ReuseIsKeptAfterTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := onMemory(t)
		w.signUp(t, ann)
		stale, current := w.robbed(t)
		a, s := w.scripted(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s.before = doing(revokeSession, func() { <-ctx.Done() })
		_, err := a.Refresh(ctx, stale.RefreshToken, auth.Client{})
		require.ErrorIs(t, err, auth.ErrSessionEnded)
		require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
		w.assertReuseKept(t, stale, current)
	})
}

// A client that closes its connection between the verdict and the revocation, which ends
// the request's context, does not keep the session.
func TestInvariant06ClosedConnection(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, ann)
		stale, current := w.robbed(t)
		a, s := w.scripted(t)
		answered := make(chan error, 1)
		site := serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			a.Handler("").ServeHTTP(rw, r)
			answered <- r.Context().Err()
		}))
		var dialer net.Dialer
		conn, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(site.url, "http://"))
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		var requestEnded <-chan struct{}
		s.before = func(ctx context.Context, name string, _ int) error {
			switch name {
			case rotateSession:
				requestEnded = ctx.Done()
			case revokeSession:
				assert.NoError(t, conn.Close())
				<-requestEnded // the server has noticed
			}
			return nil
		}
		_, err = fmt.Fprintf(conn, "POST /refresh HTTP/1.1\r\nHost: example.com\r\nAuthorization: Bearer %s\r\nContent-Length: 0\r\n\r\n", stale.RefreshToken)
		require.NoError(t, err)
		require.ErrorIs(t, <-answered, context.Canceled)
		assert.Equal(t, []string{rotateSession, readSession, revokeSession}, s.calls())
		w.assertReuseKept(t, stale, current)
	})
}

// failCommits has every change of a session fail at its commit with this error of the
// server, until it is mended: the row was changed already, and is rolled back. In memory,
// the store says that it is busy.
func (w *world) failCommits(t *testing.T, number int) (a *auth.Authenticator, mend func()) {
	t.Helper()
	a, s := w.scripted(t)
	if w.db == nil {
		s.before = func(_ context.Context, name string, _ int) error {
			if name == rotateSession || name == recoverSession || name == revokeSession || name == revokeUser {
				return errBusy
			}
			return nil
		}
		return a, s.reset
	}
	exec := func(query string) {
		_, err := w.db.ExecContext(t.Context(), query)
		require.NoError(t, err)
	}
	exec(fmt.Sprintf("CREATE TRIGGER fails AFTER UPDATE ON refresh_tokens FOR EACH ROW SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = %d", number))
	return a, func() { exec("DROP TRIGGER fails") }
}

// A commit that failed has consumed nothing.
//
// ASVS: 2.3.3.
// Advisory: Keycloak #49213.
func TestInvariant10FailedCommitConsumesNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, ann)
		for _, number := range []int{1213, 1290} { // a conflict, and a node that was made read-only
			first := w.logIn(t, ann)
			tokens := w.refresh(t, first.RefreshToken)
			row := w.row(t, tokens.SessionID)
			a, mend := w.failCommits(t, number)
			site := serve(t, a.Handler(""))
			err := refreshError(t, a, tokens.RefreshToken)
			require.ErrorIs(t, err, auth.ErrUnavailable, number)
			require.NotErrorIs(t, err, auth.ErrInvalidToken)
			_, err = a.Reauthenticate(t.Context(), w.claims(t, tokens), auth.ReauthInput{Password: password})
			require.ErrorIs(t, err, auth.ErrUnavailable, number)
			require.ErrorIs(t, a.Logout(t.Context(), tokens.RefreshToken), auth.ErrUnavailable, number)
			require.ErrorIs(t, a.LogoutAll(t.Context(), tokens.UserID, auth.SessionID{}), auth.ErrUnavailable, number)
			require.ErrorIs(t, a.RevokeSession(t.Context(), tokens.UserID, tokens.SessionID), auth.ErrUnavailable, number)
			require.ErrorIs(t, refreshError(t, a, atGeneration(t, tokens.RefreshToken, 5)), auth.ErrUnavailable, number)
			got := site.do(t, http.MethodPost, "/refresh", "", "Authorization", "Bearer "+tokens.RefreshToken)
			assert.Equal(t, http.StatusServiceUnavailable, got.status)
			assert.Equal(t, row, w.row(t, tokens.SessionID), number)
			retried, err := w.Refresh(t.Context(), first.RefreshToken, auth.Client{})
			require.NoError(t, err, "a retry writes nothing")
			assert.Equal(t, tokens.RefreshToken, retried.RefreshToken)
			mend()
			assert.Equal(t, int64(3), generationOf(t, w.refresh(t, tokens.RefreshToken)))
		}
	})
}

// faultyConfig is a hook, or a signer, that a test can break.
type faultyConfig struct {
	name   string
	status int  // of what it breaks
	signer bool // else the hook
	claims any
	err    error
}

func faultyConfigs() []faultyConfig {
	return []faultyConfig{
		{name: "the hook's error", status: http.StatusServiceUnavailable, err: errFault},
		{name: "errors of ours from the hook", status: http.StatusServiceUnavailable, err: errors.Join(auth.ErrSessionEnded, auth.ErrUserChanged)},
		{name: "claims that are no object", status: http.StatusServiceUnavailable, claims: []string{"role"}},
		{name: "claims that are too long", status: http.StatusServiceUnavailable, claims: map[string]string{"x": strings.Repeat("x", 4<<10)}},
		{name: "the signer", status: http.StatusInternalServerError, signer: true, err: errFault},
	}
}

// A claims hook, or a signer, that fails for ten times Grace and then mends has logged
// nobody out, moved no generation, and let nobody in.
func TestInvariant10FailedHookOrSignerConsumesNothing(t *testing.T) {
	for _, c := range faultyConfigs() {
		t.Run(c.name, func(t *testing.T) {
			var broken atomic.Bool
			everywhere(t, func(t *testing.T, w *world) {
				broken.Store(false)
				if c.signer {
					require.NoError(t, w.OnSign(func() error {
						if broken.Load() {
							return c.err
						}
						return nil
					}))
				}
				failsFor(t, w, c, &broken)
			}, func(cfg *auth.Config) {
				cfg.ExtraClaims = func(context.Context, auth.UserID, auth.Session) (any, error) {
					if broken.Load() && !c.signer {
						return c.claims, c.err
					}
					return map[string]string{"role": "admin"}, nil
				}
			})
		})
	}
}

func failsFor(t *testing.T, w *world, c faultyConfig, broken *atomic.Bool) {
	t.Helper()
	id := w.signUp(t, ann)
	fresh, replaced := w.logIn(t, ann), w.logIn(t, ann)
	used := w.refresh(t, replaced.RefreshToken)
	claims := w.claims(t, used)
	current := []auth.Tokens{fresh, used}
	var rows []auth.SessionState
	for _, tokens := range current {
		rows = append(rows, w.state(t, tokens.SessionID))
	}
	site := serve(t, w.Handler(""))
	fails := func(err error) {
		t.Helper()
		require.Error(t, err)
		require.NotErrorIs(t, err, auth.ErrInvalidCredentials)
		assert.Equal(t, c.status == http.StatusServiceUnavailable, errors.Is(err, auth.ErrUnavailable), "%v", err)
	}
	broken.Store(true)
	for range 2*10 + 1 {
		for _, tokens := range []auth.Tokens{fresh, used, replaced} {
			fails(refreshError(t, w.Authenticator, tokens.RefreshToken))
			got := site.do(t, http.MethodPost, "/refresh", "", "Authorization", "Bearer "+tokens.RefreshToken)
			assert.Equal(t, c.status, got.status, got.body)
		}
		_, err := w.Reauthenticate(t.Context(), claims, auth.ReauthInput{Password: password})
		fails(err)
		_, err = w.tryLogin(t, ann, password)
		fails(err)
		_, err = w.StartSession(t.Context(), id, auth.Client{})
		fails(err)
		w.advance(grace / 2)
	}
	broken.Store(false)
	assert.Len(t, w.sessions(t, id), len(current), "no login left a session")
	for i, tokens := range current {
		row := w.state(t, tokens.SessionID)
		assert.Equal(t, rows[i].Generation, row.Generation)
		assert.Equal(t, rows[i].RotatedBy, row.RotatedBy)
		assert.Equal(t, rows[i].ExpiresAt, row.ExpiresAt)
		assert.Equal(t, rows[i].AuthenticatedAt, row.AuthenticatedAt)
		assert.Len(t, row.Retired, len(rows[i].Retired))
		assert.True(t, row.RevokedAt.IsZero())
		next := w.refresh(t, tokens.RefreshToken)
		assert.Equal(t, rows[i].Generation+1, generationOf(t, next))
		assert.Equal(t, "admin", payloadOf(t, next.AccessToken)["role"])
	}
	w.logIn(t, ann)
}

// replicated is a memstore with a replica, which may lag behind its rotations.
type replicated struct {
	*memstore.Store

	replica *memstore.Store
	lagging bool
}

func (s *replicated) CreateUser(ctx context.Context, u auth.NewUser) (auth.UserID, error) {
	if _, err := s.replica.CreateUser(ctx, u); err != nil {
		return "", err
	}
	return s.Store.CreateUser(ctx, u)
}

func (s *replicated) CreateSession(ctx context.Context, n auth.Session, authVersion int64) error {
	if err := s.replica.CreateSession(ctx, n, authVersion); err != nil {
		return err
	}
	return s.Store.CreateSession(ctx, n, authVersion)
}

func (s *replicated) RotateSession(ctx context.Context, r auth.Rotation) (bool, error) {
	if !s.lagging {
		if _, err := s.replica.RotateSession(ctx, r); err != nil {
			return false, err
		}
	}
	return s.Store.RotateSession(ctx, r)
}

// setBack is a world whose sessions can be set back.
type setBack struct {
	*world

	lag      func(id auth.SessionID) // from here on the session's rotations can be lost
	failover func(id auth.SessionID) // they are lost
}

// everywhereSetBack runs f in memory, where a replica takes over once, and on every kind
// of server, where the row is written as it was.
func everywhereSetBack(t *testing.T, f func(t *testing.T, w func(t *testing.T) setBack)) {
	t.Helper()
	t.Run("memstore", func(t *testing.T) {
		f(t, func(t *testing.T) setBack {
			t.Helper()
			c := &clock{frozen: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
			s := &replicated{Store: memstore.New(memstore.Options{Now: c.Now}), replica: memstore.New(memstore.Options{Now: c.Now})}
			w := &world{stores: s.Stores(), clock: c, log: &safeBuffer{}, pass: func(time.Duration) {}}
			w.stores.Users, w.stores.Refresh, w.stores.Accounts = s, s, nil
			w.Authenticator = w.another(t)
			w.signUp(t, ann)
			return setBack{w, func(auth.SessionID) { s.lagging = true }, func(auth.SessionID) { s.Store, s.lagging = s.replica, false }}
		})
	})
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		w := onServer(t, s)
		w.signUp(t, ann)
		var kept struct {
			generation         int64
			rotatedBy, retired []byte
			expiresAt          string
		}
		back := setBack{
			world: w,
			lag: func(id auth.SessionID) {
				row := w.db.QueryRowContext(t.Context(), "SELECT generation, rotated_by, retired, CAST(expires_at AS CHAR) FROM refresh_tokens WHERE id = ?", id[:])
				require.NoError(t, row.Scan(&kept.generation, &kept.rotatedBy, &kept.retired, &kept.expiresAt))
			},
			failover: func(id auth.SessionID) {
				_, err := w.db.ExecContext(t.Context(), "UPDATE refresh_tokens SET generation = ?, rotated_by = ?, retired = ?, expires_at = ? WHERE id = ?",
					kept.generation, kept.rotatedBy, kept.retired, kept.expiresAt, id[:])
				require.NoError(t, err)
			},
		}
		f(t, func(*testing.T) setBack { return back })
	})
}

// A failover has lost the last two rotations: the user, who has the newest token, and a
// thief, who has that or an older one, do not both go on for longer than Grace, whoever
// comes first, soon after one another or not, and although the thief may hurry on before
// the user comes. Both are then out: the user must log in again.
//
// ASVS: 10.4.5.
func TestInvariant16StoreSetBack(t *testing.T) {
	const newest = 5 // the user's generation; the store goes back to 3
	everywhereSetBack(t, func(t *testing.T, w func(t *testing.T) setBack) {
		for stolen := int64(newest); stolen >= newest-3; stolen-- {
			for _, gap := range []time.Duration{0, grace / 2, grace + time.Second} {
				theft{stolen: stolen, gap: gap, userFirst: true}.run(t, w(t), newest)
				for hurry := range 4 {
					theft{stolen: stolen, gap: gap, hurry: hurry}.run(t, w(t), newest)
				}
			}
		}
	})
}

// theft is what a thief has and does.
type theft struct {
	stolen    int64         // the generation
	gap       time.Duration // between the first uses of both
	userFirst bool
	hurry     int // more uses of the thief's before the user's first
}

func (c theft) run(t *testing.T, w setBack, newest int) {
	t.Helper()
	at := fmt.Sprintf("%+v", c)
	chain := []auth.Tokens{w.logIn(t, ann)}
	id := chain[0].SessionID
	for len(chain) < newest {
		if len(chain) == newest-2 {
			w.lag(id)
		}
		chain = append(chain, w.refresh(t, chain[len(chain)-1].RefreshToken))
	}
	w.failover(id)
	require.EqualValues(t, newest-2, w.state(t, id).Generation)

	refused := 0
	use := func(tokens *auth.Tokens) {
		next, err := w.Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
		if err != nil {
			require.ErrorIs(t, err, auth.ErrSessionEnded, at)
			refused++
			return
		}
		*tokens = next
	}
	user, thief := chain[newest-1], chain[c.stolen-1]
	first, second := &thief, &user
	if c.userFirst {
		first, second = second, first
	}
	use(first)
	require.Zero(t, refused, "%s: the store knows of no other use yet", at)
	for range c.hurry {
		use(first)
	}
	w.advance(c.gap)
	use(second)
	for _, tokens := range []*auth.Tokens{&user, &thief} {
		w.advance(grace + time.Second)
		use(tokens)
	}
	assert.NotZero(t, refused, at)
	assert.Equal(t, auth.ReasonReuse, w.state(t, id).Reason, at)
	for _, tokens := range []auth.Tokens{user, thief} {
		require.ErrorIs(t, w.refreshError(t, tokens.RefreshToken), auth.ErrSessionEnded, at)
	}
}
