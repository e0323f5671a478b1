package auth_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/mysqltest"
	"github.com/ostiary/auth/mysqlstore"
)

// The reply to its rotation is lost at any byte: the call finds its own success, and
// rotates no second time.
func TestReauthenticateWhoseReplyIsLost(t *testing.T) {
	t.Run("memstore", func(t *testing.T) {
		w := onMemory(t, strict)
		w.signUp(t, ann)
		a, s := w.scripted(t, strict)
		s.after = failing(errBusy, rotateSession, 1)
		w.assertOwnReauth(t, a, s)
	})
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		dsn := server.DSN(t)
		w := onDSN(t, dsn, strict)
		w.signUp(t, ann)
		p, db := newProxy(t, dsn)
		lossy := *w
		lossy.stores = mysqlstore.New(db, mysqlstore.Options{}).Stores()
		a, s := lossy.scripted(t, strict)
		for keep := 0; ; keep++ {
			p.drop(0, 0)
			s.reset()
			s.before = func(_ context.Context, name string, nth int) error {
				if name == rotateSession && nth == 1 {
					p.drop(1, keep)
				}
				return nil
			}
			w.assertOwnReauth(t, a, s)
			if t.Failed() || p.lostReplies() == 0 {
				require.Positive(t, keep)
				return
			}
		}
	})
}

func (w *world) assertOwnReauth(t *testing.T, a *auth.Authenticator, s *script) {
	t.Helper()
	first := w.logIn(t, ann)
	w.clock.add(time.Second)
	next, err := a.Reauthenticate(t.Context(), w.claims(t, first), auth.ReauthInput{Password: password})
	require.NoError(t, err)
	row := w.row(t, first.SessionID)
	assert.EqualValues(t, 2, row.Generation)
	assert.EqualValues(t, 2, generationOf(t, next))
	assert.Equal(t, row.ExpiresAt.Unix(), claimsOf(t, next.RefreshToken).ExpiresAt)
	w.assertAuthTime(t, row.AuthenticatedAt, next)
	for _, r := range s.rotations {
		assert.Equal(t, s.rotations[0], r)
	}
	w.refresh(t, next.RefreshToken)
}

// A refresh that was under way loses, and gets the current generation with the new
// auth_time.
func TestReauthenticateBeforeARefreshUnderWay(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, ann)
		first := w.logIn(t, ann)
		w.clock.add(10 * time.Second)
		a, s := w.scripted(t)
		var reauthenticated auth.Tokens
		s.before = doing(rotateSession, sync.OnceFunc(func() { reauthenticated = w.reauth(t, first) }))
		got, err := a.Refresh(t.Context(), first.RefreshToken, auth.Client{})
		require.NoError(t, err)
		assert.Equal(t, reauthenticated.RefreshToken, got.RefreshToken)
		row := w.state(t, first.SessionID)
		assert.EqualValues(t, 2, row.Generation)
		w.assertAuthTime(t, row.AuthenticatedAt, got)
		assert.True(t, w.claims(t, got).AuthTime.After(w.claims(t, first).AuthTime))
	})
}

// A reauthentication that refreshes come before begins anew, each time at the row's
// generation, as often as a session may be refreshed within Grace; not for ever.
func TestReauthenticateAfterRefreshesUnderWay(t *testing.T) {
	for refreshes, want := range map[int]error{1: nil, auth.RetiredKept: nil, auth.RetiredKept + 1: auth.ErrUnavailable} {
		t.Run(fmt.Sprint(refreshes), func(t *testing.T) {
			everywhere(t, func(t *testing.T, w *world) {
				w.signUp(t, ann)
				first := w.logIn(t, ann)
				w.clock.add(10 * time.Second)
				last := first
				a, s := w.scripted(t, noLimits)
				left := refreshes
				s.before = doing(rotateSession, func() {
					if left > 0 {
						left--
						last = w.refresh(t, last.RefreshToken)
					}
				})
				next, err := a.Reauthenticate(t.Context(), w.claims(t, first), auth.ReauthInput{Password: password})
				row := w.state(t, first.SessionID)
				for i, r := range s.rotations {
					assert.EqualValues(t, i+1, r.Generation)
					assert.Equal(t, s.rotations[0].Attempt, r.Attempt)
				}
				if want != nil {
					require.ErrorIs(t, err, want)
					assert.Equal(t, auth.Tokens{}, next)
					assert.EqualValues(t, refreshes+1, row.Generation)
					assert.EqualValues(t, claimsOf(t, first.RefreshToken).AuthTime, row.AuthenticatedAt.Unix())
					w.refresh(t, last.RefreshToken)
					return
				}
				require.NoError(t, err)
				assert.EqualValues(t, refreshes+2, row.Generation)
				assert.EqualValues(t, row.Generation, generationOf(t, next))
				w.assertAuthTime(t, row.AuthenticatedAt, next)
				assert.Equal(t, next.RefreshToken, w.refresh(t, first.RefreshToken).RefreshToken)
			}, noLimits)
		})
	}
}

// A store that fails is asked three times in all, each time after another look at the row.
func TestReauthenticateWhileTheStoreFails(t *testing.T) {
	for failures, want := range map[int]error{2: nil, 3: auth.ErrUnavailable} {
		t.Run(fmt.Sprint(failures), func(t *testing.T) {
			w := onMemory(t)
			w.signUp(t, ann)
			tokens := w.logIn(t, ann)
			row := w.row(t, tokens.SessionID)
			a, s := w.scripted(t)
			s.before = func(_ context.Context, name string, nth int) error {
				if name == rotateSession && nth <= failures {
					return errBusy
				}
				return nil
			}
			next, err := a.Reauthenticate(t.Context(), w.claims(t, tokens), auth.ReauthInput{Password: password})
			assert.Equal(t, []string{
				sessionByID, userByID, readSession, rotateSession, readSession, rotateSession, readSession, rotateSession,
			}, s.calls())
			if want != nil {
				require.ErrorIs(t, err, want)
				assert.Equal(t, auth.Tokens{}, next)
				assert.Equal(t, row, w.row(t, tokens.SessionID))
				return
			}
			require.NoError(t, err)
			assert.EqualValues(t, 2, generationOf(t, next))
		})
	}
}

// Reauthentications and refreshes of one session at once are one chain: each generation
// was answered with one set of claims, everybody goes on, and the auth_time of a
// generation never falls back.
func TestReauthenticateInParallel(t *testing.T) {
	const tabs, uses = 6, 10
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, ann)
		first := w.logIn(t, ann)
		answered := make([][]auth.Tokens, tabs)
		var wg sync.WaitGroup
		for i := range answered {
			wg.Go(func() {
				held := []auth.Tokens{first}
				for range uses {
					last := held[len(held)-1]
					var next auth.Tokens
					claims, err := w.Verify(last.AccessToken)
					if err == nil && rand.IntN(3) == 0 {
						next, err = w.Reauthenticate(t.Context(), claims, auth.ReauthInput{Password: password})
					} else if err == nil {
						next, err = w.Refresh(t.Context(), last.RefreshToken, auth.Client{})
					}
					if !assert.NoError(t, err) {
						return
					}
					held = append(held, next)
					w.clock.add(time.Second)
				}
				answered[i] = held
			})
		}
		wg.Wait()
		byGeneration := map[int64]refreshClaims{}
		for _, held := range answered {
			for i, tokens := range held {
				claims := claimsOf(t, tokens.RefreshToken)
				if other, ok := byGeneration[claims.Generation]; ok {
					assert.Equal(t, other, claims)
				}
				byGeneration[claims.Generation] = claims
				if i > 0 {
					assert.GreaterOrEqual(t, claims.Generation, generationOf(t, held[i-1]))
				}
			}
		}
		row := w.state(t, first.SessionID)
		assert.LessOrEqual(t, int64(len(byGeneration)), row.Generation)
		assert.True(t, row.RevokedAt.IsZero())
		assert.Equal(t, row.AuthenticatedAt.Unix(), byGeneration[row.Generation].AuthTime)
		assert.Greater(t, row.AuthenticatedAt.Unix(), claimsOf(t, first.RefreshToken).AuthTime)
	}, noLimits)
}
