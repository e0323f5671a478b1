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

// control is a call of session control, and the operations that it sends.
type control struct {
	name    string
	calls   []string
	decided bool // its last operation does not hang on the request
	hides   bool // a fault of its last operation Is ErrUnavailable too
	do      func(ctx context.Context, a *auth.Authenticator, tokens auth.Tokens) error
}

func controls() []control {
	return []control{
		{"sessions", []string{sessionsByUser}, false, false, func(ctx context.Context, a *auth.Authenticator, tokens auth.Tokens) error {
			list, err := a.Sessions(ctx, tokens.UserID, tokens.SessionID)
			if err != nil && list != nil {
				return fmt.Errorf("a list beside the error: %w", errFault)
			}
			return err
		}},
		{"revoke session", []string{sessionByID, revokeSession}, true, true, func(ctx context.Context, a *auth.Authenticator, tokens auth.Tokens) error {
			return a.RevokeSession(ctx, tokens.UserID, tokens.SessionID)
		}},
		{"logout", []string{revokeSession}, true, true, func(ctx context.Context, a *auth.Authenticator, tokens auth.Tokens) error {
			return a.Logout(ctx, tokens.RefreshToken)
		}},
		{"logout everywhere", []string{revokeUser}, true, true, func(ctx context.Context, a *auth.Authenticator, tokens auth.Tokens) error {
			return a.LogoutAll(ctx, tokens.UserID, auth.SessionID{})
		}},
		{"disable", []string{setDisabled}, true, false, func(ctx context.Context, a *auth.Authenticator, tokens auth.Tokens) error {
			return a.DisableUser(ctx, tokens.UserID)
		}},
		{"enable", []string{setDisabled}, true, false, func(ctx context.Context, a *auth.Authenticator, tokens auth.Tokens) error {
			return a.EnableUser(ctx, tokens.UserID)
		}},
		{"revoke all", []string{revokeAll}, false, false, func(ctx context.Context, a *auth.Authenticator, _ auth.Tokens) error {
			_, err := a.RevokeAllSessions(ctx, time.Unix(1<<40, 0))
			return err
		}},
		{"purge", []string{purgeSessions}, false, false, func(ctx context.Context, a *auth.Authenticator, _ auth.Tokens) error {
			_, err := a.PurgeSessions(ctx, 0)
			return err
		}},
	}
}

// Each operation is tried three times. What cannot be done is an error, and a session
// that could not be ended goes on.
//
// Advisory: CVE-2020-15223.
func TestStoreErrorsOfSessionControl(t *testing.T) {
	for _, c := range controls() {
		t.Run(c.name, func(t *testing.T) {
			w := onMemory(t)
			w.signUp(t, ann)
			tokens := w.logIn(t, ann)
			row := w.row(t, tokens.SessionID)
			a, s := w.scripted(t)
			for i, name := range c.calls {
				calls := append([]string{}, c.calls[:i]...)
				s.before = failing(errBusy, name)
				err := c.do(t.Context(), a, tokens)
				require.ErrorIs(t, err, auth.ErrUnavailable)
				require.NotErrorIs(t, err, errFault)
				assert.Equal(t, append(calls, name, name, name), s.calls())
				s.reset()

				s.before = failing(errFault, name)
				err = c.do(t.Context(), a, tokens)
				require.ErrorIs(t, err, errFault)
				last := i == len(c.calls)-1
				assert.Equal(t, last && c.hides, errors.Is(err, auth.ErrUnavailable))
				assert.Equal(t, append(calls, name), s.calls())
				s.reset()
				assert.Equal(t, row, w.row(t, tokens.SessionID))
			}
			last := c.calls[len(c.calls)-1]
			s.before = failing(errBusy, last, 1, 2)
			require.NoError(t, c.do(t.Context(), a, tokens))
			assert.Len(t, s.calls(), len(c.calls)+2)
		})
	}
}

// What was decided has 5 seconds of its own, and goes on though the client hung up. A
// read ends with its request.
func TestDecidedOutlivesItsRequest(t *testing.T) {
	for _, c := range controls() {
		t.Run(c.name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, w *world) {
				w.signUp(t, ann)
				tokens := w.logIn(t, ann)
				a, s := w.scripted(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				last := c.calls[len(c.calls)-1]
				s.before = doing(last, cancel)
				err := c.do(ctx, a, tokens)
				require.Error(t, ctx.Err())
				if !c.decided {
					require.ErrorIs(t, err, auth.ErrUnavailable)
					require.ErrorIs(t, err, context.Canceled)
					assert.True(t, w.state(t, tokens.SessionID).RevokedAt.IsZero())
					return
				}
				require.NoError(t, err)
				assert.Equal(t, c.name != "enable", !w.state(t, tokens.SessionID).RevokedAt.IsZero())
				deadline, ok := s.contexts[len(s.contexts)-1].Deadline()
				require.True(t, ok)
				assert.WithinDuration(t, time.Now(), deadline, 5*time.Second)
			})
		})
	}
}

// How many sessions were revoked is told beside an error too, and a repeat goes on.
func TestRevokeAllSessionsCounts(t *testing.T) {
	w := onMemory(t)
	s := &revoker{results: []int64{3, 4, 5}, errs: []error{errBusy, errBusy, nil}}
	w.stores.Refresh = s
	a := w.another(t)
	before := w.clock.Now()
	n, err := a.RevokeAllSessions(t.Context(), before)
	require.NoError(t, err)
	assert.EqualValues(t, 12, n)
	assert.Equal(t, []time.Time{before, before, before}, s.before)
	s.results, s.errs = []int64{2}, []error{errFault}
	n, err = a.RevokeAllSessions(t.Context(), before)
	require.ErrorIs(t, err, errFault)
	assert.EqualValues(t, 2, n)
}

// revoker answers RevokeAllSessions from two lists.
type revoker struct {
	auth.RefreshStore // nil: no other method is called

	before  []time.Time
	results []int64
	errs    []error
}

func (s *revoker) RevokeAllSessions(_ context.Context, before time.Time, _ string) (int64, error) {
	s.before = append(s.before, before)
	n, err := s.results[0], s.errs[0]
	s.results, s.errs = s.results[1:], s.errs[1:]
	return n, err
}
