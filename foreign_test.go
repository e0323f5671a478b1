package auth_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/passhash"
)

const (
	// theirs is a hash of another system, whose function is foreignHash.
	theirs = "theirs:correct horse"

	foreignDeadline = 2 * time.Second
)

// foreignHash is a Config.VerifyForeign, and what it was asked for. It takes its time.
type foreignHash struct {
	asked []string
	takes time.Duration
	err   error
	then  func()
}

func (f *foreignHash) on(c *auth.Config) { c.VerifyForeign = f.verify }

func (f *foreignHash) verify(_ context.Context, stored, password string) (bool, error) {
	f.asked = append(f.asked, stored)
	time.Sleep(f.takes)
	if f.then != nil {
		f.then()
	}
	return stored == "theirs:"+password, f.err
}

// The right password logs in at once, and is hashed anew: the next login does not ask.
func TestVerifyForeign(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		var f foreignHash
		a := w.another(t, f.on)
		id := w.withHash(t, ann, theirs)
		before, err := w.stores.Users.UserByID(t.Context(), id)
		require.NoError(t, err)
		for range 3 {
			require.NoError(t, tryDevice(t, a, ann, password, "", from(theIP)))
			assert.Equal(t, []string{theirs}, f.asked)
			assert.True(t, strings.HasPrefix(w.hash(t, id), "$2a$04$"))
		}
		after, err := w.stores.Users.UserByID(t.Context(), id)
		require.NoError(t, err)
		assert.Equal(t, before.AuthVersion, after.AuthVersion, "no session ends for it")
		require.NoError(t, tryDevice(t, w.Authenticator, ann, password, "", from(theIP)), "the hook has done its work")
	})
}

// A hash that was changed meanwhile stays.
func TestVerifyForeignComparesAndSwaps(t *testing.T) {
	w := onMemory(t)
	id := w.withHash(t, ann, theirs)
	newHash := hashOf(t, "a password of later", 4)
	f := foreignHash{then: func() {
		ok, err := w.stores.Users.UpdatePassword(t.Context(), id, theirs, newHash)
		require.NoError(t, err)
		require.True(t, ok)
	}}
	_ = tryDevice(t, w.another(t, f.on), ann, password, "", auth.Client{})
	assert.Equal(t, newHash, w.hash(t, id))
}

// While others wait for the gate, the hash is left to a later login.
func TestVerifyForeignAndABusyGate(t *testing.T) {
	var f foreignHash
	synctest.Test(t, func(t *testing.T) {
		j := newJam(t, f.on)
		id := j.withHash(t, bob, theirs)
		j.begin()
		login := j.send(t.Context(), t, bob, "", from(theIP))
		later := j.send(t.Context(), t, "", "", from(theIP))
		waits(t, later)
		j.next <- struct{}{}
		require.NoError(t, <-login)
		assert.Equal(t, theirs, j.hash(t, id))
		j.next <- struct{}{}
		require.Error(t, <-later)
	})
}

// Whoever fails is answered after the same time, however long their hash takes and whether
// they exist or not; a success at once.
//
// ASVS: 6.3.8.
func TestVerifyForeignAnswersAtADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := foreignHash{takes: 700 * time.Millisecond}
		w := onMemory(t, f.on, oneAtATime)
		w.withHash(t, "theirs@example.com", theirs)
		w.withHash(t, "ours@example.com", hashOf(t, password, 4))
		w.withHash(t, "none@example.com", "")
		w.withHash(t, "dear@example.com", "$2a$31$"+strings.Repeat("a", 53))
		require.NoError(t, w.DisableUser(t.Context(), w.withHash(t, "disabled@example.com", theirs)))
		for _, user := range []string{"theirs", "ours", "none", "dear", "disabled", "nobody"} {
			start := time.Now()
			got := loginAt(t, w.Authenticator, user+"@example.com", wrongPassword, theIP+":1")
			assert.Equal(t, foreignDeadline, time.Since(start), user)
			assert.Equal(t, `{"status":401,"code":"invalid_credentials","message":"Incorrect email or password."}`, got.body)
		}
		f.err = errors.New("no such parameters")
		for _, typed := range []string{password, wrongPassword} {
			start := time.Now()
			require.ErrorIs(t, tryDevice(t, w.Authenticator, "theirs@example.com", typed, "", auth.Client{}), auth.ErrInvalidCredentials)
			assert.Equal(t, foreignDeadline, time.Since(start))
		}
		assert.Contains(t, w.log.String(), "no such parameters")
		f.err = nil

		start := time.Now()
		require.NoError(t, tryDevice(t, w.Authenticator, "theirs@example.com", password, "", auth.Client{}))
		assert.Equal(t, f.takes, time.Since(start))
		start = time.Now()
		tokens := w.logIn(t, "ours@example.com")
		assert.Zero(t, time.Since(start))

		_, err := w.Reauthenticate(t.Context(), w.claims(t, tokens), auth.ReauthInput{Password: wrongPassword})
		require.ErrorIs(t, err, auth.ErrInvalidCredentials)
		assert.Equal(t, foreignDeadline, time.Since(start))

		// Nobody waits in the gate for it.
		start = time.Now()
		storm(10, func(i int) {
			require.ErrorIs(t, guess(t, w.Authenticator, stranger(i), auth.Client{}), auth.ErrInvalidCredentials)
		})
		assert.Equal(t, foreignDeadline, time.Since(start))
		assertNoSecrets(t, w.log.String(), []string{password, wrongPassword, theirs})
	})
}

// What is ours, or nothing, is never another system's.
func TestVerifyForeignIsAskedForOtherHashesAlone(t *testing.T) {
	var f foreignHash
	argon2id := auth.Argon2id{Memory: 64, Time: 1, Threads: 1}
	w := onMemory(t, f.on)
	long, err := passhash.Hasher{Cost: 4}.Hash(strings.Repeat("p", 80))
	require.NoError(t, err)
	other, err := passhash.Hasher{Cost: 4, Argon2id: passhash.Argon2id(argon2id)}.Hash(password)
	require.NoError(t, err)
	plain := hashOf(t, password, 4)
	for name, hash := range map[string]string{
		"bcrypt": plain, "long": long, "argon2id": other, "tutorial": marked(t, plain), "nobody": "",
		"2b": "$2b$" + plain[4:], "2y": "$2y$" + plain[4:],
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if name != "nobody" {
					w.withHash(t, name+"@example.com", hash)
				}
				require.ErrorIs(t, guess(t, w.Authenticator, name+"@example.com", auth.Client{}), auth.ErrInvalidCredentials)
				typed := password
				if name == "long" {
					typed = strings.Repeat("p", 80)
				}
				if name != "nobody" {
					require.NoError(t, tryDevice(t, w.Authenticator, name+"@example.com", typed, "", auth.Client{}))
				}
			})
		})
	}
	assert.Empty(t, f.asked)
}

// A client that hangs up, or seems to, is a try as any other: its answer comes at the same
// time, says the same and is counted.
func TestVerifyForeignAndHangingUp(t *testing.T) {
	for name, after := range map[string]time.Duration{
		"while it is verified":         500 * time.Millisecond,
		"while it is not yet answered": 1500 * time.Millisecond,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := foreignHash{takes: time.Second}
				w := onMemory(t)
				w.withHash(t, ann, theirs)
				l := w.recordLimits(t, f.on)
				ctx, cancel := context.WithTimeout(t.Context(), after)
				defer cancel()
				start := time.Now()
				_, err := w.Login(ctx, auth.LoginInput{Email: ann, Password: wrongPassword, Client: from(theIP)})
				require.ErrorIs(t, err, auth.ErrInvalidCredentials)
				assert.Equal(t, foreignDeadline, time.Since(start))
				for key, n := range l.balance() {
					assert.Equal(t, 1, n, key)
				}
			})
		})
	}
}

// A hook that heeds its context ends in time for the answer.
func TestVerifyForeignIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := onMemory(t, func(c *auth.Config) {
			c.VerifyForeign = func(ctx context.Context, _, _ string) (bool, error) {
				<-ctx.Done()
				return true, ctx.Err()
			}
		})
		w.withHash(t, ann, theirs)
		start := time.Now()
		_, err := w.Login(t.Context(), auth.LoginInput{Email: ann, Password: password})
		require.ErrorIs(t, err, auth.ErrInvalidCredentials)
		assert.Equal(t, foreignDeadline, time.Since(start))
	})
}

// Without the hook such a hash matches nothing, and the answer does not wait.
func TestForeignHashWithoutAHook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := onMemory(t)
		w.withHash(t, ann, theirs)
		start := time.Now()
		got := loginAt(t, w.Authenticator, ann, password, theIP+":1")
		assert.Equal(t, http.StatusUnauthorized, got.status)
		assert.Zero(t, time.Since(start))
	})
}

// A panic of the hook is the host's; it leaves the gate.
func TestVerifyForeignPanics(t *testing.T) {
	f := foreignHash{then: func() { panic("the hook's") }}
	w := onMemory(t, f.on, oneAtATime)
	id := w.withHash(t, ann, theirs)
	w.withHash(t, bob, hashOf(t, password, 4))
	tokens, err := w.StartSession(t.Context(), id, auth.Client{})
	require.NoError(t, err)
	claims := w.claims(t, tokens)
	for _, call := range []func(){
		func() { _ = tryDevice(t, w.Authenticator, ann, password, "", auth.Client{}) },
		func() { _, _ = w.Reauthenticate(t.Context(), claims, auth.ReauthInput{Password: password}) },
	} {
		assert.Panics(t, call)
		ctx, cancel := context.WithTimeout(t.Context(), gatePatience/2)
		_, err := w.Login(ctx, auth.LoginInput{Email: bob, Password: password})
		cancel()
		require.NoError(t, err)
	}
}
