package auth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// The sessions of a user that is disabled end. Only who knows the password hears of it.
//
// ASVS: 7.4.2, 7.4.5.
// Advisory: GHSA-56p6-qw3c-fq2g.
func TestDisableUser(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		id := w.signUp(t, ann)
		w.signUp(t, bob)
		tokens, others := w.logIn(t, ann), w.logIn(t, bob)
		next := w.refresh(t, tokens.RefreshToken)
		for range 2 {
			require.NoError(t, w.DisableUser(t.Context(), id))
			_, err := w.tryLogin(t, ann, password)
			require.Equal(t, auth.ErrAccountDisabled, err)
			_, err = w.tryLogin(t, ann, wrongPassword)
			require.Equal(t, auth.ErrInvalidCredentials, err)
			_, err = w.StartSession(t.Context(), id, auth.Client{})
			require.ErrorIs(t, err, auth.ErrAccountDisabled)
			for _, token := range []string{tokens.RefreshToken, next.RefreshToken} {
				require.ErrorIs(t, w.refreshError(t, token), auth.ErrSessionEnded)
			}
			assert.Equal(t, http.StatusUnauthorized, w.live(next.AccessToken))
			assert.Equal(t, auth.ReasonDisabled, w.state(t, tokens.SessionID).Reason)
			assert.Empty(t, w.sessions(t, id))
		}
		w.refresh(t, others.RefreshToken)
		user, err := w.Profile(t.Context(), id)
		require.NoError(t, err)
		assert.Equal(t, ann, user.Email)

		for range 2 {
			require.NoError(t, w.EnableUser(t.Context(), id))
			require.ErrorIs(t, w.refreshError(t, next.RefreshToken), auth.ErrSessionEnded, "it stays so")
			assert.Equal(t, http.StatusUnauthorized, w.live(next.AccessToken))
		}
		tokens = w.logIn(t, ann)
		require.NoError(t, w.EnableUser(t.Context(), id))
		w.refresh(t, tokens.RefreshToken)

		for _, unknown := range []auth.UserID{"999", "", "no id"} {
			require.ErrorIs(t, w.DisableUser(t.Context(), unknown), auth.ErrUserNotFound, unknown)
			require.ErrorIs(t, w.EnableUser(t.Context(), unknown), auth.ErrUserNotFound, unknown)
		}
	})
}

// With a token of theirs, a user who is disabled has no profile.
func TestProfileOfADisabledUser(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		id, bobs := w.signUp(t, ann), w.signUp(t, bob)
		tokens, others := w.logIn(t, ann), w.logIn(t, bob)
		require.NoError(t, w.DisableUser(t.Context(), id))
		behindAGuard := func(accessToken string, id auth.UserID) (err error) {
			w.Require(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, err = w.Profile(r.Context(), id)
			})).ServeHTTP(httptest.NewRecorder(), newRequest(t, http.MethodGet, "/me", "", bearer(accessToken)...))
			return err
		}
		profile := func() reply {
			return direct(t, w.Handler(""), newRequest(t, http.MethodGet, "/profile", "", bearer(tokens.AccessToken)...))
		}
		require.ErrorIs(t, behindAGuard(tokens.AccessToken, id), auth.ErrUserNotFound)
		require.NoError(t, behindAGuard(tokens.AccessToken, bobs))
		require.NoError(t, behindAGuard(others.AccessToken, id), "it is not their token")
		assert.Equal(t, http.StatusUnauthorized, profile().status)
		assert.Equal(t, sessionEnded, profile().message(t).Code)
		require.NoError(t, w.EnableUser(t.Context(), id))
		require.NoError(t, behindAGuard(tokens.AccessToken, id))
		assert.Equal(t, http.StatusOK, profile().status)
	})
}

// A user may have been disabled by hand, in the table: sessions that this left end when
// the user is disabled once more.
func TestDisableUserWhoIsDisabledAlready(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		id := w.signUp(t, ann)
		require.NoError(t, w.DisableUser(t.Context(), id))
		user, err := w.stores.Users.UserByID(t.Context(), id)
		require.NoError(t, err)
		end := w.clock.Now().Add(time.Hour)
		left := auth.Session{ID: auth.SessionID{1}, UserID: id, AuthenticatedAt: end, ExpiresAt: end, MaxExpiresAt: end}
		require.NoError(t, w.stores.Refresh.CreateSession(t.Context(), left, user.AuthVersion))
		require.NoError(t, w.DisableUser(t.Context(), id))
		assert.Equal(t, auth.ReasonDisabled, w.state(t, left.ID).Reason)
	})
}

// The refusal of a disabled user costs and looks like any other, until the password is
// right.
//
// ASVS: 6.3.8.
func TestDisabledUsersWork(t *testing.T) {
	w := onMemory(t, cost(6))
	require.NoError(t, w.DisableUser(t.Context(), w.signUp(t, ann)))
	assert.Equal(t, w.loginWork(t, "nobody@example.com", wrongPassword), w.loginWork(t, ann, wrongPassword))
	h := w.Handler("")
	login := func(address, password string) reply {
		return direct(t, h, newRequest(t, http.MethodPost, "/login", object(t, "email", address, "password", password)))
	}
	assert.Equal(t, login("nobody@example.com", wrongPassword), login(ann, wrongPassword))
	got := login(ann, password)
	assert.Equal(t, http.StatusForbidden, got.status)
	assert.JSONEq(t, `{"status":403,"code":"account_disabled","message":"This account is disabled"}`, got.body)
}

// Without a store that changes users, disabling is refused, and nothing is done.
func TestDisableUserWithoutAccounts(t *testing.T) {
	everywhereHosted(t, func(t *testing.T, h host) {
		id := h.signUp(t, ann)
		tokens := h.logIn(t, ann)
		for _, err := range []error{h.DisableUser(t.Context(), id), h.EnableUser(t.Context(), id)} {
			require.ErrorContains(t, err, "Stores.Accounts")
			require.NotErrorIs(t, err, auth.ErrUnavailable)
			require.NotErrorIs(t, err, auth.ErrUserNotFound)
		}
		h.refresh(t, tokens.RefreshToken)
	})
}

// disabledUsers are all disabled, with the AuthVersion that they had.
type disabledUsers struct{ auth.UserStore }

func (s disabledUsers) UserByID(ctx context.Context, id auth.UserID) (auth.UserRecord, error) {
	u, err := s.UserStore.UserByID(ctx, id)
	u.Disabled = true
	return u, err
}

// A host's user that is disabled is refused although the host forgot to raise AuthVersion.
//
// Advisory: GHSA-56p6-qw3c-fq2g.
func TestHostsDisabledUser(t *testing.T) {
	everywhereHosted(t, func(t *testing.T, h host) {
		id := h.signUp(t, ann)
		tokens := h.logIn(t, ann)
		claims, err := h.Verify(tokens.AccessToken)
		require.NoError(t, err)
		row := h.row(t, tokens.SessionID)
		h.stores.Users = disabledUsers{h.users}
		h.Authenticator = h.another(t)
		require.ErrorIs(t, h.refreshError(t, tokens.RefreshToken), auth.ErrSessionEnded)
		assert.Equal(t, http.StatusUnauthorized, h.live(tokens.AccessToken))
		assert.Empty(t, h.sessions(t, id))
		_, err = h.Reauthenticate(t.Context(), claims, auth.ReauthInput{Password: password})
		require.ErrorIs(t, err, auth.ErrSessionEnded)
		_, err = h.StartSession(t.Context(), id, auth.Client{})
		require.ErrorIs(t, err, auth.ErrAccountDisabled)
		assert.Equal(t, row, h.row(t, tokens.SessionID))
		_, err = h.tryLogin(t, ann, password)
		require.ErrorIs(t, err, auth.ErrInvalidCredentials, "it was disabled between the check and the look after the insert")
	})
}
