package auth_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// What the gate before the hashing has, of which one is let in at once in these tests.
const (
	gatePlaces   = 128
	gateShare    = gatePlaces / 4
	gateKept     = 4
	gatePatience = 10 * time.Second
)

func oneAtATime(c *auth.Config) { c.HashConcurrency = 1 }

// jam is a world whose hashing stands still until the test lets one after another go on.
type jam struct {
	*world
	limits  *recordingLimiter
	store   *script
	next    chan struct{}
	hashing atomic.Int64 // runs that have begun
	logins  int          // that were sent
}

// newJam has to be called in a bubble, whose time is virtual. At its end all go on.
func newJam(t *testing.T, edit ...func(*auth.Config)) *jam {
	t.Helper()
	j := &jam{world: onMemory(t), next: make(chan struct{})}
	j.signUp(t, ann)
	j.limits = j.recordLimits(t)
	j.Authenticator, j.store = j.scripted(t, append(edit, oneAtATime)...)
	t.Cleanup(func() { close(j.next) })
	return j
}

// begin has every run of bcrypt wait from here on.
func (j *jam) begin() {
	j.OnHash(func(int) {
		j.hashing.Add(1)
		<-j.next
	})
}

// send is a login that is under way, and whose result comes when it has one. It fails,
// save for ann, whose password is right.
func (j *jam) send(ctx context.Context, t *testing.T, address, device string, c auth.Client) chan error {
	t.Helper()
	j.logins++
	if address == "" {
		address = stranger(j.logins)
	}
	done := make(chan error, 1)
	go func() {
		_, err := j.Login(ctx, auth.LoginInput{Email: address, Password: password, DeviceToken: device, Client: c})
		done <- err
	}()
	synctest.Wait()
	return done
}

// waits says that a login has no result yet.
func waits(t *testing.T, done chan error) {
	t.Helper()
	select {
	case err := <-done:
		require.Fail(t, "it is done", "%v", err)
	default:
	}
}

// isBusy says that a login was refused since there was no place.
func isBusy(t *testing.T, done chan error) {
	t.Helper()
	select {
	case err := <-done:
		require.ErrorIs(t, err, auth.ErrUnavailable)
	default:
		require.Fail(t, "it waits")
	}
}

// fill takes all places that are not kept for devices.
func (j *jam) fill(t *testing.T) {
	t.Helper()
	waits(t, j.send(t.Context(), t, "", "", from("198.51.100.99")))
	for i := range gatePlaces - gateKept {
		waits(t, j.send(t.Context(), t, "", "", from(fmt.Sprintf("198.51.100.%d", i/(gateShare-1)))))
	}
	require.EqualValues(t, 1, j.hashing.Load())
}

// A full queue is a 503, for everybody alike and before any look at the user, and costs no
// budget. Devices that are known have four places more.
//
// ASVS: 2.4.1, 15.2.2.
func TestGateIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJam(t)
		var devices []string
		for range gateKept + 1 {
			devices = append(devices, j.logIn(t, ann).DeviceToken)
		}
		j.begin()
		j.fill(t)
		before := len(j.limits.takes())
		j.store.reset()
		var told string
		for _, address := range []string{ann, bob} {
			got := loginAt(t, j.Authenticator, address, password, theIP+":1")
			assert.Equal(t, http.StatusServiceUnavailable, got.status)
			assert.Equal(t, message{Code: "unavailable", Message: "Service Unavailable"}, got.message(t))
			if told == "" {
				told = got.dump(t)
			}
			assert.Equal(t, told, got.dump(t))
		}
		isBusy(t, j.send(t.Context(), t, "", "", from("2001:db8::1")))
		isBusy(t, j.send(t.Context(), t, "", "", auth.Client{}))
		var known []chan error
		for _, device := range devices[:gateKept] {
			known = append(known, j.send(t.Context(), t, ann, device, from("198.51.100.0"))) // whose share is all but full
		}
		for _, done := range known {
			waits(t, done)
		}
		isBusy(t, j.send(t.Context(), t, ann, devices[gateKept], from(theIP)))
		assert.Empty(t, j.store.calls())
		assert.EqualValues(t, 1, j.hashing.Load(), "none of those that are hashed is kept")
		kept := 0
		for _, n := range balanceOf(j.limits.takes()[before:]) {
			kept += n
		}
		assert.Equal(t, gateKept, kept, "those of the devices that wait")
	})
}

// One client has a quarter of the queue at most: an IPv4 address, an IPv6 /64, or all
// calls whose client is not known.
//
// ASVS: 15.4.4.
func TestGateIsFair(t *testing.T) {
	for name, ip := range map[string]func(i int) auth.Client{
		"IPv4": func(i int) auth.Client {
			return from([]string{theIP, "::ffff:" + theIP}[i%2])
		},
		"IPv6": func(i int) auth.Client { return from(fmt.Sprintf("2001:db8::%x:1", i)) },
		"none": func(int) auth.Client { return auth.Client{} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := newJam(t)
				j.begin()
				for i := range gateShare + 1 { // one is hashed
					waits(t, j.send(t.Context(), t, "", "", ip(i)))
				}
				isBusy(t, j.send(t.Context(), t, "", "", ip(gateShare+1)))
				other := j.send(t.Context(), t, "", "", from("2001:db8:0:1::1"))
				waits(t, other)
				for range 3 { // each has its turn: it need not wait for all of them
					j.next <- struct{}{}
					synctest.Wait()
				}
				require.ErrorIs(t, <-other, auth.ErrInvalidCredentials)
			})
		})
	}
}

// However many device tokens somebody has for an account of their own, they are one client,
// and not that of the others behind the same address.
func TestGateIsFairToDevices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJam(t)
		var devices []string
		for range gateShare + 1 {
			devices = append(devices, j.logIn(t, ann).DeviceToken)
		}
		j.begin()
		waits(t, j.send(t.Context(), t, "", "", from("2001:db8::1")))
		for i := range gateShare {
			waits(t, j.send(t.Context(), t, ann, devices[i], from(theIP)))
		}
		isBusy(t, j.send(t.Context(), t, ann, devices[gateShare], from(theIP)))
		waits(t, j.send(t.Context(), t, "", "", from(theIP)))
	})
}

// Whoever hangs up makes room at once, and gets back what they paid.
func TestGateAndHangingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJam(t)
		j.begin()
		ctx, cancel := context.WithCancel(t.Context())
		for range gateShare {
			waits(t, j.send(t.Context(), t, "", "", from(theIP)))
		}
		before := len(j.limits.takes())
		hungUp := j.send(ctx, t, ann, "", from(theIP))
		waits(t, hungUp)
		isBusy(t, j.send(t.Context(), t, "", "", from(theIP)))
		cancel()
		synctest.Wait()
		err := <-hungUp
		require.ErrorIs(t, err, auth.ErrUnavailable)
		require.ErrorIs(t, err, context.Canceled)
		for key, n := range balanceOf(j.limits.takes()[before:]) {
			assert.Zero(t, n, key)
		}
		waits(t, j.send(t.Context(), t, "", "", from(theIP)))
	})
}

// Nobody waits for longer than ten seconds.
//
// ASVS: 15.4.3.
func TestGatePatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJam(t)
		j.begin()
		waits(t, j.send(t.Context(), t, "", "", from(theIP)))
		start := time.Now()
		waiting := j.send(t.Context(), t, ann, "", from("2001:db8::1"))
		err := <-waiting
		assert.Equal(t, gatePatience, time.Since(start))
		require.ErrorIs(t, err, auth.ErrUnavailable)
		done := make(chan reply, 1)
		go func() { done <- loginAt(t, j.Authenticator, ann, password, theIP+":1") }()
		got := <-done
		assert.Equal(t, http.StatusServiceUnavailable, got.status)
		assert.Equal(t, 2*gatePatience, time.Since(start))
	})
}

// A sign-up is hashed behind the same gate. Where that is full it stores nothing, and
// what takes no password goes on.
func TestGateAndTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJam(t)
		tokens := j.logIn(t, ann)
		claims := j.claims(t, tokens)
		j.begin()
		j.fill(t)
		for range takenTries + 1 {
			require.ErrorIs(t, signUpFrom(t, j.Authenticator, ann, theIP), auth.ErrUnavailable)
			require.ErrorIs(t, signUpFrom(t, j.Authenticator, bob, theIP), auth.ErrUnavailable)
		}
		got := direct(t, j.Handler(""), newRequest(t, http.MethodPost, "/signup", signupBody(t, bob)))
		assert.Equal(t, http.StatusServiceUnavailable, got.status)
		_, err := j.stores.Users.UserByEmail(t.Context(), bob)
		require.ErrorIs(t, err, auth.ErrUserNotFound)
		_, err = j.Reauthenticate(t.Context(), claims, auth.ReauthInput{Password: password})
		require.ErrorIs(t, err, auth.ErrUnavailable)

		_, err = j.StartSession(t.Context(), claims.UserID, auth.Client{})
		require.NoError(t, err)
		_, err = j.Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
		require.NoError(t, err)
		_, err = j.Profile(t.Context(), claims.UserID)
		require.NoError(t, err)
		require.NoError(t, j.LogoutAll(t.Context(), claims.UserID, auth.SessionID{}))
	})
}

// Of sign-ups, too, no more are hashed at once.
func TestSignupIsHashedInTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJam(t)
		j.begin()
		for i := range 3 {
			go func() {
				assert.NoError(t, signUpFrom(t, j.Authenticator, j.address(i), fmt.Sprintf("198.51.100.%d", i)))
			}()
		}
		for i := range 3 {
			synctest.Wait()
			assert.EqualValues(t, i+1, j.hashing.Load())
			j.next <- struct{}{}
		}
		synctest.Wait()
	})
}

// A login whose hash is due for another one does not wait for it: while others do, it
// leaves it to a later login.
func TestGateAndRehashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJam(t, cost(5))
		old := hashOf(t, password, 4)
		j.withHash(t, bob, old)
		j.begin()
		login := j.send(t.Context(), t, bob, "", from(theIP))
		other := j.send(t.Context(), t, "", "", from(theIP))
		start := time.Now()
		j.next <- struct{}{}
		require.NoError(t, <-login)
		assert.Zero(t, time.Since(start))
		waits(t, other)
		assert.Equal(t, old, j.hashByAddress(t, bob))
		j.next <- struct{}{}
		require.ErrorIs(t, <-other, auth.ErrInvalidCredentials)
		later := j.send(t.Context(), t, bob, "", from(theIP))
		j.next <- struct{}{}
		synctest.Wait()
		waits(t, later)
		j.next <- struct{}{}
		require.NoError(t, <-later)
		assert.True(t, strings.HasPrefix(j.hashByAddress(t, bob), "$2a$05$"))
	})
}

// A panic of a store's or of a hook's is the host's, but it leaves the gate.
func TestGateAfterAPanic(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, ann)
	claims := w.claims(t, w.logIn(t, ann))
	a, s := w.scripted(t, oneAtATime)
	for range 3 {
		s.before = doing(userByEmail, func() { panic("a store's") })
		assert.Panics(t, func() { _ = tryDevice(t, a, ann, password, "", auth.Client{}) })
		s.before = doing(rotateSession, func() { panic("a store's") })
		assert.Panics(t, func() { _, _ = a.Reauthenticate(t.Context(), claims, auth.ReauthInput{Password: password}) })
		s.before = doing(createUser, func() { panic("a store's") })
		assert.Panics(t, func() { _ = signUpFrom(t, a, bob, theIP) })
		s.before = nil
		require.NoError(t, tryDevice(t, a, ann, password, "", auth.Client{}), "nor was anything taken")
	}
}

func TestHashConcurrencyIsChecked(t *testing.T) {
	w := onMemory(t)
	_, err := auth.New(w.stores, config(w.clock, w.log, func(c *auth.Config) { c.HashConcurrency = -1 }))
	require.ErrorContains(t, err, "auth: Config.HashConcurrency")
}
