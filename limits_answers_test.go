package auth_test

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// loginAt is a login over HTTP from an address and a port.
func loginAt(t *testing.T, a *auth.Authenticator, address, password, remote string) reply {
	t.Helper()
	r := newRequest(t, http.MethodPost, "/login", object(t, "email", address, "password", password))
	r.RemoteAddr = remote
	return direct(t, a.Handler(""), r)
}

// dump is all that a client sees of a reply, but for its date.
func (r reply) dump(t *testing.T) string {
	t.Helper()
	header := r.header.Clone()
	header.Del("Date")
	text, err := httputil.DumpResponse(&http.Response{
		StatusCode: r.status, ProtoMajor: 1, ProtoMinor: 1, Header: header, ContentLength: -1,
	}, false)
	require.NoError(t, err)
	return string(text) + r.body
}

// Whoever guesses sees the same of every user and of nobody: each byte of each answer,
// also of the limiter's, and the work.
//
// ASVS: 6.3.8.
// Advisory: authboss 2.4.1, CVE-2026-23511.
func TestRefusalsTellNothing(t *testing.T) {
	w := onMemory(t, cost(5))
	w.withHash(t, "wrong@example.com", hashOf(t, password, 5))
	w.withHash(t, "older@example.com", hashOf(t, password, 4))
	w.withHash(t, "none@example.com", "")
	w.withHash(t, "malformed@example.com", "no hash at all")
	disabled := w.withHash(t, "disabled@example.com", hashOf(t, password, 5))
	require.NoError(t, w.DisableUser(t.Context(), disabled))
	users := []string{"nobody", "wrong", "older", "none", "malformed", "disabled"}
	cases := map[string]struct {
		password string
		remote   func(user, try int) string
	}{
		"an account's": {wrongPassword, func(user, try int) string { return fmt.Sprintf("192.0.2.%d:1", user*20+try) }},
		"an IP's":      {wrongPassword, func(user, _ int) string { return fmt.Sprintf("198.51.100.%d:1", user) }},
		"a long one":   {strings.Repeat("q", 1024), func(user, try int) string { return fmt.Sprintf("192.0.2.%d:1", user*20+try) }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w.advance(24 * time.Hour)
			seen := func(i int) (told string) {
				work := 0
				w.OnHash(func(cost int) { work += 1 << cost })
				defer w.OnHash(nil)
				for try := range accountTries + 3 {
					got := loginAt(t, w.Authenticator, users[i]+"@example.com", c.password, c.remote(i, try))
					told += got.dump(t)
				}
				return fmt.Sprintf("%s\nwork: %d", told, work)
			}
			nobody := seen(0)
			assert.Equal(t, accountTries, strings.Count(nobody, "HTTP/1.1 401"))
			assert.Equal(t, 3, strings.Count(nobody, "HTTP/1.1 429"))
			assert.Contains(t, nobody, "Retry-After: 60\r\n")
			assert.Contains(t, nobody, fmt.Sprintf("work: %d", accountTries<<5))
			for i, user := range users[1:] {
				assert.Equal(t, nobody, seen(i+1), user)
			}
		})
	}
}

// A limit's answer is a 429 whose Retry-After are whole seconds, rounded up, after which
// one more is let through.
func TestRetryAfterIsTrue(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, ann)
	const remote = theIP + ":1"
	for range accountTries {
		require.Equal(t, http.StatusUnauthorized, loginAt(t, w.Authenticator, ann, wrongPassword, remote).status)
		w.advance(100 * time.Millisecond)
	}
	got := loginAt(t, w.Authenticator, ann, password, remote)
	require.Equal(t, 60*time.Second, retryAfter(t, got), "59.5 s")
	assert.Equal(t, `{"status":429,"code":"rate_limited","message":"Too many requests"}`, got.body)
	assert.Equal(t, http.StatusTooManyRequests, got.status)

	err := guess(t, w.Authenticator, ann, from(theIP))
	assert.Equal(t, 59500*time.Millisecond, waitOf(t, err))
	w.advance(59500*time.Millisecond - 1)
	assert.Equal(t, time.Second, retryAfter(t, loginAt(t, w.Authenticator, ann, password, remote)), "a nanosecond")
	w.advance(1)
	require.ErrorIs(t, guess(t, w.Authenticator, ann, from(theIP)), auth.ErrInvalidCredentials)
	wait := retryAfter(t, loginAt(t, w.Authenticator, ann, password, remote))
	w.advance(wait - time.Second)
	assert.Equal(t, http.StatusTooManyRequests, loginAt(t, w.Authenticator, ann, password, remote).status)
	w.advance(time.Second)
	assert.Equal(t, http.StatusOK, loginAt(t, w.Authenticator, ann, password, remote).status)
}

// Where two budgets are over, the longer wait is the answer: after the other one a try
// would be refused once more.
func TestRetryAfterOfTwoLimits(t *testing.T) {
	w := onMemory(t)
	l := w.recordLimits(t)
	require.Equal(t, accountTries, left(t, w.Authenticator, ann, from(theIP)))
	l.drain(t, ipTries, ipTries-accountTries)
	assert.Equal(t, ipEvery, waitOf(t, guess(t, w.Authenticator, bob, from(theIP))))
	assert.Equal(t, accountEvery, waitOf(t, guess(t, w.Authenticator, ann, from(theIP))))
	w.advance(accountEvery)
	require.ErrorIs(t, guess(t, w.Authenticator, ann, from(theIP)), auth.ErrInvalidCredentials)
}

// A refusal by one budget costs the others nothing.
func TestRefusedTriesCostNothing(t *testing.T) {
	w := onMemory(t)
	l := w.recordLimits(t)
	require.Equal(t, accountTries, left(t, w.Authenticator, ann, from(theIP)))
	for range 2 * ipTries {
		waitOf(t, guess(t, w.Authenticator, ann, from(theIP)))
	}
	l.drain(t, ipTries, ipTries-accountTries)
	for range 2 * accountTries {
		waitOf(t, guess(t, w.Authenticator, bob, from(theIP)))
	}
	w.advance(accountEvery)
	assert.Equal(t, accountTries, left(t, w.Authenticator, bob, from(theIP)))
	assert.Equal(t, 1, left(t, w.Authenticator, ann, from(theIP)), "nor did they put the end off")
}

// What is refused for a limit asks the store for nothing, and hashes nothing.
func TestLimitsComeBeforeTheStore(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, ann)
	a, s := w.scripted(t)
	n := countHashes(a)
	require.Equal(t, accountTries, left(t, a, ann, auth.Client{}))
	require.Equal(t, accountTries, left(t, a, bob, auth.Client{}))
	n.Store(0)
	s.reset()
	for _, address := range []string{ann, bob} {
		for _, typed := range []string{password, wrongPassword} {
			_, err := a.Login(t.Context(), auth.LoginInput{Email: address, Password: typed})
			waitOf(t, err)
		}
	}
	assert.Empty(t, s.calls())
	assert.Zero(t, n.Load())
}

// A request that is refused for its form costs nothing, and is refused for it although the
// client is at its limit.
func TestBodiesComeBeforeLimits(t *testing.T) {
	w := onMemory(t)
	bad := func(want int) {
		for _, b := range []struct {
			body, contentType string
			status            int
		}{
			{`{"email":"ann@example.com","email":"x"}`, jsonType, http.StatusBadRequest},
			{`{"email":"ann@example.com","Device_Token":"x"}`, jsonType, http.StatusBadRequest},
			{object(t, "email", ann, "password", wrongPassword), "text/plain", http.StatusUnsupportedMediaType},
			{object(t, "email", ann, "password", ""), jsonType, http.StatusUnprocessableEntity},
			{object(t, "email", "ann", "password", wrongPassword), jsonType, http.StatusUnprocessableEntity},
			{object(t, "email", ann, "password", strings.Repeat("x", 1025)), jsonType, http.StatusUnprocessableEntity},
			{object(t, "email", ann, "password", strings.Repeat("x", 17<<10)), jsonType, http.StatusRequestEntityTooLarge},
		} {
			got := direct(t, w.Handler(""), newRequest(t, http.MethodPost, "/login", b.body, "Content-Type", b.contentType))
			assert.Equal(t, b.status, got.status, got.body)
		}
		assert.Equal(t, want, left(t, w.Authenticator, ann, from(theIP)))
	}
	for range 2 * accountTries {
		direct(t, w.Handler(""), newRequest(t, http.MethodPost, "/login", object(t, "email", ann, "password", "")))
	}
	bad(accountTries)
	bad(0)
}

// A call without a client has no IP's budget. A request always has one, also where nobody
// knows where it came from.
//
// Advisory: better-auth #9990.
func TestClientsThatAreNotKnown(t *testing.T) {
	zero := func(c *auth.Config) { c.ClientIP = nowhereToBeFound }
	for name, c := range map[string]struct {
		edit   []func(*auth.Config)
		remote string
	}{
		"a Unix socket": {nil, "@"},
		"ClientIP":      {[]func(*auth.Config){zero}, theIP + ":1"},
	} {
		t.Run(name, func(t *testing.T) {
			w := onMemory(t)
			l := w.recordLimits(t, c.edit...)
			require.Equal(t, http.StatusUnauthorized, loginAt(t, w.Authenticator, stranger(0), wrongPassword, c.remote).status)
			l.drain(t, ipTries, ipTries-1)
			assert.Equal(t, http.StatusTooManyRequests, loginAt(t, w.Authenticator, ann, wrongPassword, c.remote).status)
			require.ErrorIs(t, guess(t, w.Authenticator, bob, from(theIP)), auth.ErrInvalidCredentials, "not the peer's")
			before := len(l.takes())
			require.ErrorIs(t, guess(t, w.Authenticator, stranger(1), auth.Client{}), auth.ErrInvalidCredentials)
			for _, take := range l.takes()[before:] {
				assert.Equal(t, accountTries, take.bucket.Size)
			}
		})
	}
}

// Without limits there are none.
func TestNoLimits(t *testing.T) {
	w := onMemory(t, noLimits)
	n := countHashes(w.Authenticator)
	for range ipTries + 1 {
		require.ErrorIs(t, guess(t, w.Authenticator, ann, from(theIP)), auth.ErrInvalidCredentials)
	}
	assert.EqualValues(t, ipTries+1, n.Load())
	w.OnHash(nil)
	for i := range signupTries + 1 {
		require.NoError(t, signUpFrom(t, w.Authenticator, w.address(i), theIP))
	}
	for range takenTries + 1 {
		require.ErrorIs(t, signUpFrom(t, w.Authenticator, w.address(0), theIP), auth.ErrEmailTaken)
	}
	l := w.recordLimits(t, noLimits)
	require.ErrorIs(t, guess(t, w.Authenticator, ann, from(theIP)), auth.ErrInvalidCredentials)
	assert.Empty(t, l.takes())
}

// Where the limiter's store is down nobody logs in, and nobody learns whether they could.
// What was taken is given back.
//
// ASVS: 16.5.2.
func TestLimiterDown(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, ann)
	l := w.recordLimits(t)
	a := w.Authenticator
	tokens, err := a.Login(t.Context(), auth.LoginInput{Email: ann, Password: password})
	require.NoError(t, err)
	claims := w.claims(t, tokens)
	l.down.Store(true)
	n := countHashes(a)
	unavailable := ""
	for _, typed := range []string{password, wrongPassword} {
		for _, address := range []string{ann, bob} {
			for _, device := range []string{"", tokens.DeviceToken} {
				for range accountTries {
					_, err := a.Login(t.Context(), auth.LoginInput{Email: address, Password: typed, DeviceToken: device, Client: from(theIP)})
					require.ErrorIs(t, err, auth.ErrUnavailable)
					require.NotErrorIs(t, err, auth.ErrInvalidCredentials)
				}
				got := loginAt(t, a, address, typed, theIP+":1")
				require.Equal(t, http.StatusServiceUnavailable, got.status)
				if unavailable == "" {
					unavailable = got.dump(t)
				}
				assert.Equal(t, unavailable, got.dump(t))
			}
		}
		_, err := a.Reauthenticate(t.Context(), claims, auth.ReauthInput{Password: typed})
		require.ErrorIs(t, err, auth.ErrUnavailable)
	}
	assert.Zero(t, n.Load())
	for key, n := range l.balance() {
		assert.Zero(t, n, key)
	}

	_, err = a.Signup(t.Context(), auth.SignupInput{Name: "Bob Lee", Email: bob, Password: password, Client: from(theIP)})
	require.NoError(t, err)
	for i := range math.MaxInt { // by the count in memory
		_, err = a.Signup(t.Context(), auth.SignupInput{Name: "Bob Lee", Email: w.address(i), Password: password, Client: from(theIP)})
		if err != nil {
			assert.Equal(t, signupTries-1, i)
			break
		}
	}
	waitOf(t, err)
	_, err = a.Refresh(t.Context(), tokens.RefreshToken, from(theIP))
	require.NoError(t, err)
	assert.Contains(t, w.log.String(), "the limiter's database is down")
}

// A limit that is reached is told, with its name, and without what was typed.
//
// ASVS: 16.3.3.
func TestLimitedEvent(t *testing.T) {
	var r recorder
	w := onMemory(t)
	l := w.recordLimits(t, r.on)
	device := func() string {
		w.signUp(t, ann)
		return w.logIn(t, ann).DeviceToken
	}()
	require.Equal(t, accountTries, left(t, w.Authenticator, ann, from(theIP)))
	r.take()
	for range deviceTries { // a device at its limit is no event of its own: it may still try
		_, err := w.Login(t.Context(), auth.LoginInput{Email: ann, Password: wrongPassword, DeviceToken: device, Client: from(theIP)})
		require.ErrorIs(t, err, auth.ErrInvalidCredentials)
	}
	r.take()
	limited := func(reason, ip string) {
		t.Helper()
		assert.Equal(t, []auth.Event{{
			Kind: auth.EventLimited, Time: w.clock.Now().UTC(), Client: from(ip), Reason: reason,
		}}, r.take())
	}
	_, err := w.Login(t.Context(), auth.LoginInput{Email: ann, Password: wrongPassword, DeviceToken: device, Client: from(theIP)})
	waitOf(t, err)
	limited("login_account", theIP)
	l.drain(t, ipTries, ipTries-accountTries)
	r.take()
	waitOf(t, guess(t, w.Authenticator, bob, from("::ffff:"+theIP)))
	limited("login_ip", theIP)
	got := loginAt(t, w.another(t, r.on), bob, wrongPassword, "@")
	require.Equal(t, http.StatusUnauthorized, got.status)
	for _, e := range r.take() {
		assert.Equal(t, auth.Client{}, e.Client, "an address that is not known")
	}
	assertNoSecrets(t, w.log.String(), []string{password, wrongPassword, device, "login_account:", "nobody1@"})
}

// nowhereToBeFound is a Config.ClientIP that knows nobody's.
func nowhereToBeFound(*http.Request) (none netip.Addr) { return none }

// All ways that take a password take it from one budget.
//
// ASVS: 6.3.4.
// Advisory: CVE-2024-32868.
func TestReauthSharesTheBudget(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, ann)
	tokens := w.logIn(t, ann)
	claims := w.claims(t, tokens)
	n := countHashes(w.Authenticator)
	for range 2 {
		_, err := w.Reauthenticate(t.Context(), claims, auth.ReauthInput{Password: wrongPassword, Client: from(theIP)})
		require.ErrorIs(t, err, auth.ErrInvalidCredentials)
	}
	assert.Equal(t, accountTries-2, left(t, w.Authenticator, ann, from(theIP)))
	for _, typed := range []string{password, wrongPassword} {
		_, err := w.Reauthenticate(t.Context(), claims, auth.ReauthInput{Password: typed, Client: from(theIP)})
		waitOf(t, err)
		got := direct(t, w.Handler(""), newRequest(t, http.MethodPost, "/reauth", object(t, "password", typed), bearer(tokens.AccessToken)...))
		assert.Positive(t, retryAfter(t, got))
	}
	assert.EqualValues(t, accountTries, n.Load())
	_, err := w.Reauthenticate(t.Context(), claims, auth.ReauthInput{Password: password, DeviceToken: tokens.DeviceToken})
	require.NoError(t, err)
	_, err = w.StartSession(t.Context(), claims.UserID, from(theIP))
	require.NoError(t, err, "no password, no limit")
}
