package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// readers read /api/profile, each over a connection of its own.
type readers struct {
	url, token string
	n          int
	client     *http.Client
}

// newReaders logs the user in, and so the example has to be idle.
func newReaders(ctx context.Context, url string, u user, n int) (*readers, error) {
	client := newClient(n, nil)
	a, err := login(ctx, client, url, u)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("the readers' login was answered with %d", a.status)
	}
	return &readers{url: url + "/api/profile", token: a.token, n: n, client: client}, nil
}

// newClient keeps n connections, from the local address or, if that is nil, from any.
func newClient(n int, from net.Addr) *http.Client {
	dialer := net.Dialer{LocalAddr: from}
	return &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: n, DisableCompression: true}}
}

// during reads for a tenth of the time, and then measures for the time.
func (r *readers) during(ctx context.Context, d time.Duration) (sample, error) {
	begin := time.Now().Add(d / 10)
	end := begin.Add(d)
	times := make([][]time.Duration, r.n)
	errs := make([]error, r.n)
	var wg sync.WaitGroup
	for i := range r.n {
		wg.Go(func() {
			for {
				start := time.Now()
				if start.After(end) {
					return
				}
				if errs[i] = r.read(ctx); errs[i] != nil {
					return
				}
				if answered := time.Now(); start.After(begin) && answered.Before(end) {
					times[i] = append(times[i], answered.Sub(start))
				}
			}
		})
	}
	wg.Wait()
	return sample{slices.Sorted(slices.Values(slices.Concat(times...))), d}, errors.Join(errs...)
}

func (r *readers) read(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	res, err := r.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("/api/profile was answered with %s", res.Status)
	}
	return nil
}

// manner is how the users of a storm log in.
type manner int

const (
	// patient ones have one IP address. Of one client the example lets 32 logins wait, and
	// refuses the rest at once; whoever is told to come back later waits for as long as
	// Retry-After says.
	patient manner = iota

	// hasty ones have one IP address too, and come back at once.
	hasty

	// apart have an IP address each, so that all of them wait until they are let in, and
	// come back at once. None may be refused.
	apart
)

// storm is users that log in again and again, each over a connection of its own.
type storm struct {
	url    string
	manner manner
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu   sync.Mutex
	got  answers
	errs []error
}

// startStorm has the users log in until stop is called, and the peers take from the
// limiter.
func startStorm(ctx context.Context, url string, m manner, users []user, peers []*peer) *storm {
	ctx, cancel := context.WithCancel(ctx)
	s := &storm{url: url, manner: m, cancel: cancel}
	for i, u := range users {
		var from net.Addr
		if m == apart {
			from = &net.TCPAddr{IP: loopback(i)}
		}
		s.wg.Go(func() {
			client := newClient(1, from)
			defer client.CloseIdleConnections()
			s.logIn(ctx, client, u)
		})
	}
	for _, p := range peers {
		for range peerLogins {
			s.wg.Go(func() {
				taken, limited, err := p.logIn(ctx)
				s.note(answers{peers: taken, peersLimited: limited}, err)
			})
		}
	}
	return s
}

// loopback is one of the addresses that Linux has without being told, from 127.0.1.1 on.
func loopback(i int) net.IP {
	const hosts = 254
	return net.IPv4(127, 0, byte(1+i/hosts), byte(1+i%hosts)) //nolint:gosec,mnd // for some thousands
}

// stop ends the storm and returns what it got until then. What is under way is canceled,
// and not counted.
func (s *storm) stop() (answers, error) {
	s.cancel()
	s.wg.Wait()
	return s.got, errors.Join(s.errs...)
}

func (s *storm) note(got answers, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got.add(got)
	if err != nil {
		s.errs = append(s.errs, err)
	}
}

func (s *storm) logIn(ctx context.Context, client *http.Client, u user) {
	mayRefuse := s.manner != apart
	for {
		a, err := login(ctx, client, s.url, u)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.note(answers{other: 1, example: err.Error()}, nil)
			pause(ctx, time.Second)
		case a.status == http.StatusOK:
			s.note(answers{ok: 1}, nil)
		case mayRefuse && a.status == http.StatusTooManyRequests && a.retryAfter > 0:
			s.note(answers{limited: 1}, nil)
		case mayRefuse && a.status == http.StatusServiceUnavailable && a.retryAfter > 0:
			s.note(answers{busy: 1}, nil)
		default:
			s.note(answers{other: 1, example: fmt.Sprintf("%d, Retry-After %v", a.status, a.retryAfter)}, nil)
			pause(ctx, time.Second)
		}
		if s.manner == patient {
			pause(ctx, a.retryAfter)
		}
	}
}

// loginAnswer is what a login was answered.
type loginAnswer struct {
	status     int
	token      string        // the access token
	retryAfter time.Duration // 0 without one
}

func login(ctx context.Context, client *http.Client, url string, u user) (a loginAnswer, err error) {
	body, err := json.Marshal(map[string]string{"email": u.email, "password": u.password})
	if err != nil {
		return a, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/login", strings.NewReader(string(body)))
	if err != nil {
		return a, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return a, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return a, err
	}
	a.status = res.StatusCode
	if after := res.Header.Get("Retry-After"); after != "" {
		n, err := strconv.Atoi(after)
		if err != nil {
			return a, fmt.Errorf("Retry-After: %w", err)
		}
		a.retryAfter = time.Duration(n) * time.Second
	}
	var decoded struct {
		AccessToken string `json:"access_token"`
	}
	err = json.Unmarshal(text, &decoded)
	a.token = decoded.AccessToken
	return a, err
}
