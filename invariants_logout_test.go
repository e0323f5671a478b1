package auth_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// ending is a way to end sessions.
type ending struct {
	name   string
	do     func(ctx context.Context, w *world, tokens auth.Tokens) error
	logins bool // it ends the logins that are under way, too
}

const changePassword = "change of the password"

func endings() []ending {
	return []ending{
		{"logout", func(ctx context.Context, w *world, tokens auth.Tokens) error {
			return w.Logout(ctx, tokens.RefreshToken)
		}, false},
		{"logout everywhere", func(ctx context.Context, w *world, tokens auth.Tokens) error {
			return w.LogoutAll(ctx, tokens.UserID, auth.SessionID{})
		}, false},
		{"revoke session", func(ctx context.Context, w *world, tokens auth.Tokens) error {
			return w.RevokeSession(ctx, tokens.UserID, tokens.SessionID)
		}, false},
		{changePassword, func(ctx context.Context, w *world, tokens auth.Tokens) error {
			user, err := w.stores.Users.UserByID(ctx, tokens.UserID)
			if err != nil {
				return err
			}
			return w.stores.Accounts.SetPassword(ctx, tokens.UserID, user.PasswordHash) // the worst case: it stays the same
		}, true},
		{"disable", func(ctx context.Context, w *world, tokens auth.Tokens) error {
			return w.DisableUser(ctx, tokens.UserID)
		}, true},
		{"delete", func(ctx context.Context, w *world, tokens auth.Tokens) error {
			return w.stores.Accounts.DeleteUser(ctx, tokens.UserID)
		}, true},
	}
}

// each runs f on every kind of store. newUser makes another user and logs them in.
func (c ending) each(t *testing.T, f func(t *testing.T, w *world, newUser func() auth.Tokens), edit ...func(*auth.Config)) {
	t.Helper()
	t.Run(c.name, func(t *testing.T) {
		everywhere(t, func(t *testing.T, w *world) {
			users := 0
			f(t, w, func() auth.Tokens {
				users++
				w.signUp(t, w.address(users))
				return w.logIn(t, w.address(users))
			})
		}, edit...)
	})
}

// address is that of the n-th user of each.
func (*world) address(n int) string { return fmt.Sprintf("user%d@example.com", n) }

// theHash is the step of a call at which it computes the hash of a password.
const theHash = "the hash"

// assertOver checks that nothing of the session works but a guard that asks no store.
func (w *world) assertOver(t *testing.T, answered ...auth.Tokens) {
	t.Helper()
	for _, tokens := range answered {
		require.ErrorIs(t, w.refreshError(t, tokens.RefreshToken), auth.ErrSessionEnded)
		assert.Equal(t, http.StatusUnauthorized, w.live(tokens.AccessToken))
		assert.Equal(t, http.StatusOK, w.required(tokens.AccessToken), "until its exp")
	}
}

// While tabs refresh the session as fast as they can, it is ended: no refresh that began
// after the answer succeeds, and no token that was ever answered works.
//
// ASVS: 7.4.1.
func TestInvariant12RefreshesRacingTheEnd(t *testing.T) {
	const tabs, rounds = 4, 2
	for _, c := range endings() {
		c.each(t, func(t *testing.T, w *world, newUser func() auth.Tokens) {
			t.Helper()
			for range rounds {
				tokens := newUser()
				var ended atomic.Bool
				var refreshes atomic.Int64
				var wg sync.WaitGroup
				answered := make([][]auth.Tokens, tabs)
				for i := range answered {
					answered[i] = []auth.Tokens{tokens}
					wg.Go(func() {
						for {
							late := ended.Load()
							held := answered[i]
							next, err := w.Refresh(t.Context(), held[len(held)-1].RefreshToken, auth.Client{})
							if err != nil {
								assert.ErrorIs(t, err, auth.ErrSessionEnded)
								return
							}
							if !assert.False(t, late, "a refresh that began after the answer succeeded") {
								return
							}
							refreshes.Add(1)
							answered[i] = append(held, next)
						}
					})
				}
				require.Eventually(t, func() bool { return refreshes.Load() >= 2*tabs }, 30*time.Second, time.Millisecond)
				require.NoError(t, c.do(t.Context(), w, tokens))
				ended.Store(true)
				wg.Wait()
				for _, held := range answered {
					w.assertOver(t, held[len(held)-1], held[0])
				}
			}
		}, noLimits)
	}
}

// A session is ended at each step of a refresh and of a retry: what was answered does not
// work, whether the call still succeeded or not.
//
// ASVS: 7.4.1.
// Advisory: CVE-2026-55669, better-auth GHSA-2vg6.
func TestInvariant12TheEndAtEachStep(t *testing.T) {
	for _, c := range endings() {
		c.each(t, func(t *testing.T, w *world, newUser func() auth.Tokens) {
			t.Helper()
			for _, at := range []string{rotateSession, readSession} {
				for _, carriedOut := range []bool{false, true} {
					tokens := newUser()
					next := tokens
					if at == readSession { // then it is a retry
						next = w.refresh(t, tokens.RefreshToken)
					}
					a, s := w.scripted(t)
					end := doing(at, func() { require.NoError(t, c.do(t.Context(), w, tokens)) })
					if carriedOut {
						s.after = end
					} else {
						s.before = end
					}
					got, err := a.Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
					if !carriedOut {
						require.ErrorIs(t, err, auth.ErrSessionEnded)
						assert.Equal(t, auth.Tokens{}, got)
						w.assertOver(t, tokens, next)
						continue
					}
					require.NoError(t, err, "it came before")
					w.assertOver(t, tokens, next, got)
				}
			}
		})
	}
}

// A login that began before the change of its user, held up during its hash or before its
// insert, leaves no session, and is answered as a wrong password is.
//
// ASVS: 7.4.2.
func TestInvariant12HeldLoginLeavesNothing(t *testing.T) {
	for _, c := range endings() {
		if !c.logins {
			continue
		}
		c.each(t, func(t *testing.T, w *world, newUser func() auth.Tokens) {
			t.Helper()
			for i, at := range []string{theHash, createSession} {
				tokens := newUser()
				a, s := w.scripted(t)
				held, ended := make(chan struct{}), make(chan struct{})
				hold := func() { close(held); <-ended }
				if at == createSession {
					s.before = doing(at, hold)
				} else {
					a.OnHash(func(int) { hold() })
				}
				go func() {
					defer close(ended)
					<-held
					assert.NoError(t, c.do(t.Context(), w, tokens))
				}()
				got, err := a.Login(t.Context(), auth.LoginInput{Email: w.address(i + 1), Password: password})
				require.Equal(t, auth.ErrInvalidCredentials, err, "held at %s", at)
				assert.Equal(t, auth.Tokens{}, got)
				assert.Empty(t, w.sessions(t, tokens.UserID))
				require.Len(t, s.created, 1)
				_, err = w.stores.Refresh.ReadSession(t.Context(), s.created[0])
				require.ErrorIs(t, err, auth.ErrSessionNotFound)
				w.assertOver(t, tokens)
			}
		})
	}
}

// Logins that race the change of their user at full speed leave no session that works,
// whatever they were answered.
//
// ASVS: 7.4.2, 15.4.2.
func TestInvariant12LoginsRacingTheEnd(t *testing.T) {
	const logins, rounds = 6, 4
	for _, c := range endings() {
		if !c.logins {
			continue
		}
		end := c.do
		if c.name == changePassword {
			another := hashOf(t, wrongPassword, 4)
			end = func(ctx context.Context, w *world, tokens auth.Tokens) error {
				return w.stores.Accounts.SetPassword(ctx, tokens.UserID, another)
			}
		}
		c.each(t, func(t *testing.T, w *world, newUser func() auth.Tokens) {
			t.Helper()
			for round := range rounds {
				old := newUser()
				var wg, begun sync.WaitGroup
				answered := make([]auth.Tokens, logins)
				for i := range answered {
					begun.Add(1)
					wg.Go(func() {
						begun.Done()
						var err error
						answered[i], err = w.Login(t.Context(), auth.LoginInput{Email: w.address(round + 1), Password: password})
						if err != nil {
							assert.NotErrorIs(t, err, auth.ErrUnavailable)
						}
					})
				}
				begun.Wait()
				require.NoError(t, end(t.Context(), w, old))
				assert.Empty(t, w.sessions(t, old.UserID))
				wg.Wait()
				assert.Empty(t, w.sessions(t, old.UserID))
				w.assertOver(t, old)
				for _, tokens := range answered {
					if tokens.RefreshToken != "" {
						w.assertOver(t, tokens)
					}
				}
			}
		})
	}
}
