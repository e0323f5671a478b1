package auth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/mysqltest"
	"github.com/ostiary/auth/memstore"
	"github.com/ostiary/auth/mysqlstore"
)

// apart is a memstore's sessions as a store that does not hold the users keeps them: it
// compares the session's AuthVersion with the one that it is given. Not for races.
type apart struct {
	*memstore.Store

	mu       sync.Mutex
	versions map[auth.SessionID]int64
}

func (s *apart) CreateSession(ctx context.Context, n auth.Session, authVersion int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.versions[n.ID]; !ok {
		s.versions[n.ID] = authVersion
	}
	return s.Store.CreateSession(ctx, n, 1)
}

func (s *apart) RotateSession(ctx context.Context, r auth.Rotation) (bool, error) {
	state, err := s.ReadSession(ctx, r.Session)
	if err != nil || state.AuthVersion != r.AuthVersion || r.UserCreatedAt.After(state.CreatedAt.Add(auth.CreationSlack)) {
		return false, err
	}
	return s.Store.RotateSession(ctx, r)
}

func (s *apart) ReadSession(ctx context.Context, id auth.SessionID) (auth.SessionState, error) {
	return s.SessionByID(ctx, id)
}

func (s *apart) SessionByID(ctx context.Context, id auth.SessionID) (auth.SessionState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	state, err := s.Store.SessionByID(ctx, id)
	state.AuthVersion, state.UserCurrent = s.versions[id], false
	return state, err
}

func (s *apart) SessionsByUser(ctx context.Context, user auth.UserID, now time.Time, limit int) ([]auth.SessionState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, err := s.Store.SessionsByUser(ctx, user, now, limit)
	for i, state := range list {
		list[i].AuthVersion, list[i].UserCurrent = s.versions[state.ID], false
	}
	return list, err
}

// host is a world whose users are the host's own, in a memstore, and whose sessions are
// in another store.
type host struct {
	*world

	users *memstore.Store
}

// everywhereHosted runs f with the sessions in memory and on every kind of server.
func everywhereHosted(t *testing.T, f func(t *testing.T, h host)) {
	t.Helper()
	t.Run("memstore", func(t *testing.T) {
		w := onMemory(t)
		store := &clock{frozen: w.clock.frozen}
		users := memstore.New(memstore.Options{Now: store.Now})
		sessions := &apart{Store: memstore.New(memstore.Options{Now: store.Now}), versions: map[auth.SessionID]int64{}}
		for i := range 100 { // with the IDs that the host's users have
			_, err := sessions.CreateUser(t.Context(), auth.NewUser{EmailKey: strconv.Itoa(i)})
			require.NoError(t, err)
		}
		w.stores = auth.Stores{Users: users, Refresh: sessions}
		w.pass = store.add
		w.Authenticator = w.another(t)
		f(t, host{w, users})
	})
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		db := s.DB(t)
		store := mysqlstore.New(db, mysqlstore.Options{})
		require.NoError(t, store.MigrateSessions(t.Context()))
		// The server's clock is turned by moving back what it wrote. The users are older.
		users := memstore.New(memstore.Options{Now: (&clock{offset: -24 * time.Hour}).Now})
		w := &world{stores: auth.Stores{Users: users, Refresh: store.Sessions()}, db: db, clock: &clock{}, log: &safeBuffer{}}
		w.pass = func(d time.Duration) { mysqltest.Advance(t, db, d) }
		w.Authenticator = w.another(t)
		f(t, host{w, users})
	})
}

// The user is read once more after a login, and before each refresh.
func TestHostsUsersAreRead(t *testing.T) {
	everywhereHosted(t, func(t *testing.T, h host) {
		h.signUp(t, ann)
		a, s := h.scripted(t)
		tokens, err := a.Login(t.Context(), auth.LoginInput{Email: ann, Password: password})
		require.NoError(t, err)
		assert.Equal(t, []string{userByEmail, createSession, userByID}, s.calls())
		s.reset()
		_, err = a.Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
		require.NoError(t, err)
		assert.Equal(t, []string{userByID, rotateSession}, s.calls())
	})
}

// A login that began before a change of its user leaves no session after it.
func TestHostsUserMovesDuringLogin(t *testing.T) {
	for name, after := range map[string]bool{"before the insert": false, "after the insert": true} {
		for change, do := range map[string]func(t *testing.T, h host, id auth.UserID){
			"changed": func(t *testing.T, h host, id auth.UserID) { t.Helper(); h.bumpAuthVersion(t, id) },
			"deleted": func(t *testing.T, h host, id auth.UserID) {
				t.Helper()
				require.NoError(t, h.users.DeleteUser(t.Context(), id))
			},
		} {
			t.Run(change+" "+name, func(t *testing.T) {
				everywhereHosted(t, func(t *testing.T, h host) {
					id := h.signUp(t, ann)
					a, s := h.scripted(t)
					if after {
						s.after = doing(createSession, func() { do(t, h, id) })
					} else {
						s.before = doing(createSession, func() { do(t, h, id) })
					}
					tokens, err := a.Login(t.Context(), auth.LoginInput{Email: ann, Password: password})
					require.Equal(t, auth.ErrInvalidCredentials, err)
					assert.Equal(t, auth.Tokens{}, tokens)
					require.Len(t, s.created, 1)
					state := h.state(t, s.created[0])
					assert.False(t, state.RevokedAt.IsZero())
					assert.Equal(t, auth.ReasonUserChanged, state.Reason)
				})
			})
		}
	}
}

// A session whose user could not be read again does not stay.
func TestHostsUserCannotBeReadAgain(t *testing.T) {
	for name, fault := range map[string]error{"unavailable": errBusy, "fault": errFault} {
		t.Run(name, func(t *testing.T) {
			everywhereHosted(t, func(t *testing.T, h host) {
				h.signUp(t, ann)
				a, s := h.scripted(t)
				s.before = failing(fault, userByID)
				tokens, err := a.Login(t.Context(), auth.LoginInput{Email: ann, Password: password})
				require.ErrorIs(t, err, fault)
				require.NotErrorIs(t, err, auth.ErrInvalidCredentials)
				assert.Equal(t, auth.Tokens{}, tokens)
				require.Len(t, s.created, 1)
				assert.Equal(t, auth.ReasonUserChanged, h.state(t, s.created[0]).Reason)
			})
		})
	}
	t.Run("and cannot be revoked", func(t *testing.T) {
		everywhereHosted(t, func(t *testing.T, h host) {
			id := h.signUp(t, ann)
			a, s := h.scripted(t)
			s.before = failing(errFault, revokeSession)
			s.after = doing(createSession, func() { h.bumpAuthVersion(t, id) })
			tokens, err := a.Login(t.Context(), auth.LoginInput{Email: ann, Password: password})
			require.ErrorIs(t, err, auth.ErrUnavailable)
			require.NotErrorIs(t, err, auth.ErrInvalidCredentials)
			assert.Equal(t, auth.Tokens{}, tokens)
		})
	})
}

func TestHostsStartSessionOfAUserThatMoves(t *testing.T) {
	everywhereHosted(t, func(t *testing.T, h host) {
		id := h.signUp(t, ann)
		a, s := h.scripted(t)
		s.before = doing(createSession, func() { h.bumpAuthVersion(t, id) })
		_, err := a.StartSession(t.Context(), id, auth.Client{})
		require.ErrorIs(t, err, auth.ErrUserChanged)
		assert.Equal(t, auth.ReasonUserChanged, h.state(t, s.created[0]).Reason)
	})
}

// A user that changed or is gone has no sessions, and nothing is written to find out.
func TestHostsUserMoved(t *testing.T) {
	everywhereHosted(t, func(t *testing.T, h host) {
		id := h.signUp(t, ann)
		tokens := h.logIn(t, ann)
		h.bumpAuthVersion(t, id)
		row := h.row(t, tokens.SessionID)
		require.ErrorIs(t, h.refreshError(t, tokens.RefreshToken), auth.ErrSessionEnded)
		h.advance(2 * time.Minute)
		require.ErrorIs(t, h.refreshError(t, tokens.RefreshToken), auth.ErrSessionEnded)
		assert.Equal(t, http.StatusUnauthorized, h.live(tokens.AccessToken))
		tokens = h.logIn(t, ann)
		tokens = h.refresh(t, tokens.RefreshToken)
		assert.Equal(t, http.StatusNoContent, h.live(tokens.AccessToken))

		require.NoError(t, h.users.DeleteUser(t.Context(), id))
		a, s := h.scripted(t)
		require.ErrorIs(t, refreshError(t, a, tokens.RefreshToken), auth.ErrSessionEnded)
		assert.Equal(t, []string{userByID}, s.calls())
		assert.Equal(t, http.StatusUnauthorized, h.live(tokens.AccessToken))
		assert.Equal(t, row.Generation, int64(1))
	})
}

// An ID that was given again, to a user created later than the session, opens nothing.
//
// Advisory: CVE-2026-55670.
func TestHostsUserIDGivenAgain(t *testing.T) {
	everywhereHosted(t, func(t *testing.T, h host) {
		h.signUp(t, ann)
		tokens := h.logIn(t, ann)
		created := h.state(t, tokens.SessionID).CreatedAt
		for late, ok := range map[time.Duration]bool{auth.CreationSlack: true, auth.CreationSlack + time.Microsecond: false} {
			given := memstore.New(memstore.Options{Now: func() time.Time { return created.Add(late) }})
			_, err := given.CreateUser(t.Context(), auth.NewUser{EmailKey: "given again"})
			require.NoError(t, err)
			a, s := h.scripted(t)
			s.users = given
			row := h.row(t, tokens.SessionID)
			next, err := a.Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
			if ok {
				require.NoError(t, err)
				require.Positive(t, generationOf(t, next))
				continue
			}
			require.ErrorIs(t, err, auth.ErrSessionEnded)
			assert.Equal(t, row, h.row(t, tokens.SessionID))
		}
	})
}

// A refresh whose user cannot be read has consumed nothing.
func TestHostsUserCannotBeRead(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		calls []string
	}{
		"unavailable": {errBusy, []string{userByID, userByID, userByID}},
		"fault":       {errFault, []string{userByID}},
	} {
		t.Run(name, func(t *testing.T) {
			everywhereHosted(t, func(t *testing.T, h host) {
				h.signUp(t, ann)
				tokens := h.logIn(t, ann)
				row := h.row(t, tokens.SessionID)
				a, s := h.scripted(t)
				s.before = failing(c.err, userByID)
				err := refreshError(t, a, tokens.RefreshToken)
				require.ErrorIs(t, err, c.err)
				require.NotErrorIs(t, err, auth.ErrInvalidToken)
				assert.Equal(t, c.calls, s.calls())
				assert.Equal(t, row, h.row(t, tokens.SessionID))
				h.advance(10 * time.Minute)
				assert.Equal(t, int64(2), generationOf(t, h.refresh(t, tokens.RefreshToken)))
			})
		})
	}
}

// live is the status with which a route that wants the session live answers.
func (w *world) live(accessToken string) int {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+accessToken)
	rec := httptest.NewRecorder()
	w.RequireWith(auth.Requirement{Live: true})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	})).ServeHTTP(rec, r)
	return rec.Code
}
