package auth_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/memstore"
)

var (
	errFault = errors.New("a fault of the store")
	errBusy  = fmt.Errorf("busy: %w", auth.ErrUnavailable)
)

// A rotation that was not possible here and now is sent again, the same in every field,
// three times in all; then nothing was consumed.
func TestTransientErrorsOfARotation(t *testing.T) {
	for _, c := range []struct {
		name    string
		numbers []int // of the calls that fail
		calls   int
		ok      bool
	}{
		{"none", []int{0}, 1, true},
		{"the first", []int{1}, 2, true},
		{"two", []int{1, 2}, 3, true},
		{"all", nil, 3, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := onMemory(t)
			w.signUp(t, ann)
			tokens := w.logIn(t, ann)
			row := w.row(t, tokens.SessionID)
			a, s := w.scripted(t)
			s.before = failing(errBusy, rotateSession, c.numbers...)
			next, err := a.Refresh(t.Context(), tokens.RefreshToken, auth.Client{UserAgent: "an agent"})
			require.Len(t, s.rotations, c.calls)
			for i, r := range s.rotations {
				assert.Equal(t, s.rotations[0], r, "repeat %d", i)
			}
			assert.NotZero(t, s.rotations[0].Attempt)
			if !c.ok {
				require.ErrorIs(t, err, auth.ErrUnavailable)
				require.NotErrorIs(t, err, auth.ErrInvalidToken)
				assert.Equal(t, auth.Tokens{}, next)
				assert.Equal(t, row, w.row(t, tokens.SessionID))
				next = w.refresh(t, tokens.RefreshToken)
			} else {
				require.NoError(t, err)
			}
			assert.Equal(t, int64(2), generationOf(t, next))
			assert.Equal(t, int64(2), w.state(t, tokens.SessionID).Generation)
		})
	}
}

// Two calls are two attempts.
func TestAttemptsDiffer(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, ann)
	tokens := w.logIn(t, ann)
	a, s := w.scripted(t)
	for range 2 {
		_, err := a.Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
		require.NoError(t, err)
	}
	assert.NotEqual(t, s.rotations[0].Attempt, s.rotations[1].Attempt)
}

// Any other error of the rotation ends the call at once, as it is, and consumes nothing.
func TestOtherErrorsOfARotation(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, ann)
	tokens := w.logIn(t, ann)
	row := w.row(t, tokens.SessionID)
	a, s := w.scripted(t)
	s.before = failing(errFault, rotateSession)
	err := refreshError(t, a, tokens.RefreshToken)
	require.ErrorIs(t, err, errFault)
	require.NotErrorIs(t, err, auth.ErrUnavailable)
	require.NotErrorIs(t, err, auth.ErrInvalidToken)
	assert.Equal(t, []string{rotateSession}, s.calls())
	assert.Equal(t, row, w.row(t, tokens.SessionID))
}

// staleUse is a session with a token that is so old that its use is reuse.
func staleUse(t *testing.T) (w *world, stale, current auth.Tokens) {
	t.Helper()
	w = onMemory(t)
	w.signUp(t, ann)
	stale = w.logIn(t, ann)
	current = w.refresh(t, stale.RefreshToken)
	w.advance(2 * time.Minute)
	return w, stale, current
}

// The judging read is repeated too. One that fails decides nothing.
//
// ASVS: 16.5.3.
func TestErrorsOfTheJudgingRead(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   error
		fails []int
		reads int
		want  error
	}{
		{"two transient", errBusy, []int{1, 2}, 3, auth.ErrSessionEnded},
		{"all transient", errBusy, nil, 3, auth.ErrUnavailable},
		{"a fault", errFault, nil, 1, errFault},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, stale, _ := staleUse(t)
			row := w.row(t, stale.SessionID)
			a, s := w.scripted(t)
			s.before = failing(c.err, readSession, c.fails...)
			err := refreshError(t, a, stale.RefreshToken)
			require.ErrorIs(t, err, c.want)
			reads := 0
			for _, name := range s.calls() {
				if name == readSession {
					reads++
				}
			}
			assert.Equal(t, c.reads, reads)
			if c.want != auth.ErrSessionEnded { //nolint:errorlint // the table's own value
				require.NotErrorIs(t, err, auth.ErrInvalidToken)
				assert.Equal(t, row, w.row(t, stale.SessionID))
				require.ErrorIs(t, w.refreshError(t, stale.RefreshToken), auth.ErrSessionEnded, "it is judged at the next use")
			}
			assert.Equal(t, auth.ReasonReuse, w.state(t, stale.SessionID).Reason)
		})
	}
}

// A revocation that cannot be done is never answered as if it were.
//
// ASVS: 16.5.3.
// Advisory: CVE-2020-15223.
func TestErrorsOfTheRevocation(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   error
		fails []int
		tries int
		ended bool
	}{
		{"two transient", errBusy, []int{1, 2}, 3, true},
		{"all transient", errBusy, nil, 3, false},
		{"a fault", errFault, nil, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, stale, current := staleUse(t)
			a, s := w.scripted(t)
			revocation := failing(c.err, revokeSession, c.fails...)
			s.before = revocation
			reuse := refreshError(t, a, stale.RefreshToken)
			calls := s.calls()
			s.reset()
			if !c.ended {
				assert.True(t, w.state(t, stale.SessionID).RevokedAt.IsZero())
			}
			s.before = revocation
			logout := a.Logout(t.Context(), current.RefreshToken)
			assert.Len(t, s.calls(), c.tries)
			assert.Len(t, calls, 2+c.tries)
			if c.ended {
				require.ErrorIs(t, reuse, auth.ErrSessionEnded)
				require.NoError(t, logout)
				return
			}
			for _, err := range []error{reuse, logout} {
				require.ErrorIs(t, err, auth.ErrUnavailable)
				require.ErrorIs(t, err, c.err)
				require.NotErrorIs(t, err, auth.ErrInvalidToken)
			}
			require.ErrorIs(t, w.refreshError(t, stale.RefreshToken), auth.ErrSessionEnded, "the next use ends it")
			require.ErrorIs(t, w.refreshError(t, current.RefreshToken), auth.ErrSessionEnded)
		})
	}
}

// The work of the store is inside the request's deadline, or 10 s where it has none.
//
// ASVS: 15.4.3.
func TestStoreDeadlines(t *testing.T) {
	w, stale, _ := staleUse(t)
	a, s := w.scripted(t)
	deadline := time.Now().Add(time.Hour)
	for _, own := range []bool{false, true} {
		s.reset()
		ctx, least, most := t.Context(), 9*time.Second, 10*time.Second
		if own {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, deadline)
			defer cancel()
		}
		_, err := a.Refresh(ctx, stale.RefreshToken, auth.Client{})
		require.ErrorIs(t, err, auth.ErrSessionEnded)
		for i, name := range s.calls() {
			got, ok := s.contexts[i].Deadline()
			require.True(t, ok)
			switch {
			case name == revokeSession:
				assert.WithinDuration(t, time.Now(), got, 5*time.Second)
			case own:
				assert.Equal(t, deadline, got)
			default:
				assert.Greater(t, time.Until(got), least-5*time.Second)
				assert.LessOrEqual(t, time.Until(got), most)
			}
		}
	}
}

// restored is another instance on a store that has lost every rotation of the session
// but the first few, as a backup or a failover loses them.
func (w *world) restored(t *testing.T, id auth.SessionID, generation int64) *world {
	t.Helper()
	state := w.state(t, id)
	if w.db != nil {
		list := make([]byte, 0, 64)
		for i := min(generation-1, auth.RetiredKept); i > 0; i-- {
			list = append(list, 0, 0, 0, 0, 0, 0, 0, byte(i))
		}
		_, err := w.db.ExecContext(t.Context(), "UPDATE refresh_tokens SET generation = ?, retired = ? WHERE id = ?", generation, list, id[:])
		require.NoError(t, err)
		return w
	}
	user, err := w.stores.Users.UserByID(t.Context(), state.UserID)
	require.NoError(t, err)
	store := memstore.New(memstore.Options{Now: func() time.Time { return state.ReadAt }})
	_, err = store.CreateUser(t.Context(), auth.NewUser{Name: user.Name, Email: user.Email, EmailKey: user.EmailKey, PasswordHash: user.PasswordHash})
	require.NoError(t, err)
	require.NoError(t, store.CreateSession(t.Context(), state.Session, 1))
	for g := range generation - 1 {
		rotated, err := store.RotateSession(t.Context(), auth.Rotation{
			Session: id, UserID: state.UserID, Generation: g + 1, Now: w.clock.Now(), ExpiresAt: state.ExpiresAt,
		})
		require.NoError(t, err)
		require.True(t, rotated)
	}
	restored := &world{stores: store.Stores(), clock: w.clock, log: w.log, pass: func(time.Duration) {}}
	restored.Authenticator = restored.another(t)
	return restored
}

const stateLost = "the store had lost rotations"

// A token of a generation that the store does not know any more goes on, since we signed
// it; what came before it is reuse.
func TestRecoveryOfLostRotations(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, ann)
		chain := []auth.Tokens{w.logIn(t, ann)}
		for i := range 4 {
			chain = append(chain, w.refresh(t, chain[i].RefreshToken))
		}
		id := chain[0].SessionID
		r := w.restored(t, id, 2)

		// Several at once: one recovers, the others are inside its grace.
		var wg sync.WaitGroup
		results := make([]auth.Tokens, 10)
		for i := range results {
			wg.Go(func() {
				var err error
				results[i], err = r.Refresh(t.Context(), chain[4].RefreshToken, auth.Client{})
				assert.NoError(t, err)
			})
		}
		wg.Wait()
		for _, tokens := range results {
			assert.Equal(t, results[0].RefreshToken, tokens.RefreshToken)
		}
		assert.Equal(t, int64(6), generationOf(t, results[0]))
		assert.Contains(t, r.log.String(), stateLost)
		assert.Contains(t, r.log.String(), id.String())
		state := r.state(t, id)
		assert.Equal(t, int64(6), state.Generation)
		require.Len(t, state.Retired, auth.RetiredKept)
		assert.Less(t, state.ReadAt.Sub(state.Retired[0]), 30*time.Second)
		assert.Equal(t, int64(0), state.Retired[1].Unix())

		next := r.refresh(t, results[0].RefreshToken)
		require.ErrorIs(t, refreshError(t, r.Authenticator, chain[3].RefreshToken), auth.ErrSessionEnded)
		assert.Equal(t, auth.ReasonReuse, r.state(t, id).Reason)
		require.ErrorIs(t, refreshError(t, r.Authenticator, next.RefreshToken), auth.ErrSessionEnded)
	})
}

// A recovery whose reply was lost is our own win, and is reported too.
func TestRecoveryWhoseReplyIsLost(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, ann)
		last := w.logIn(t, ann)
		for range 3 {
			last = w.refresh(t, last.RefreshToken)
		}
		r := w.restored(t, last.SessionID, 2)
		a, s := r.scripted(t)
		s.after = failing(errBusy, recoverSession, 1)
		next, err := a.Refresh(t.Context(), last.RefreshToken, auth.Client{})
		require.NoError(t, err)
		assert.Equal(t, int64(5), generationOf(t, next))
		assert.Equal(t, int64(5), r.state(t, last.SessionID).Generation)
		assert.Equal(t, s.rotations[0], s.rotations[1])
		assert.Equal(t, s.rotations[0], s.rotations[2])
		assert.Contains(t, r.log.String(), stateLost)
	})
}
