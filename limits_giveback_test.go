package auth_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/limit"
)

// Whatever is no failure of the credentials gives back what it took, and whatever is keeps
// it.
func TestWhatIsGivenBack(t *testing.T) {
	boom := errors.New("boom")
	hook := func(err error) func(*auth.Config) {
		return func(c *auth.Config) {
			c.ExtraClaims = func(context.Context, auth.UserID, auth.Session) (any, error) { return nil, err }
		}
	}
	type try struct {
		edit     []func(*auth.Config)
		before   func(t *testing.T, w *world, id auth.UserID) func(context.Context, string, int) error
		password string
		ctx      func(t *testing.T) context.Context
		want     error // nil: a success
		kept     bool
	}
	fails := func(err error, name string) func(*testing.T, *world, auth.UserID) func(context.Context, string, int) error {
		return func(*testing.T, *world, auth.UserID) func(context.Context, string, int) error {
			return failing(err, name)
		}
	}
	for name, c := range map[string]try{
		"success":             {password: password},
		"wrong":               {password: wrongPassword, want: auth.ErrInvalidCredentials, kept: true},
		"the user's read":     {password: wrongPassword, before: fails(auth.ErrUnavailable, userByEmail), want: auth.ErrUnavailable},
		"the read, forever":   {password: wrongPassword, before: fails(boom, userByEmail), want: boom},
		"the session":         {password: password, before: fails(auth.ErrUnavailable, createSession), want: auth.ErrUnavailable},
		"the claims":          {password: password, edit: []func(*auth.Config){hook(boom)}, want: auth.ErrUnavailable},
		"the claims' refusal": {password: password, edit: []func(*auth.Config){hook(auth.ErrInvalidCredentials)}, want: auth.ErrUnavailable},
		"hung up":             {password: wrongPassword, ctx: canceled, want: auth.ErrUnavailable},
		"the user changed": {
			password: password, kept: true, want: auth.ErrInvalidCredentials,
			before: fails(auth.ErrUserChanged, createSession),
		},
		"disabled": {
			password: password, want: auth.ErrAccountDisabled,
			before: func(t *testing.T, w *world, id auth.UserID) func(context.Context, string, int) error {
				t.Helper()
				require.NoError(t, w.DisableUser(t.Context(), id))
				return nil
			},
		},
		"disabled and wrong": {
			password: wrongPassword, want: auth.ErrInvalidCredentials, kept: true,
			before: func(t *testing.T, w *world, id auth.UserID) func(context.Context, string, int) error {
				t.Helper()
				require.NoError(t, w.DisableUser(t.Context(), id))
				return nil
			},
		},
		"deleted": {
			password: password, want: auth.ErrInvalidCredentials, kept: true,
			before: func(t *testing.T, w *world, id auth.UserID) func(context.Context, string, int) error {
				t.Helper()
				w.deleteUser(t, id)
				return nil
			},
		},
		"unknown in the tutorial's mode": {
			password: password, want: auth.ErrInvalidCredentials, kept: true, edit: []func(*auth.Config){tutorialMode},
			before: func(t *testing.T, w *world, id auth.UserID) func(context.Context, string, int) error {
				t.Helper()
				w.deleteUser(t, id)
				return nil
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := onMemory(t)
			id := w.signUp(t, ann)
			l := w.recordLimits(t)
			a, s := w.scripted(t, c.edit...)
			if c.before != nil {
				s.before = c.before(t, w, id)
			}
			ctx := t.Context()
			if c.ctx != nil {
				ctx = c.ctx(t)
			}
			_, err := a.Login(ctx, auth.LoginInput{Email: ann, Password: c.password, Client: from(theIP)})
			require.ErrorIs(t, err, c.want)
			s.reset()
			want := accountTries
			if c.kept {
				want--
			}
			for key, n := range l.balance() {
				assert.Equal(t, accountTries-want, n, key)
			}
			assert.Equal(t, want, left(t, a, ann, from(theIP)))
		})
	}
}

// contextLimiter is a limit.Limiter on a store that a call does not reach whose context has
// ended.
type contextLimiter struct{ *limit.Memory }

func (l contextLimiter) Take(ctx context.Context, key string, b limit.Bucket, n int) (time.Duration, error) {
	if n != 0 && ctx.Err() != nil {
		return 0, ctx.Err()
	}
	return l.Memory.Take(ctx, key, b, n)
}

// Whoever hangs up gets nothing back that was not taken.
func TestHangingUpBuysNothing(t *testing.T) {
	w := onMemory(t)
	w.stores.Limiter = contextLimiter{limit.NewMemory(w.clock.Now)}
	a := w.another(t)
	gone := canceled(t)
	for range accountTries {
		for range accountTries {
			_, err := a.Login(gone, auth.LoginInput{Email: ann, Password: wrongPassword})
			require.ErrorIs(t, err, auth.ErrUnavailable)
		}
		require.ErrorIs(t, guess(t, a, ann, auth.Client{}), auth.ErrInvalidCredentials)
	}
	assert.Equal(t, accountEvery, waitOf(t, guess(t, a, ann, auth.Client{})))
}

// sharedLimiter is a limit.Limiter that others have drained, which no look tells.
type sharedLimiter struct{ *recordingLimiter }

func (l sharedLimiter) Take(ctx context.Context, key string, b limit.Bucket, n int) (time.Duration, error) {
	if n == 0 {
		return 0, nil
	}
	return l.recordingLimiter.Take(ctx, key, b, n)
}

// Where a look finds nothing and one of the budgets is over nevertheless, those that were
// taken from before it get it back.
func TestRefusedByASharedLimiter(t *testing.T) {
	w := onMemory(t)
	l := w.recordLimits(t)
	w.stores.Limiter = sharedLimiter{l}
	a := w.another(t)
	require.Equal(t, accountTries, left(t, a, ann, from("2001:db8::1")))
	for range ipTries {
		assert.Equal(t, accountEvery, waitOf(t, guess(t, a, ann, from("2001:db8::1"))))
	}
	assert.Equal(t, accountTries, left(t, a, bob, from("2001:db8::1")))
}
