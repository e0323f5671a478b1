package auth_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/mysqltest"
	"github.com/ostiary/auth/mysqlstore"
)

func strict(c *auth.Config) { c.Tokens.StrictRotation = true }

// loses is a world whose rotations may be carried out while nobody hears of it.
type loses struct {
	*world

	lossy *auth.Authenticator // on the same store, by the way that loses replies

	// drop loses the replies to the next n rotations, after keep bytes of each. lost says
	// how many were lost since: none, if keep is as much as a whole reply.
	drop func(n, keep int)
	lost func() int
}

// everywhereLosing runs f where the reply to the UPDATE can be lost: in memory by a store
// that says so, on a server by a proxy that cuts the connection.
func everywhereLosing(t *testing.T, f func(t *testing.T, w loses), edit ...func(*auth.Config)) {
	t.Helper()
	t.Run("memstore", func(t *testing.T) {
		w := onMemory(t, edit...)
		lossy, s := w.scripted(t, edit...)
		left, lost := 0, 0 // memstore's reply is of one byte, so to say
		s.after = func(_ context.Context, name string, _ int) error {
			if name != rotateSession || left == 0 {
				return nil
			}
			left--
			lost++
			return fmt.Errorf("the reply was lost: %w", auth.ErrUnavailable)
		}
		f(t, loses{
			world: w, lossy: lossy,
			drop: func(n, keep int) { left, lost = n*(1-keep), 0 },
			lost: func() int { return lost },
		})
	})
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		dsn := s.DSN(t)
		w := onDSN(t, dsn, edit...)
		p, db := newProxy(t, dsn)
		store := mysqlstore.New(db, mysqlstore.Options{})
		lossy, err := auth.New(store.Stores(), config(w.clock, w.log, edit...))
		require.NoError(t, err)
		f(t, loses{
			world: w, lossy: lossy, drop: p.drop, lost: p.lostReplies,
		})
	})
}

// eachByte calls f with 0, 1, 2, … until the reply comes through whole.
func (w loses) eachByte(t *testing.T, f func(keep int)) {
	t.Helper()
	for keep := 0; ; keep++ {
		f(keep)
		if t.Failed() || w.lost() == 0 {
			require.Positive(t, keep)
			return
		}
	}
}

// The reply lost at any byte: the call recognizes its own success by rotated_by, with
// and without a grace.
func TestInvariant03OwnWin(t *testing.T) {
	for name, edit := range map[string]func(*auth.Config){"grace": func(*auth.Config) {}, "strict": strict} {
		t.Run(name, func(t *testing.T) {
			everywhereLosing(t, func(t *testing.T, w loses) {
				w.signUp(t, ann)
				w.eachByte(t, func(keep int) {
					first := w.logIn(t, ann)
					w.drop(1, keep)
					second, err := w.lossy.Refresh(t.Context(), first.RefreshToken, auth.Client{})
					require.NoError(t, err, "byte %d", keep)
					require.Equal(t, int64(2), generationOf(t, second))
					row := w.row(t, first.SessionID)
					require.Equal(t, int64(2), row.Generation)
					require.Equal(t, row.ExpiresAt.Unix(), claimsOf(t, second.RefreshToken).ExpiresAt)
					require.Equal(t, int64(3), generationOf(t, w.refresh(t, second.RefreshToken)), "and it goes on")
				})
			}, edit)
		})
	}
}

// The tokens of an own win were signed before the UPDATE: a signer that fails after it
// costs no session, not even one without a grace.
func TestInvariant03OwnWinSignsNothing(t *testing.T) {
	everywhereLosing(t, func(t *testing.T, w loses) {
		w.signUp(t, ann)
		first := w.logIn(t, ann)
		signed := 0
		require.NoError(t, w.lossy.OnSign(func() error {
			if signed++; signed > 2 { // an access and a refresh token
				return errFault
			}
			return nil
		}))
		w.drop(1, 0)
		second, err := w.lossy.Refresh(t.Context(), first.RefreshToken, auth.Client{})
		require.NoError(t, err)
		require.Equal(t, 1, w.lost())
		require.Equal(t, int64(3), generationOf(t, w.refresh(t, second.RefreshToken)))
	}, strict)
}

// The reply lost at any byte, and those to the call's repeats too: a retry by the client
// within Grace gets the successor that was stored.
//
// Advisory: Zitadel #9631.
func TestInvariant03RetryWithinGrace(t *testing.T) {
	everywhereLosing(t, func(t *testing.T, w loses) {
		w.signUp(t, ann)
		w.eachByte(t, func(keep int) {
			const always = 1000
			first := w.logIn(t, ann)
			w.drop(always, keep)
			_, err := w.lossy.Refresh(t.Context(), first.RefreshToken, auth.Client{})
			if w.lost() > 0 {
				require.ErrorIs(t, err, auth.ErrUnavailable, "byte %d", keep)
				require.NotErrorIs(t, err, auth.ErrInvalidToken)
				require.Equal(t, 3, w.lost(), "the call repeats itself")
			}
			row := w.row(t, first.SessionID)
			require.Equal(t, int64(2), row.Generation)

			second := w.refresh(t, first.RefreshToken)
			require.Equal(t, int64(2), generationOf(t, second))
			require.Equal(t, row.ExpiresAt.Unix(), claimsOf(t, second.RefreshToken).ExpiresAt)
			require.Equal(t, row, w.row(t, first.SessionID))
		})
	})
}

// Later than Grace, the same client is taken for a thief (RFC 9700, section 4.14.2).
func TestLostReplyAfterGrace(t *testing.T) {
	everywhereLosing(t, func(t *testing.T, w loses) {
		w.signUp(t, ann)
		first := w.logIn(t, ann)
		w.drop(1, 0)
		_, err := w.lossy.Refresh(t.Context(), first.RefreshToken, auth.Client{})
		require.NoError(t, err)
		require.Equal(t, 1, w.lost())
		w.advance(time.Minute + time.Second)
		require.ErrorIs(t, w.refreshError(t, first.RefreshToken), auth.ErrSessionEnded)
		assert.Equal(t, auth.ReasonReuse, w.state(t, first.SessionID).Reason)
	})
}
