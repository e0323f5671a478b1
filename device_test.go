package auth_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/limit"
)

// tryDevice is a login with a device token.
func tryDevice(t *testing.T, a *auth.Authenticator, address, password, device string, c auth.Client) error {
	t.Helper()
	_, err := a.Login(t.Context(), auth.LoginInput{Email: address, Password: password, DeviceToken: device, Client: c})
	return err
}

// attacked is a world where ann's account and the tests' address are at their limits, and
// a device token of hers.
func attacked(t *testing.T, edit ...func(*auth.Config)) (w *world, device string, l *recordingLimiter) {
	t.Helper()
	w = onMemory(t)
	w.signUp(t, ann)
	l = w.recordLimits(t, edit...)
	device = w.logIn(t, ann).DeviceToken
	require.Equal(t, accountTries, left(t, w.Authenticator, ann, from(theIP)))
	l.drain(t, ipTries, ipTries-accountTries)
	return w, device, l
}

// A device token opens the way where the account and the address are at their limits, from
// wherever it comes, as often as its user likes.
//
// ASVS: 6.3.1.
func TestDeviceToken(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.shareLimits(t)
		w.signUp(t, ann)
		device := w.logIn(t, ann).DeviceToken
		require.LessOrEqual(t, left(t, w.Authenticator, ann, from(theIP)), accountTries)
		waitOf(t, tryDevice(t, w.Authenticator, ann, password, "", from(theIP)))
		for range deviceTries {
			for _, c := range []auth.Client{from(theIP), {UserAgent: "another"}} {
				err := tryDevice(t, w.Authenticator, ann, password, device, c)
				if w.db != nil && err != nil { // the server was too slow
					require.LessOrEqual(t, waitOf(t, err), time.Second)
					continue
				}
				require.NoError(t, err)
			}
		}
		waitOf(t, tryDevice(t, w.Authenticator, ann, password, "", from(theIP)))
	})
}

// It is refused unless it is ours, of a key that still counts, and for this address: such
// an attempt is one without a token. It costs nobody's device anything.
func TestDeviceTokenThatIsNone(t *testing.T) {
	w, device, l := attacked(t)
	w.withHash(t, bob, hashOf(t, password, 4))
	bobs := w.logIn(t, bob).DeviceToken
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	bad := []string{
		"", bobs, device + "A", "A" + device, device + "=", device + "\n", " " + device, device + device, strings.Repeat("A", len(device)), strings.Repeat("\n", len(device)),
		base64.StdEncoding.EncodeToString([]byte(device)), strings.ToUpper(device), device[:40] + "\r\n" + device[40:73], w.logIn(t, bob).RefreshToken,
	}
	for i := range device {
		bad = append(bad, device[:i], device[i+1:], device[:i]+"\n"+device[i+1:], device[:i]+"="+device[i+1:])
		for _, other := range []int{1, 2, 16, 32} {
			at := strings.IndexByte(alphabet, device[i])
			bad = append(bad, device[:i]+alphabet[at^other:at^other+1]+device[i+1:])
		}
	}
	n := countHashes(w.Authenticator)
	before := len(l.takes())
	for _, token := range bad {
		require.NotEqual(t, device, token)
		waitOf(t, tryDevice(t, w.Authenticator, ann, password, token, auth.Client{}))
	}
	assert.Zero(t, n.Load())
	for _, take := range l.takes()[before:] {
		assert.Equal(t, taken{take.key, take.bucket, 0}, take)
		assert.NotEqual(t, deviceTries, take.bucket.Size)
	}
	require.NoError(t, tryDevice(t, w.Authenticator, ann, password, device, auth.Client{}))
	require.NoError(t, tryDevice(t, w.Authenticator, " Ann@EXAMPLE.com", password, device, auth.Client{}), "the address in its canonical form")
}

// Each refresh key of the list reads, and the first one mints. No other does.
func TestDeviceTokenKeys(t *testing.T) {
	w, device, _ := attacked(t)
	keys := func(secrets ...string) *auth.Authenticator {
		return w.another(t, func(c *auth.Config) { c.Tokens.RefreshKeys = ring(secrets...) })
	}
	rotated := keys(newSecret, refreshSecret)
	tokens, err := rotated.Login(t.Context(), auth.LoginInput{Email: ann, Password: password, DeviceToken: device})
	require.NoError(t, err)
	require.NoError(t, tryDevice(t, keys(newSecret), ann, password, tokens.DeviceToken, auth.Client{}))
	waitOf(t, tryDevice(t, keys(newSecret), ann, password, device, auth.Client{}))
	waitOf(t, tryDevice(t, keys(refreshSecret), ann, password, tokens.DeviceToken, auth.Client{}))
	byAccess := w.another(t, func(c *auth.Config) {
		c.Tokens.AccessKeys, c.Tokens.RefreshKeys = ring(refreshSecret), ring(newSecret)
	})
	waitOf(t, tryDevice(t, byAccess, ann, password, device, auth.Client{}))
}

// A device has 10 failures of its own, of which one comes back every six minutes, and is
// then one that nobody knows: the account's and the address's budgets are whole.
//
// ASVS: 6.3.1.
func TestDeviceBudget(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, ann)
	first, second := w.logIn(t, ann).DeviceToken, w.logIn(t, ann).DeviceToken
	require.NotEqual(t, first, second)
	n := countHashes(w.Authenticator)
	for range deviceTries {
		require.ErrorIs(t, tryDevice(t, w.Authenticator, ann, wrongPassword, first, from(theIP)), auth.ErrInvalidCredentials)
		require.NoError(t, tryDevice(t, w.Authenticator, ann, password, second, from(theIP)), "success costs nothing")
	}
	n.Store(0)
	for range accountTries {
		require.ErrorIs(t, tryDevice(t, w.Authenticator, ann, wrongPassword, first, from(theIP)), auth.ErrInvalidCredentials)
	}
	assert.Equal(t, accountEvery, waitOf(t, tryDevice(t, w.Authenticator, ann, password, first, from(theIP))))
	assert.EqualValues(t, accountTries, n.Load())
	require.NoError(t, tryDevice(t, w.Authenticator, ann, password, second, from(theIP)))
	w.advance(deviceEvery)
	assert.Equal(t, accountTries, left(t, w.Authenticator, ann, from(theIP)))
	require.ErrorIs(t, tryDevice(t, w.Authenticator, ann, wrongPassword, first, from(theIP)), auth.ErrInvalidCredentials)
	waitOf(t, tryDevice(t, w.Authenticator, ann, wrongPassword, first, from(theIP)))
}

// Where the device and the account are at their limits, the one that ends first counts.
func TestRetryAfterOfADevice(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, ann)
	device := w.logIn(t, ann).DeviceToken
	for range deviceTries {
		require.ErrorIs(t, tryDevice(t, w.Authenticator, ann, wrongPassword, device, auth.Client{}), auth.ErrInvalidCredentials)
	}
	w.advance(deviceEvery - 10*time.Second)
	require.Equal(t, accountTries, left(t, w.Authenticator, ann, auth.Client{}))
	assert.Equal(t, 10*time.Second, waitOf(t, tryDevice(t, w.Authenticator, ann, password, device, auth.Client{})))
	w.advance(10 * time.Second)
	require.NoError(t, tryDevice(t, w.Authenticator, ann, password, device, auth.Client{}))
}

// Of 200 guesses at once with one device token 10 are hashed, and then those of the account.
//
// ASVS: 6.3.1.
func TestParallelGuessesOfOneDevice(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, ann)
	device := w.logIn(t, ann).DeviceToken
	n := countHashes(w.Authenticator)
	storm(200, func(int) {
		if err := tryDevice(t, w.Authenticator, ann, wrongPassword, device, from(theIP)); !errors.Is(err, auth.ErrInvalidCredentials) {
			waitOf(t, err)
		}
	})
	assert.EqualValues(t, deviceTries+accountTries, n.Load())
}

// A device token ends with the password and with the user. An attempt with one goes on as
// one without, and its failures count against the device too.
//
// ASVS: 6.3.1.
func TestStaleDeviceToken(t *testing.T) {
	const newPassword = "a password of later"
	for name, end := range map[string]func(t *testing.T, w *world, id auth.UserID){
		"the password changed": func(t *testing.T, w *world, id auth.UserID) {
			t.Helper()
			require.NoError(t, w.stores.Accounts.SetPassword(t.Context(), id, hashOf(t, newPassword, 4)))
		},
		"another user has the address": func(t *testing.T, w *world, id auth.UserID) {
			t.Helper()
			w.deleteUser(t, id)
			w.withHash(t, ann, hashOf(t, newPassword, 4))
		},
		"nobody has the address": func(t *testing.T, w *world, id auth.UserID) {
			t.Helper()
			w.deleteUser(t, id)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := onMemory(t)
			id := w.signUp(t, ann)
			device := w.logIn(t, ann).DeviceToken
			end(t, w, id)
			l := w.recordLimits(t)
			n := countHashes(w.Authenticator)
			_, err := w.stores.Users.UserByEmail(t.Context(), ann)
			if exists := err == nil; exists {
				require.NoError(t, tryDevice(t, w.Authenticator, ann, newPassword, device, from(theIP)))
				n.Store(0)
			}
			for _, balance := range l.balance() {
				assert.Zero(t, balance)
			}
			for range 2 {
				require.ErrorIs(t, tryDevice(t, w.Authenticator, ann, wrongPassword, device, from(theIP)), auth.ErrInvalidCredentials)
			}
			assert.Len(t, l.balance(), 3, "the device's, the account's and the address's")
			for key, balance := range l.balance() {
				assert.Equal(t, 2, balance, key)
			}
			assert.Equal(t, accountTries-2, left(t, w.Authenticator, ann, from(theIP)))
			for _, typed := range []string{password, newPassword, wrongPassword} {
				waitOf(t, tryDevice(t, w.Authenticator, ann, typed, device, from(theIP)))
			}
			assert.EqualValues(t, accountTries, n.Load())
			for _, take := range l.takes() {
				if take.bucket.Size == deviceTries {
					assert.Equal(t, 2, l.balance()[take.key], "a refusal costs it nothing")
				}
			}
		})
	}
}

// A login alone gives one, and nothing of it opens anything.
//
// ASVS: 9.2.2, 11.5.1.
func TestDeviceTokenIsGivenAtLogin(t *testing.T) {
	w := onMemory(t)
	id := w.signUp(t, ann)
	h := w.Handler("")
	field := func(r reply) string {
		require.Equal(t, http.StatusOK, r.status, r.body)
		return decodeJSON[struct {
			Device string `json:"device_token"`
		}](t, r.body).Device
	}
	login := direct(t, h, newRequest(t, http.MethodPost, "/login", loginBody(t, ann)))
	device, tokens := field(login), login.tokens(t)
	require.Len(t, device, 75)
	assertNoCookies(t, login)
	again := direct(t, h, newRequest(t, http.MethodPost, "/login", object(t, "email", ann, "password", password, "device_token", device)))
	assert.NotEqual(t, device, field(again))
	refreshed := direct(t, h, newRequest(t, http.MethodPost, "/refresh", "", bearer(tokens.RefreshToken)...))
	assert.NotContains(t, refreshed.body, "device_token")
	tokens = refreshed.tokens(t)
	proven := direct(t, h, newRequest(t, http.MethodPost, "/reauth", object(t, "password", password, "device_token", device), bearer(tokens.AccessToken)...))
	assert.Equal(t, http.StatusOK, proven.status)
	assert.NotContains(t, proven.body, "device_token")
	started, err := w.StartSession(t.Context(), id, auth.Client{})
	require.NoError(t, err)
	assert.Empty(t, started.DeviceToken)

	old := direct(t, w.another(t, tutorialMode).Handler(""), newRequest(t, http.MethodPost, "/login", loginBody(t, ann)))
	assert.NotContains(t, old.body, "device")

	for _, route := range w.Routes("") {
		if route.Path == "/signup" || route.Path == "/login" || route.Path == "/jwks.json" {
			continue
		}
		for _, body := range []string{"", object(t, "refresh_token", device)} {
			got := direct(t, h, newRequest(t, route.Method, strings.ReplaceAll(route.Path, "{id}", started.SessionID.String()), body, bearer(device)...))
			assert.Equal(t, http.StatusUnauthorized, got.status, "%s %s", route.Method, route.Path)
		}
	}
	_, err = w.Verify(device)
	require.ErrorIs(t, err, auth.ErrInvalidToken)
	_, err = w.Refresh(t.Context(), device, auth.Client{})
	require.ErrorIs(t, err, auth.ErrInvalidToken)
	got := direct(t, h, newRequest(t, http.MethodPost, "/login", object(t, "email", ann, "device_token", device)))
	assert.Equal(t, http.StatusUnprocessableEntity, got.status, "it is no password")
}

// Over HTTP it comes in the body of login and reauthentication, in cookie mode also in a
// cookie.
func TestDeviceTokenOverHTTP(t *testing.T) {
	for name, c := range map[string]struct {
		edit    []func(*auth.Config)
		body    []string // beside email and password
		headers func(device string) []string
		works   bool
	}{
		"body":                        {body: []string{"device_token"}, works: true},
		"no cookie mode":              {headers: func(d string) []string { return []string{"Cookie", deviceCookie + "=" + d} }},
		"body in cookie mode":         {edit: []func(*auth.Config){withCookies}, body: []string{"device_token"}, works: true},
		"cookie":                      {edit: []func(*auth.Config){withCookies}, headers: func(d string) []string { return []string{"Cookie", deviceCookie + "=" + d} }, works: true},
		"cookie without its prefix":   {edit: []func(*auth.Config){withCookies}, headers: func(d string) []string { return []string{"Cookie", "auth-device=" + d} }},
		"cookie of another name":      {edit: []func(*auth.Config){withCookies}, headers: func(d string) []string { return []string{"Cookie", refreshCookie + "=" + d} }},
		"cookie empty":                {edit: []func(*auth.Config){withCookies}, headers: func(string) []string { return []string{"Cookie", deviceCookie + "="} }},
		"body, and a cookie of bob's": {edit: []func(*auth.Config){withCookies}, body: []string{"device_token"}, headers: func(string) []string { return []string{"Cookie", deviceCookie + "=x"} }, works: true},
	} {
		t.Run(name, func(t *testing.T) {
			w, device, _ := attacked(t, c.edit...)
			session, err := w.StartSession(t.Context(), "1", auth.Client{})
			require.NoError(t, err)
			send := func(path string, members []string, headers ...string) int {
				for _, name := range c.body {
					members = append(members, name, device)
				}
				headers = append(headers, "Sec-Fetch-Site", "same-origin")
				if c.headers != nil {
					headers = append(headers, c.headers(device)...)
				}
				return direct(t, w.Handler(""), newRequest(t, http.MethodPost, ownOrigin+path, object(t, members...), headers...)).status
			}
			want := http.StatusTooManyRequests
			if c.works {
				want = http.StatusOK
			}
			assert.Equal(t, want, send("/login", []string{"email", ann, "password", password}))
			assert.Equal(t, want, send("/reauth", []string{"password", password}, bearer(session.AccessToken)...))
		})
	}
}

// In cookie mode a browser keeps it for 400 days, beyond its logouts, and no script sees it.
//
// ASVS: 3.3.4.
func TestDeviceCookie(t *testing.T) {
	w := onMemory(t, withCookies)
	w.signUp(t, ann)
	b := &tab{w.Handler(""), ownOrigin, map[string]string{}}
	assertLoginCookies(t, b.do(t, "POST", "/login", loginBody(t, ann)), 24*time.Hour)
	first := b.cookies[deviceCookie]
	assertCookies(t, b.do(t, "POST", "/refresh", ""), 20*time.Minute, 24*time.Hour)
	assertCookies(t, b.do(t, "POST", "/reauth", object(t, "password", password)), 20*time.Minute, 24*time.Hour)
	assertCleared(t, b.do(t, "POST", "/logout", ""))
	assert.Equal(t, map[string]string{deviceCookie: first}, b.cookies)
	require.Equal(t, accountTries, left(t, w.Authenticator, ann, auth.Client{}))
	assertLoginCookies(t, b.do(t, "POST", "/login", loginBody(t, ann)), 24*time.Hour)
	assert.NotEqual(t, first, b.cookies[deviceCookie])

	got := direct(t, w.Handler(""), newRequest(t, http.MethodPost, ownOrigin+"/login", loginBody(t, ann),
		"Sec-Fetch-Site", "same-origin", "Cookie", deviceCookie+"="+first+"; "+deviceCookie+"="+first))
	assert.Equal(t, http.StatusBadRequest, got.status)
	assert.Equal(t, "duplicate_cookie", got.message(t).Code)
	got = direct(t, w.Handler(""), newRequest(t, http.MethodGet, ownOrigin+"/profile", "", "Cookie", accessCookie+"="+first))
	assert.Equal(t, http.StatusUnauthorized, got.status)
}

// overLimiter is a limit.Limiter whose budgets are all over. It notes the sizes of those
// that it was asked for.
type overLimiter struct{ asked []int }

func (l *overLimiter) Take(_ context.Context, _ string, b limit.Bucket, _ int) (time.Duration, error) {
	l.asked = append(l.asked, b.Size)
	return time.Minute, nil
}

// Whatever is given for a device token: what counts as one is written in the one form that
// they have, for one address, and is none with any bit of it changed.
func FuzzDeviceToken(f *testing.F) {
	c, log := &clock{frozen: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}, &safeBuffer{}
	stores := memStores()
	free, err := auth.New(stores, config(c, log))
	require.NoError(f, err)
	_, err = free.Signup(f.Context(), auth.SignupInput{Name: "Ann Lee", Email: ann, Password: password})
	require.NoError(f, err)
	tokens, err := free.Login(f.Context(), auth.LoginInput{Email: ann, Password: password})
	require.NoError(f, err)
	var over overLimiter
	stores.Limiter = &over
	a, err := auth.New(stores, config(c, log))
	require.NoError(f, err)
	counts := func(t *testing.T, address, text string) bool {
		t.Helper()
		over.asked = nil
		waitOf(t, tryDevice(t, a, address, password, text, auth.Client{}))
		return slices.Contains(over.asked, deviceTries)
	}
	for _, text := range []string{tokens.DeviceToken, tokens.DeviceToken[:74] + "\n", "", strings.Repeat("A", 75), strings.Repeat("\n", 75), strings.Repeat("_", 300), "\xff"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !counts(t, ann, text) {
			return
		}
		assert.False(t, counts(t, bob, text))
		raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
		require.NoError(t, err)
		require.Equal(t, text, base64.RawURLEncoding.EncodeToString(raw))
		for bit := range len(raw) * 8 {
			raw[bit/8] ^= 1 << (bit % 8)
			assert.False(t, counts(t, ann, base64.RawURLEncoding.EncodeToString(raw)), "bit %d", bit)
			raw[bit/8] ^= 1 << (bit % 8)
		}
	})
}
