package auth_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/passhash"
)

const wrongPassword = "another horse"

func cost(c int) func(*auth.Config) { return func(cfg *auth.Config) { cfg.HashCost = c } }

// hashOf is a plain hash of the text at a cost, as another library makes it.
func hashOf(t *testing.T, text string, cost int) string {
	t.Helper()
	b, err := bcrypt.GenerateFromPassword([]byte(text), cost)
	require.NoError(t, err)
	return string(b)
}

// marked is the hash as the upgrade of a tutorial's database leaves it.
func marked(t *testing.T, hash string) string {
	t.Helper()
	m, err := passhash.MarkTutorial(hash)
	require.NoError(t, err)
	return m
}

// withHash makes a user with a stored hash and returns its ID.
func (w *world) withHash(t *testing.T, address, hash string) auth.UserID {
	t.Helper()
	id, err := w.stores.Users.CreateUser(t.Context(), auth.NewUser{Name: "Ann Lee", Email: address, EmailKey: address, PasswordHash: hash})
	require.NoError(t, err)
	return id
}

// hash is the user's stored hash.
func (w *world) hash(t *testing.T, id auth.UserID) string {
	t.Helper()
	user, err := w.stores.Users.UserByID(t.Context(), id)
	require.NoError(t, err)
	return user.PasswordHash
}

func (w *world) tryLogin(t *testing.T, address, password string) (auth.Tokens, error) {
	t.Helper()
	return w.Login(t.Context(), auth.LoginInput{Email: address, Password: password})
}

// loginWork is the sum of 2^cost over all runs of bcrypt of a login that is refused.
func (w *world) loginWork(t *testing.T, address, password string) int {
	t.Helper()
	sum := 0
	w.OnHash(func(cost int) { sum += 1 << cost })
	defer w.OnHash(nil)
	_, err := w.tryLogin(t, address, password)
	require.ErrorIs(t, err, auth.ErrInvalidCredentials)
	return sum
}

// The work of a refused login is the same for an address that nobody has and for every
// kind of stored hash up to the configured cost.
//
// ASVS: 6.3.8, 11.2.4.
// Advisory: CVE-2026-23511.
func TestWorkOfARefusedLogin(t *testing.T) {
	const configured = 7
	w := onMemory(t, cost(configured))
	users := map[string]string{
		"none":      "",
		"malformed": "no hash at all",
		"too-dear":  "$2a$31$" + strings.Repeat("a", 53),
	}
	for c := 4; c <= configured; c++ {
		plain := hashOf(t, password, c)
		users["plain-"+string(rune('0'+c))] = plain
		users["marked-"+string(rune('0'+c))] = marked(t, plain)
		long, err := passhash.Hasher{Cost: c}.Hash(strings.Repeat("p", 80))
		require.NoError(t, err)
		users["long-"+string(rune('0'+c))] = long
	}
	for _, wrong := range []string{wrongPassword, strings.Repeat("q", 1024)} {
		unknown := w.loginWork(t, "nobody@example.com", wrong)
		assert.Equal(t, 1<<configured, unknown)
		for name, hash := range users {
			if _, err := w.stores.Users.UserByEmail(t.Context(), name+"@example.com"); err != nil {
				w.withHash(t, name+"@example.com", hash)
			}
			assert.Equal(t, unknown, w.loginWork(t, name+"@example.com", wrong), name)
			assert.Equal(t, hash, w.hashByAddress(t, name+"@example.com"), "a refused login changes nothing")
		}
	}
	assert.Contains(t, w.log.String(), "stored password hash is unusable")
	assert.NotContains(t, w.log.String(), "no hash at all")
}

func (w *world) hashByAddress(t *testing.T, address string) string {
	t.Helper()
	user, err := w.stores.Users.UserByEmail(t.Context(), address)
	require.NoError(t, err)
	return user.PasswordHash
}

// The same at the costs of production. Counted, each run of bcrypt done.
//
// ASVS: 6.3.8.
func TestWorkOfARefusedLoginAtRealCosts(t *testing.T) {
	const configured = 13
	w := onMemory(t, cost(configured))
	unknown := w.loginWork(t, "nobody@example.com", wrongPassword)
	assert.Equal(t, 1<<configured, unknown)
	for name, hash := range map[string]string{ // of the password
		"cost10": "$2a$10$piP9Bf9n5jtLNwsEwzKhVeHNZLWykGCpgmfHwFuGY45u583RXeDlK",
		"cost11": "$2a$11$q1fn9DaB0O.iNtsRcafpYOpPxWvhw/.Mr05IuIx7Y4Nmz46wtGfve",
		"cost12": "$2a$12$2.V5cQu0GN6qsvfxVDJsX.Bji1mycB3MvpU.ZwTB71i3BHZ4K/.Ty",
		"cost13": "$2a$13$tCbnUeu1seYrPWst4V34i.rMhrmm./tkhgr3xUCx.rD4hNc4vHj42",
	} {
		w.withHash(t, name+"@example.com", hash)
		assert.Equal(t, unknown, w.loginWork(t, name+"@example.com", wrongPassword), name)
	}
}

// Over HTTP nothing tells an unknown address from a wrong password, not a header, not a
// byte of the body.
//
// ASVS: 6.3.8.
// Advisory: CVE-2026-23511.
func TestRefusedLoginsLookAlike(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, ann)
		w.withHash(t, "none@example.com", "")
		w.withHash(t, "malformed@example.com", "no hash at all")
		w.withHash(t, "cheap@example.com", hashOf(t, password, 4))
		h := w.Handler("/api")
		login := func(address, password string) reply {
			return direct(t, h, newRequest(t, http.MethodPost, "http://example.com/api/login", object(t, "email", address, "password", password)))
		}
		unknown := login("nobody@example.com", wrongPassword)
		assert.Equal(t, http.StatusUnauthorized, unknown.status)
		for _, address := range []string{ann, "none@example.com", "malformed@example.com", "cheap@example.com", "ANN@example.com"} {
			assert.Equal(t, unknown, login(address, wrongPassword), address)
			assert.Equal(t, unknown, login(address, "x"), address)
		}
		assert.Equal(t, http.StatusOK, login(ann, password).status)
	}, cost(5))
}

// Direct calls get the very same error.
//
// ASVS: 6.3.8.
func TestRefusedLoginsErrAlike(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, ann)
	_, unknown := w.tryLogin(t, "nobody@example.com", wrongPassword)
	_, wrong := w.tryLogin(t, ann, wrongPassword)
	require.ErrorIs(t, unknown, auth.ErrInvalidCredentials)
	assert.Equal(t, unknown, wrong)
}

// A login raises the stored cost to the configured one, never lowers it, and the
// password stays the same.
//
// ASVS: 11.2.2, 11.4.2.
func TestRehashAtLogin(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		long := strings.Repeat("p", 80)
		cheap := w.withHash(t, ann, hashOf(t, password, 4))
		dear := w.withHash(t, "dear@example.com", hashOf(t, password, 6))
		longHash, err := passhash.Hasher{Cost: 4}.Hash(long)
		require.NoError(t, err)
		longer := w.withHash(t, "long@example.com", longHash)
		dearHash := w.hash(t, dear)

		first := w.logIn(t, ann)
		for id, want := range map[auth.UserID]int{cheap: 5, dear: 6} {
			got, err := passhash.Cost(w.hash(t, id))
			require.NoError(t, err)
			assert.Equal(t, want, got)
		}
		raised := w.hash(t, cheap)
		w.logIn(t, ann)
		w.logIn(t, "dear@example.com")
		assert.Equal(t, raised, w.hash(t, cheap), "once")
		assert.Equal(t, dearHash, w.hash(t, dear))
		w.refresh(t, first.RefreshToken) // sessions go on
		_, err = w.tryLogin(t, ann, wrongPassword)
		require.ErrorIs(t, err, auth.ErrInvalidCredentials)

		_, err = w.tryLogin(t, "long@example.com", long)
		require.NoError(t, err)
		got, err := passhash.Cost(w.hash(t, longer))
		require.NoError(t, err)
		assert.Equal(t, 5, got)
		for _, wrong := range []string{long[:72], long + "p"} {
			_, err = w.tryLogin(t, "long@example.com", wrong)
			require.ErrorIs(t, err, auth.ErrInvalidCredentials)
		}
	}, cost(5))
}

// A rehash cannot undo a password that was set since the hash was read.
func TestRehashDoesNotUndoAChange(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		old := hashOf(t, password, 4)
		changed := hashOf(t, "a new password", 5)
		id := w.withHash(t, ann, old)
		a, s := w.scripted(t, cost(5))
		s.before = doing(updatePassword, func() {
			swapped, err := w.stores.Users.UpdatePassword(t.Context(), id, old, changed)
			require.NoError(t, err)
			require.True(t, swapped)
			w.bumpAuthVersion(t, id)
		})
		_, err := a.Login(t.Context(), auth.LoginInput{Email: ann, Password: password})
		require.ErrorIs(t, err, auth.ErrInvalidCredentials, "the user changed meanwhile")
		assert.Equal(t, changed, w.hash(t, id))
	}, cost(5))
}

// Whether the rehash can be stored is nothing to the login.
func TestRehashThatFails(t *testing.T) {
	for name, fault := range map[string]error{"unavailable": errBusy, "fault": errFault} {
		t.Run(name, func(t *testing.T) {
			w := onMemory(t, cost(5))
			id := w.withHash(t, ann, hashOf(t, password, 4))
			before := w.hash(t, id)
			a, s := w.scripted(t, cost(5))
			s.before = failing(fault, updatePassword)
			tokens, err := a.Login(t.Context(), auth.LoginInput{Email: ann, Password: password})
			require.NoError(t, err)
			assert.Equal(t, []string{userByEmail, updatePassword, createSession}, s.calls())
			w.refresh(t, tokens.RefreshToken)
			assert.Equal(t, before, w.hash(t, id))
			assert.Contains(t, w.log.String(), "not rehashed")
			assert.Contains(t, w.log.String(), fault.Error())
			w.logIn(t, ann)
			assert.NotEqual(t, before, w.hash(t, id), "the next login tries again")
		})
	}
}

// A login that is held between its check and its insert while the user changes yields no
// session.
//
// ASVS: 15.4.2.
func TestUserMovesDuringLogin(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		id := w.signUp(t, ann)
		a, s := w.scripted(t)
		s.before = doing(createSession, func() { w.bumpAuthVersion(t, id) })
		tokens, err := a.Login(t.Context(), auth.LoginInput{Email: ann, Password: password})
		require.Equal(t, auth.ErrInvalidCredentials, err, "as a wrong password is")
		assert.Equal(t, auth.Tokens{}, tokens)
		require.Len(t, s.created, 1)
		_, err = w.stores.Refresh.ReadSession(t.Context(), s.created[0])
		require.ErrorIs(t, err, auth.ErrSessionNotFound)
		w.logIn(t, ann)
	})
}

// The store's errors at a login are the store's, never a verdict on the password.
//
// ASVS: 16.5.3.
func TestStoreErrorsAtLogin(t *testing.T) {
	for _, c := range []struct {
		call  string
		err   error
		calls []string
	}{
		{userByEmail, errBusy, []string{userByEmail, userByEmail, userByEmail}},
		{userByEmail, errFault, []string{userByEmail}},
		{createSession, errBusy, []string{userByEmail, createSession, createSession, createSession}},
		{createSession, errFault, []string{userByEmail, createSession}},
	} {
		t.Run(c.call+" "+c.err.Error(), func(t *testing.T) {
			w := onMemory(t)
			w.signUp(t, ann)
			a, s := w.scripted(t)
			s.before = failing(c.err, c.call)
			tokens, err := a.Login(t.Context(), auth.LoginInput{Email: ann, Password: password})
			require.ErrorIs(t, err, c.err)
			require.NotErrorIs(t, err, auth.ErrInvalidCredentials)
			assert.Equal(t, errors.Is(c.err, auth.ErrUnavailable), errors.Is(err, auth.ErrUnavailable))
			assert.Equal(t, auth.Tokens{}, tokens)
			assert.Equal(t, c.calls, s.calls())
			for _, id := range s.created {
				assert.Equal(t, s.created[0], id, "one session, however often it is sent")
				_, err := w.stores.Refresh.ReadSession(t.Context(), id)
				require.ErrorIs(t, err, auth.ErrSessionNotFound)
			}
		})
	}
}

// A session whose insert was carried out while nobody heard of it is one session.
func TestLostReplyToALogin(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, ann)
		a, s := w.scripted(t)
		s.after = failing(errBusy, createSession, 1, 2)
		tokens, err := a.Login(t.Context(), auth.LoginInput{Email: ann, Password: password})
		require.NoError(t, err)
		require.Len(t, s.created, 3)
		for _, id := range s.created {
			assert.Equal(t, tokens.SessionID, id)
		}
		w.refresh(t, tokens.RefreshToken)
	})
}
