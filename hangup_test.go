package auth_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// operation is something that a client asks for, and what becomes of it.
type operation struct {
	name string

	// prepare makes what the operation needs, of a user with this address, and returns
	// the operation and what it answers undisturbed.
	prepare func(t *testing.T, w *world, address string) (do func(ctx context.Context, a *auth.Authenticator) error, want error)
}

func operations() []operation {
	type do = func(ctx context.Context, a *auth.Authenticator) error
	refreshing := func(token string) do {
		return func(ctx context.Context, a *auth.Authenticator) error {
			_, err := a.Refresh(ctx, token, auth.Client{})
			return err
		}
	}
	return []operation{
		{"login", func(t *testing.T, w *world, address string) (do, error) {
			t.Helper()
			w.signUp(t, address)
			return func(ctx context.Context, a *auth.Authenticator) error {
				_, err := a.Login(ctx, auth.LoginInput{Email: address, Password: password})
				return err
			}, nil
		}},
		{"start session", func(t *testing.T, w *world, address string) (do, error) {
			t.Helper()
			id := w.signUp(t, address)
			return func(ctx context.Context, a *auth.Authenticator) error {
				_, err := a.StartSession(ctx, id, auth.Client{})
				return err
			}, nil
		}},
		{"refresh", func(t *testing.T, w *world, address string) (do, error) {
			t.Helper()
			w.signUp(t, address)
			return refreshing(w.logIn(t, address).RefreshToken), nil
		}},
		{"refresh inside grace", func(t *testing.T, w *world, address string) (do, error) {
			t.Helper()
			w.signUp(t, address)
			tokens := w.logIn(t, address)
			w.refresh(t, tokens.RefreshToken)
			return refreshing(tokens.RefreshToken), nil
		}},
		{"reuse", func(t *testing.T, w *world, address string) (do, error) {
			t.Helper()
			w.signUp(t, address)
			tokens := w.logIn(t, address)
			w.refresh(t, tokens.RefreshToken)
			w.advance(2 * time.Minute)
			return refreshing(tokens.RefreshToken), auth.ErrSessionEnded
		}},
		{"logout", func(t *testing.T, w *world, address string) (do, error) {
			t.Helper()
			w.signUp(t, address)
			tokens := w.logIn(t, address)
			return func(ctx context.Context, a *auth.Authenticator) error { return a.Logout(ctx, tokens.RefreshToken) }, nil
		}},
		{"logout everywhere", func(t *testing.T, w *world, address string) (do, error) {
			t.Helper()
			w.signUp(t, address)
			tokens := w.logIn(t, address)
			return func(ctx context.Context, a *auth.Authenticator) error {
				return a.LogoutAll(ctx, tokens.UserID, auth.SessionID{})
			}, nil
		}},
		{"revoke session", func(t *testing.T, w *world, address string) (do, error) {
			t.Helper()
			w.signUp(t, address)
			tokens := w.logIn(t, address)
			return func(ctx context.Context, a *auth.Authenticator) error {
				return a.RevokeSession(ctx, tokens.UserID, tokens.SessionID)
			}, nil
		}},
		{"sessions", func(t *testing.T, w *world, address string) (do, error) {
			t.Helper()
			id := w.signUp(t, address)
			return func(ctx context.Context, a *auth.Authenticator) error {
				_, err := a.Sessions(ctx, id, auth.SessionID{})
				return err
			}, nil
		}},
		{"reauthenticate", func(t *testing.T, w *world, address string) (do, error) {
			t.Helper()
			w.signUp(t, address)
			claims := w.claims(t, w.logIn(t, address))
			return func(ctx context.Context, a *auth.Authenticator) error {
				_, err := a.Reauthenticate(ctx, claims, auth.ReauthInput{Password: password})
				return err
			}, nil
		}},
		{"profile", func(t *testing.T, w *world, address string) (do, error) {
			t.Helper()
			id := w.signUp(t, address)
			return func(ctx context.Context, a *auth.Authenticator) error {
				_, err := a.Profile(ctx, id)
				return err
			}, nil
		}},
	}
}

// A client hangs up at any call of the store, before or after it was carried out: the
// answer is the undisturbed one or that the store is unavailable, and never a verdict
// that was not reached. The client that comes back gets the undisturbed answer.
func TestClientHangsUp(t *testing.T) {
	everywhere(t, hangUps)
}

func TestClientOfAHostHangsUp(t *testing.T) {
	everywhereHosted(t, func(t *testing.T, h host) { hangUps(t, h.world) })
}

func hangUps(t *testing.T, w *world) {
	t.Helper()
	users := 0
	prepare := func(t *testing.T, op operation) (func(context.Context, *auth.Authenticator) error, error) {
		t.Helper()
		users++
		return op.prepare(t, w, fmt.Sprintf("user%d@example.com", users))
	}
	for _, op := range operations() {
		t.Run(op.name, func(t *testing.T) {
			a, s := w.scripted(t)
			do, want := prepare(t, op)
			require.ErrorIs(t, do(t.Context(), a), want)
			undisturbed := s.calls()
			require.NotEmpty(t, undisturbed)
			for i := range undisturbed {
				for _, carriedOut := range []bool{false, true} {
					at := fmt.Sprintf("%v, hung up at %d, carried out %t", undisturbed, i, carriedOut)
					do, want := prepare(t, op)
					s.reset()
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					hook := func(context.Context, string, int) error {
						if len(s.calls()) == i+1 {
							cancel()
						}
						return nil
					}
					if carriedOut {
						s.after = hook
					} else {
						s.before = hook
					}
					err := do(ctx, a)
					require.Error(t, ctx.Err(), at)
					if !errors.Is(err, auth.ErrUnavailable) {
						require.ErrorIs(t, err, want, at)
					}
					hungUpSessions(t, w, s, err)
					s.reset()
					require.ErrorIs(t, do(t.Context(), a), want, at)
				}
			}
		})
	}
}

// hungUpSessions checks that a verdict of reuse and the revocation go together, and that
// a host's login that failed left no session.
func hungUpSessions(t *testing.T, w *world, s *script, err error) {
	t.Helper()
	for _, r := range s.rotations {
		assert.Equal(t, errors.Is(err, auth.ErrSessionEnded), !w.state(t, r.Session).RevokedAt.IsZero())
	}
	if w.stores.SharedUsers || err == nil {
		return
	}
	for _, id := range s.created {
		state, readErr := w.stores.Refresh.ReadSession(t.Context(), id)
		if !errors.Is(readErr, auth.ErrSessionNotFound) {
			require.NoError(t, readErr)
			assert.False(t, state.RevokedAt.IsZero())
		}
	}
}
