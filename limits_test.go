package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/mysqltest"
	"github.com/ostiary/auth/limit"
)

// The policies as docs/security.md has them.
const (
	accountTries, accountEvery = 5, time.Minute
	ipTries, ipEvery           = 100, 6 * time.Second
	siteTries                  = 1000
	deviceTries, deviceEvery   = 10, 6 * time.Minute
)

// An address that the tests' clients have unless they are told another.
const theIP = "192.0.2.1"

func from(ip string) auth.Client { return auth.Client{IP: netip.MustParseAddr(ip)} }

// countHashes counts the runs of bcrypt of all these.
func countHashes(authenticators ...*auth.Authenticator) *atomic.Int64 {
	var n atomic.Int64
	for _, a := range authenticators {
		a.OnHash(func(int) { n.Add(1) })
	}
	return &n
}

// guess is a login with a wrong password.
func guess(t *testing.T, a *auth.Authenticator, address string, c auth.Client) error {
	t.Helper()
	tokens, err := a.Login(t.Context(), auth.LoginInput{Email: address, Password: wrongPassword, Client: c})
	assert.Equal(t, auth.Tokens{}, tokens)
	return err
}

// waitOf is how long a call that was refused for a limit is told to wait.
func waitOf(t *testing.T, err error) time.Duration {
	t.Helper()
	limited, ok := errors.AsType[*auth.RateLimitError](err)
	require.True(t, ok, "%v", err)
	return limited.RetryAfter
}

// left is how many guesses a client has left for an address. It uses them up.
func left(t *testing.T, a *auth.Authenticator, address string, c auth.Client) int {
	t.Helper()
	for n := 0; ; n++ {
		err := guess(t, a, address, c)
		if !errors.Is(err, auth.ErrInvalidCredentials) {
			assert.Positive(t, waitOf(t, err))
			return n
		}
		require.LessOrEqual(t, n, siteTries)
	}
}

// storm calls f for 0 to n-1 at once.
func storm(n int, f func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
}

// Of 500 guesses at once, 5 are hashed, whatever their number of addresses.
//
// ASVS: 2.3.2, 2.4.1, 6.3.1.
// Advisory: better-auth #9993.
func TestParallelGuesses(t *testing.T) {
	guessers := map[string]func(t *testing.T, a *auth.Authenticator, i int) (wait time.Duration){
		"direct": func(t *testing.T, a *auth.Authenticator, _ int) time.Duration {
			t.Helper()
			err := guess(t, a, ann, auth.Client{})
			if errors.Is(err, auth.ErrInvalidCredentials) {
				return 0
			}
			return waitOf(t, err)
		},
		"over HTTP": func(t *testing.T, a *auth.Authenticator, i int) time.Duration {
			t.Helper()
			r := newRequest(t, http.MethodPost, "/login", object(t, "email", ann, "password", wrongPassword))
			r.RemoteAddr = fmt.Sprintf("198.51.%d.%d:1234", i/250, i%250)
			got := direct(t, a.Handler(""), r)
			if got.status == http.StatusUnauthorized {
				return 0
			}
			return retryAfter(t, got)
		},
	}
	for name, try := range guessers {
		t.Run(name+", memstore", func(t *testing.T) {
			w := onMemory(t)
			w.signUp(t, ann)
			n := countHashes(w.Authenticator)
			storm(500, func(i int) { try(t, w.Authenticator, i) })
			assert.EqualValues(t, accountTries, n.Load())
		})
		mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
			t.Run(name+", two instances", func(t *testing.T) {
				w := onServer(t, s)
				w.shareLimits(t)
				w.signUp(t, ann)
				instances := []*auth.Authenticator{w.Authenticator, w.another(t)}
				n := countHashes(instances...)
				var busy atomic.Bool // where the server has not answered in time, which a budget may be lost by
				storm(500, func(i int) {
					if wait := try(t, instances[i%2], i); 0 < wait && wait <= time.Second {
						busy.Store(true)
					}
				})
				if t.Failed() {
					t.Log(w.log.String())
				}
				if assert.LessOrEqual(t, n.Load(), int64(accountTries)); !busy.Load() {
					assert.EqualValues(t, accountTries, n.Load())
				}
			})
		})
	}
}

// retryAfter is the header of a 429 in whole seconds.
func retryAfter(t *testing.T, got reply) time.Duration {
	t.Helper()
	require.Equal(t, http.StatusTooManyRequests, got.status, got.body)
	d, err := time.ParseDuration(got.header.Get("Retry-After") + "s")
	require.NoError(t, err)
	return d
}

// The right password among them is another one that may be hashed, and no more of the
// wrong ones are for it.
//
// ASVS: 6.3.1.
func TestParallelGuessesWithTheRightOne(t *testing.T) {
	for round := range 20 {
		w := onMemory(t)
		w.withHash(t, ann, hashOf(t, password, 4))
		n := countHashes(w.Authenticator)
		var wrong, right atomic.Int64
		storm(500, func(i int) {
			in := auth.LoginInput{Email: ann, Password: wrongPassword}
			if i == round*25 {
				in.Password = password
			}
			_, err := w.Login(t.Context(), in)
			switch {
			case errors.Is(err, auth.ErrInvalidCredentials):
				wrong.Add(1)
			case err == nil:
				right.Add(1)
			default:
				waitOf(t, err)
			}
		})
		assert.EqualValues(t, accountTries, wrong.Load())
		assert.Equal(t, wrong.Load()+right.Load(), n.Load())
	}
}

// A botnet that guesses at one account gets no more than the account's budget, while its
// owner gets in at every moment with the device token of an earlier login, also from one
// of the botnet's addresses.
//
// ASVS: 6.3.1.
func TestManyAddressesAgainstOneAccount(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, ann)
	device := w.logIn(t, ann).DeviceToken
	logIn := func(ip string) {
		_, err := w.Login(t.Context(), auth.LoginInput{Email: ann, Password: password, DeviceToken: device, Client: from(ip)})
		assert.NoError(t, err)
	}
	address := func(i int) string { return fmt.Sprintf("203.0.%d.%d", i/250, i%250) }
	var hashed atomic.Int64
	attack := func() {
		var done atomic.Bool
		var owner sync.WaitGroup
		owner.Go(func() {
			for n := 0; !done.Load() || n < 20; n++ {
				logIn(address(n))
				logIn(theIP)
			}
		})
		storm(1000, func(i int) {
			for range 3 {
				if errors.Is(guess(t, w.Authenticator, ann, from(address(i))), auth.ErrInvalidCredentials) {
					hashed.Add(1)
				}
			}
		})
		done.Store(true)
		owner.Wait()
	}
	logIn(theIP)
	attack()
	assert.EqualValues(t, accountTries, hashed.Load())
	w.advance(3 * accountEvery)
	attack()
	assert.EqualValues(t, accountTries+3, hashed.Load())
	logIn(theIP)
	assert.Zero(t, left(t, w.Authenticator, ann, from(theIP)), "an owner without one has to wait")
}

// stranger is an address that nobody has.
func stranger(i int) string { return fmt.Sprintf("nobody%d@example.com", i) }

// All 2^10 addresses are one client: they are in one /64.
//
// ASVS: 2.4.1, 6.3.1.
// Advisory: CVE-2026-45364.
func TestAddressesOfOneNetwork(t *testing.T) {
	w := onMemory(t)
	n := countHashes(w.Authenticator)
	for i := range 1 << 10 {
		_ = guess(t, w.Authenticator, stranger(i), from(fmt.Sprintf("2001:db8:0:1::%x", i)))
	}
	assert.EqualValues(t, ipTries, n.Load())
	require.ErrorIs(t, guess(t, w.Authenticator, ann, from("2001:db8:0:2::1")), auth.ErrInvalidCredentials, "the network beside it")
	w.advance(3 * ipEvery)
	n.Store(0)
	for i := range 10 {
		_ = guess(t, w.Authenticator, stranger(i), from(fmt.Sprintf("2001:db8:0:1:%x::", i)))
	}
	assert.EqualValues(t, 3, n.Load())
}

// A site, which is a /48, has ten times as much as one of its networks, for all of them.
//
// ASVS: 6.3.1.
// Advisory: CVE-2026-45364.
func TestNetworksOfOneSite(t *testing.T) {
	w := onMemory(t)
	l := w.recordLimits(t)
	a := w.Authenticator
	const others = 10
	for i := range others {
		require.ErrorIs(t, guess(t, a, stranger(i), from(fmt.Sprintf("2001:db8:0:%x::1", i))), auth.ErrInvalidCredentials)
	}
	var sites []taken
	for _, take := range l.takes() {
		if take.n == 1 && take.bucket.Size == siteTries {
			sites = append(sites, take)
		}
	}
	require.Len(t, sites, others)
	assert.Equal(t, taken{sites[0].key, limit.Bucket{Size: siteTries, Every: ipEvery / 10}, 1}, sites[0])
	l.drain(t, siteTries, siteTries-others-2)
	for i := range 2 {
		require.ErrorIs(t, guess(t, a, ann, from(fmt.Sprintf("2001:db8:0:ff0%x::1", i))), auth.ErrInvalidCredentials)
	}
	assert.LessOrEqual(t, waitOf(t, guess(t, a, ann, from("2001:db8:0:ff03::1"))), ipEvery/10)
	require.ErrorIs(t, guess(t, a, ann, from("2001:db8:1:ff03::1")), auth.ErrInvalidCredentials, "the site beside it")
}

// IPv4 in IPv6 is IPv4, and neighbors share nothing; a zone is no part of an address.
//
// Advisory: CVE-2026-45364.
func TestMappedAddresses(t *testing.T) {
	w := onMemory(t)
	l := w.recordLimits(t)
	for i, ip := range []string{theIP, "::ffff:" + theIP} {
		require.ErrorIs(t, guess(t, w.Authenticator, stranger(i), from(ip)), auth.ErrInvalidCredentials)
	}
	l.drain(t, ipTries, ipTries-2)
	assert.Equal(t, ipEvery, waitOf(t, guess(t, w.Authenticator, ann, from(theIP))))
	assert.Equal(t, ipEvery, waitOf(t, guess(t, w.Authenticator, ann, from("::ffff:"+theIP))))
	for i, other := range []string{"192.0.2.2", "::ffff:192.0.2.3", "::c000:201", "fe80::1%eth0"} {
		require.ErrorIs(t, guess(t, w.Authenticator, stranger(i), from(other)), auth.ErrInvalidCredentials, other)
	}
}

// An office, or the users of a carrier's NAT: of 1,000 people behind one address 150
// mistype once, and try again when they are told to. All are in within ten minutes.
//
// ASVS: 6.3.1.
func TestOffice(t *testing.T) {
	w := onMemory(t)
	start, hash := w.clock.Now(), hashOf(t, password, 4)
	type person struct {
		address string
		typo    bool
		next    time.Time
	}
	waiting := make([]person, 1000)
	for i := range waiting {
		waiting[i] = person{address: w.address(i), typo: i*7%20 < 3, next: start}
		w.withHash(t, waiting[i].address, hash)
	}
	for len(waiting) > 0 {
		require.LessOrEqual(t, w.clock.Now().Sub(start), 10*time.Minute, "%d wait", len(waiting))
		var again []person
		for _, p := range waiting {
			if p.next.After(w.clock.Now()) {
				again = append(again, p)
				continue
			}
			typed := password
			if p.typo {
				typed = wrongPassword
			}
			_, err := w.Login(t.Context(), auth.LoginInput{Email: p.address, Password: typed, Client: from(theIP)})
			switch {
			case err == nil:
				continue
			case errors.Is(err, auth.ErrInvalidCredentials):
				p.typo = false
				p.next = w.clock.Now().Add(time.Second)
			default:
				p.next = w.clock.Now().Add(waitOf(t, err))
			}
			again = append(again, p)
		}
		waiting = again
		w.advance(time.Second)
	}
}

// All spellings of an address are one account.
//
// ASVS: 6.3.1.
// Advisory: CVE-2025-24806.
func TestAccountKeyIsCanonical(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, ann)
	for _, spelling := range []string{"Ann@example.com", " ann@example.com", "ann@EXAMPLE.com", "ANN@Example.Com\t", "ann@ＥXAMPLE.com"} {
		require.ErrorIs(t, guess(t, w.Authenticator, spelling, auth.Client{}), auth.ErrInvalidCredentials, spelling)
	}
	assert.Equal(t, accountEvery, waitOf(t, guess(t, w.Authenticator, ann, auth.Client{})))
	assert.Equal(t, accountTries, left(t, w.Authenticator, bob, auth.Client{}))
}

// taken is a call of Take.
type taken struct {
	key    string
	bucket limit.Bucket
	n      int
}

// recordingLimiter notes what is taken, and may be down: each takes are then counted in its
// memory and fail, as limit.Limiter says.
type recordingLimiter struct {
	memory *limit.Memory
	down   atomic.Bool

	mu    sync.Mutex
	calls []taken
}

// recordLimits has w's instance, and all later ones, use such a limiter.
func (w *world) recordLimits(t *testing.T, edit ...func(*auth.Config)) *recordingLimiter {
	t.Helper()
	l := &recordingLimiter{memory: limit.NewMemory(w.clock.Now)}
	w.stores.Limiter = l
	w.Authenticator = w.another(t, edit...)
	return l
}

// drain takes n from each budget of that size that was taken from: guesses without hashes.
func (l *recordingLimiter) drain(t *testing.T, size, n int) {
	t.Helper()
	drained := map[string]bool{}
	for _, take := range l.takes() {
		if take.n != 1 || take.bucket.Size != size || drained[take.key] {
			continue
		}
		drained[take.key] = true
		wait, err := l.memory.Take(t.Context(), take.key, take.bucket, n)
		require.NoError(t, err)
		require.Zero(t, wait)
	}
	require.Len(t, drained, 1)
}

// balance is what was taken of each budget and not given back.
func (l *recordingLimiter) balance() map[string]int { return balanceOf(l.takes()) }

func balanceOf(takes []taken) map[string]int {
	balance := map[string]int{}
	for _, take := range takes {
		balance[take.key] += take.n
	}
	return balance
}

func (l *recordingLimiter) Take(ctx context.Context, key string, b limit.Bucket, n int) (time.Duration, error) {
	l.mu.Lock()
	l.calls = append(l.calls, taken{key, b, n})
	l.mu.Unlock()
	wait, err := l.memory.Take(ctx, key, b, n)
	if l.down.Load() && n != 0 && wait == 0 {
		err = errors.New("the limiter's database is down")
	}
	return wait, err
}

func (l *recordingLimiter) takes() []taken {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]taken{}, l.calls...)
}
