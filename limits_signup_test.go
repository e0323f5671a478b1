package auth_test

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// The policies as docs/security.md has them.
const (
	signupTries, signupEvery = 20, 3 * time.Second
	takenTries, takenEvery   = 5, 2 * time.Minute
)

func signUpFrom(t *testing.T, a *auth.Authenticator, address, ip string) error {
	t.Helper()
	_, err := a.Signup(t.Context(), auth.SignupInput{Name: "Ann Lee", Email: address, Password: password, Client: from(ip)})
	return err
}

// An address signs up 20 times in a minute, and invalid input is none of them.
func TestSignupsOfOneAddress(t *testing.T) {
	w := onMemory(t)
	for i := range signupTries {
		for _, bad := range []auth.SignupInput{
			{Name: "A", Email: w.address(i), Password: password},
			{Name: "Ann Lee", Email: "x", Password: password},
			{Name: "Ann Lee", Email: w.address(i), Password: "short"},
		} {
			bad.Client = from(theIP)
			_, err := w.Signup(t.Context(), bad)
			_, ok := errors.AsType[*auth.ValidationError](err)
			require.True(t, ok, "%v", err)
		}
		require.NoError(t, signUpFrom(t, w.Authenticator, w.address(i), theIP))
	}
	assert.Equal(t, signupEvery, waitOf(t, signUpFrom(t, w.Authenticator, ann, theIP)))
	require.NoError(t, signUpFrom(t, w.Authenticator, bob, "192.0.2.2"))
	_, err := w.Signup(t.Context(), auth.SignupInput{Name: "A", Email: "x", Password: "short", Client: from(theIP)})
	_, ok := errors.AsType[*auth.ValidationError](err)
	assert.True(t, ok, "what is wrong with the input is told nevertheless")
	got := direct(t, w.Handler(""), newRequest(t, http.MethodPost, "/signup", signupBody(t, ann)))
	assert.Equal(t, signupEvery, retryAfter(t, got))
	w.advance(signupEvery - 1)
	waitOf(t, signUpFrom(t, w.Authenticator, ann, theIP))
	w.advance(1)
	require.NoError(t, signUpFrom(t, w.Authenticator, ann, theIP))
	w.signUp(t, "eve@example.com") // no client, no limit
	require.Equal(t, accountTries, left(t, w.Authenticator, ann, from(theIP)), "logins have budgets of their own")
}

// Five times in ten minutes an address is told that an e-mail address is taken; after that
// it is told nothing of any, before anybody has looked.
func TestTakenAnswers(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, ann)
	a, s := w.scripted(t)
	for i := range takenTries {
		require.ErrorIs(t, signUpFrom(t, a, ann, theIP), auth.ErrEmailTaken)
		if i < 2 {
			require.NoError(t, signUpFrom(t, a, w.address(i), theIP), "success costs none of it")
		}
	}
	s.reset()
	n := countHashes(a)
	told := ""
	for range 2 * signupTries { // and they cost no sign-ups
		for _, address := range []string{ann, "free@example.com"} {
			assert.Equal(t, takenEvery, waitOf(t, signUpFrom(t, a, address, theIP)))
			got := direct(t, a.Handler(""), newRequest(t, http.MethodPost, "/signup", signupBody(t, address)))
			if told == "" {
				told = got.dump(t)
			}
			assert.Equal(t, takenEvery, retryAfter(t, got))
			assert.Equal(t, told, got.dump(t))
		}
	}
	assert.Empty(t, s.calls())
	assert.Zero(t, n.Load())
	require.ErrorIs(t, signUpFrom(t, a, ann, "192.0.2.2"), auth.ErrEmailTaken)
	w.advance(takenEvery)
	require.NoError(t, signUpFrom(t, a, "free@example.com", theIP))
	require.ErrorIs(t, signUpFrom(t, a, ann, theIP), auth.ErrEmailTaken)
	waitOf(t, signUpFrom(t, a, ann, theIP))
}

// The sign-ups of a site's networks, in IPv6, count together at ten times the size.
func TestSignupsOfOneSite(t *testing.T) {
	w := onMemory(t)
	network := func(i int) string { return fmt.Sprintf("2001:db8:1:%x::1", i) }
	for i := range 10 * signupTries {
		require.NoError(t, signUpFrom(t, w.Authenticator, w.address(i), network(i)))
	}
	assert.Equal(t, signupEvery/10, waitOf(t, signUpFrom(t, w.Authenticator, ann, network(1000))))
	require.NoError(t, signUpFrom(t, w.Authenticator, ann, "2001:db8:2::1"))

	w = onMemory(t)
	w.signUp(t, ann)
	for i := range 10 * takenTries {
		require.ErrorIs(t, signUpFrom(t, w.Authenticator, ann, network(i)), auth.ErrEmailTaken)
	}
	assert.Equal(t, takenEvery/10, waitOf(t, signUpFrom(t, w.Authenticator, bob, network(1000))))
	require.NoError(t, signUpFrom(t, w.Authenticator, bob, "2001:db8:2::1"))
}

// A class that signs up at once is in nobody's way.
func TestParallelSignupsOfOneAddress(t *testing.T) {
	w := onMemory(t)
	var signedUp atomic.Int64
	storm(signupTries, func(i int) {
		if assert.NoError(t, signUpFrom(t, w.Authenticator, w.address(i), theIP)) {
			signedUp.Add(1)
		}
	})
	assert.EqualValues(t, signupTries, signedUp.Load())
}

// Nor do parallel ones learn more.
func TestParallelTakenAnswers(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.shareLimits(t)
		w.signUp(t, ann)
		var told, others atomic.Int64
		storm(200, func(int) {
			err := signUpFrom(t, w.Authenticator, ann, theIP)
			switch {
			case errors.Is(err, auth.ErrEmailTaken):
				told.Add(1)
			case errors.Is(err, auth.ErrUnavailable):
				others.Add(1)
			default:
				waitOf(t, err)
			}
		})
		assert.LessOrEqual(t, told.Load(), int64(takenTries))
		assert.Zero(t, others.Load())
		if w.db == nil {
			assert.EqualValues(t, takenTries, told.Load())
		}
	})
}

// What failed for other reasons gives its taken answer back.
func TestFailedSignupsGiveBack(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, ann)
	a, s := w.scripted(t)
	s.before = failing(auth.ErrUnavailable, createUser)
	for range takenTries + 1 {
		require.ErrorIs(t, signUpFrom(t, a, bob, theIP), auth.ErrUnavailable)
	}
	s.reset()
	for range takenTries {
		require.ErrorIs(t, signUpFrom(t, a, ann, theIP), auth.ErrEmailTaken)
	}
	waitOf(t, signUpFrom(t, a, bob, theIP))
}
