package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ostiary/auth/e2e/chaos/model"
	"github.com/ostiary/auth/e2e/client"
)

const password = "correct horse"

// How many sessions a user has at once, with which tabs, and how long a pause is.
const (
	devices   = 2
	tabs      = 4
	pauseMax  = 120 * time.Millisecond
	retryMax  = 100 * time.Millisecond
	parkedFor = 10 * time.Second
)

// user is one user with some devices, each of which has some tabs. Its own goroutine does
// one thing after the other; the tabs of a device refresh at once.
type user struct {
	email   string
	home    int // the instance that it mostly uses
	clients []client.Client
	o       Options
	report  *Report

	mu   sync.Mutex // guards rand, which the tabs use too
	rand *rand.Rand

	addresses []string         // that were signed up
	active    []*model.Session // in use
	aside     []aside          // not in use for a while
	over      []*model.Session // ended, as an answer said
	signedUp  int              // addresses that were tried
}

// aside is a session that is left alone until a time, and then goes on or is robbed.
type aside struct {
	*model.Session

	until time.Time
	rob   bool
}

func newUser(n int, t Target, o Options, r *Report) *user {
	u := &user{
		email: fmt.Sprintf("user%d-%d@example.com", n, o.Seed), home: n % len(t.Instances), o: o, report: r,
		rand: rand.New(rand.NewPCG(o.Seed, uint64(n))), //nolint:gosec // a test's
	}
	transport := &http.Transport{MaxIdleConnsPerHost: tabs, IdleConnTimeout: 30 * time.Second}
	ip := netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}) //nolint:gosec,mnd // each user is at home elsewhere
	for _, url := range t.Instances {
		u.clients = append(u.clients, client.Client{URL: url, HTTP: &http.Client{Transport: transport}, IP: ip})
	}
	return u
}

// chance is true once in n times.
func (u *user) chance(n int) bool { return u.below(n) == 0 }

func (u *user) below(n int) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.rand.IntN(n)
}

func (u *user) upTo(d time.Duration) time.Duration { return time.Duration(u.below(int(d))) }

// client is the home instance mostly, else any.
func (u *user) client() client.Client {
	if u.chance(4) {
		return u.clients[u.below(len(u.clients))]
	}
	return u.clients[u.home]
}

// live does what users do until load ends. What was begun then is finished, unless ctx
// ends too.
func (u *user) live(ctx, load context.Context) {
	for load.Err() == nil {
		switch {
		case len(u.addresses) == 0 || u.chance(100):
			u.signUp(ctx)
		case len(u.active) < devices:
			u.logIn(ctx)
		default:
			u.step(ctx)
		}
		u.comeBack(ctx)
		sleep(load, u.upTo(pauseMax))
	}
}

// step uses one of the sessions.
func (u *user) step(ctx context.Context) {
	s := u.active[u.below(len(u.active))]
	switch {
	case time.Now().Before(s.NotBefore()):
		return
	case u.chance(30):
		u.logOut(ctx, s)
	case u.chance(15) && s.Newest() > 2:
		u.leave(ctx, s, true)
	case u.chance(30):
		u.leave(ctx, s, false)
	case u.chance(10):
		u.profile(ctx, s)
	default:
		u.refresh(ctx, s, 1+u.below(tabs))
	}
	u.sort()
}

// sort takes the sessions that have ended out of use.
func (u *user) sort() {
	u.active = slices.DeleteFunc(u.active, func(s *model.Session) bool {
		if s.Ended() {
			u.over = append(u.over, s)
		}
		return s.Ended()
	})
}

// do sends requests, each to an instance, until one is answered by anything but 503, or
// ctx ends: then answered is false.
func (u *user) do(ctx context.Context, send func(ctx context.Context, c client.Client) (client.Answer, error)) (a client.Answer, tries int, answered bool) {
	for tries = 1; ; tries++ {
		reqCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), u.o.Patience)
		a, err := send(reqCtx, u.client())
		cancel()
		switch {
		case err != nil:
			u.report.add(NoAnswer)
		case a.Status == http.StatusServiceUnavailable:
			u.report.add(Unavailable)
		default:
			return a, tries, true
		}
		if !sleep(ctx, u.upTo(retryMax)) {
			return client.Answer{}, tries, false
		}
	}
}

// limitedPause is how long a user waits at most who was told to wait: a refusal for a limit
// costs nothing more.
const limitedPause = time.Second

// doLimited is do for what has limits of its own: where there are any, 429 is no answer.
func (u *user) doLimited(ctx context.Context, send func(ctx context.Context, c client.Client) (client.Answer, error)) (a client.Answer, tries int, answered bool) {
	for {
		a, n, answered := u.do(ctx, send)
		tries += n
		if !answered || a.Status != http.StatusTooManyRequests || !u.o.Limited {
			return a, tries, answered
		}
		u.report.add(Limited)
		if !sleep(ctx, u.upTo(limitedPause)) {
			return client.Answer{}, tries, false
		}
	}
}

// signUp adds an address. The same one is tried until it is known to be there: after an
// answer that was lost, the address is our own if it is taken.
func (u *user) signUp(ctx context.Context) {
	u.signedUp++
	address := strconv.Itoa(u.signedUp) + "-" + u.email
	a, tries, ok := u.doLimited(ctx, func(ctx context.Context, c client.Client) (client.Answer, error) {
		return c.SignUp(ctx, address, password)
	})
	switch {
	case !ok:
		return
	case a.Status == http.StatusCreated, tries > 1 && a.Status == http.StatusUnprocessableEntity && a.Code == "email_taken":
		u.addresses = append(u.addresses, address)
		u.report.add(SignUps)
	default:
		u.report.violate(fmt.Sprintf("sign-up of %s, try %d: status %d: %s", address, tries, a.Status, a.Body))
	}
}

// logIn begins a session.
func (u *user) logIn(ctx context.Context) {
	address := u.addresses[u.below(len(u.addresses))]
	a, _, ok := u.doLimited(ctx, func(ctx context.Context, c client.Client) (client.Answer, error) {
		return c.LogIn(ctx, address, password)
	})
	if !ok {
		return
	}
	if s := u.begun(address, a); s != nil {
		u.active = append(u.active, s)
	}
}

// begun judges a login's answer.
func (u *user) begun(address string, a client.Answer) *model.Session {
	if a.Status != http.StatusOK {
		u.report.violate(fmt.Sprintf("login of %s: status %d: %s", address, a.Status, a.Body))
		return nil
	}
	s, err := model.Begin(a, model.Options{Grace: u.o.Grace, Limited: u.o.Limited, Patience: u.o.Patience, Slack: u.o.slack()})
	if err != nil {
		u.report.violate(fmt.Sprintf("login of %s: %v", address, err))
		return nil
	}
	u.report.add(LogIns)
	return s
}

// refresh has some tabs refresh at once, one of them perhaps with an older token.
func (u *user) refresh(ctx context.Context, s *model.Session, n int) {
	var wg sync.WaitGroup
	for i := range n {
		g := s.Newest()
		if older := s.Older(time.Now()); i > 0 && len(older) > 0 && u.chance(3) {
			g = older[u.below(len(older))]
		}
		wg.Go(func() { u.tab(ctx, s, g) })
	}
	wg.Wait()
}

// tab refreshes, with one token as long as that may be used and with the newest from
// then on, until there is an answer other than 503, or ctx ends.
func (u *user) tab(ctx context.Context, s *model.Session, g int64) {
	for {
		if u.present(ctx, s, s.Send(g, time.Now())) || !sleep(ctx, u.upTo(retryMax)) {
			return
		}
	}
}

// present sends a token and has the answer judged. It is false if there was none, or 503.
func (u *user) present(ctx context.Context, s *model.Session, use *model.Use) bool {
	reqCtx, cancel := context.WithDeadline(context.WithoutCancel(ctx), use.GiveUp)
	defer cancel()
	a, err := u.client().Refresh(reqCtx, use.Token)
	if err != nil {
		s.NoAnswer(use, time.Now())
		u.report.add(NoAnswer)
		return false
	}
	v := s.Answer(use, a, time.Now())
	u.report.violate(v.Violation)
	switch v.Kind {
	case model.Refused, model.Wrong:
	case model.Answered:
		if v.Retry {
			u.report.add(GraceRetries)
		} else {
			u.report.add(Rotations)
		}
	case model.Limited:
		u.report.add(Limited)
	case model.Unavailable:
		u.report.add(Unavailable)
		return false
	}
	return true
}

// logOut ends a session with any of its tokens, now and then while it is refreshed.
func (u *user) logOut(ctx context.Context, s *model.Session) {
	s.LogOut()
	var wg sync.WaitGroup
	if u.chance(3) {
		wg.Go(func() { u.refresh(ctx, s, 2) })
	}
	token := s.AnyToken()
	a, _, ok := u.do(ctx, func(ctx context.Context, c client.Client) (client.Answer, error) { return c.LogOut(ctx, token) })
	if ok && a.Status != http.StatusOK {
		u.report.violate(fmt.Sprintf("session %s: logout: status %d: %s", s.ID(), a.Status, a.Body))
	} else if ok {
		s.LoggedOut()
		u.report.add(LogOuts)
	}
	wg.Wait()
	if ok {
		u.tab(ctx, s, s.Newest()) // which must be refused
	}
}

// profile asks who the user is.
func (u *user) profile(ctx context.Context, s *model.Session) {
	a, _, ok := u.do(ctx, func(ctx context.Context, c client.Client) (client.Answer, error) { return c.Profile(ctx, s.Access()) })
	if ok && a.Status != http.StatusOK {
		u.report.violate(fmt.Sprintf("session %s: profile: status %d: %s", s.ID(), a.Status, a.Body))
	}
}

// leave puts a session aside, with a token that was never sent. It is robbed when all
// others were retired more than Grace ago, or goes on later.
func (u *user) leave(ctx context.Context, s *model.Session, rob bool) {
	u.tab(ctx, s, s.Newest())
	if !s.Unsent() || !s.MustGoOn() {
		return
	}
	until := time.Now().Add(u.upTo(parkedFor))
	if rob {
		until = time.Now().Add(u.o.Grace + u.o.slack())
	}
	u.aside = append(u.aside, aside{s, until, rob})
	u.active = slices.DeleteFunc(u.active, func(other *model.Session) bool { return other == s })
}

// comeBack takes up the sessions that were left long enough.
func (u *user) comeBack(ctx context.Context) {
	now := time.Now()
	u.aside = slices.DeleteFunc(u.aside, func(a aside) bool {
		if now.Before(a.until) {
			return false
		}
		u.active = append(u.active, a.Session)
		if a.rob {
			u.rob(ctx, a.Session)
		} else {
			u.tab(ctx, a.Session, a.Newest())
		}
		return true
	})
	u.sort()
}

// rob uses an old token, until there is a clear answer: that must be a refusal. The
// user's own newest token must then be refused too.
func (u *user) rob(ctx context.Context, s *model.Session) {
	use := s.Rob(1+int64(u.below(int(s.Newest()-1))), time.Now())
	if use == nil {
		use = s.Rob(s.Newest()-1, time.Now())
	}
	if use == nil {
		return
	}
	u.report.add(Thefts)
	for !u.present(ctx, s, use) {
		if !sleep(ctx, u.upTo(retryMax)) {
			return
		}
		use.GiveUp = time.Now().Add(u.o.Patience)
	}
	if s.Ended() {
		u.report.add(Detected)
		u.tab(ctx, s, s.Newest())
	}
}

// sleep is false if ctx ends before d is over.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
