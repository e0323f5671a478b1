package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	client := newClient(n)
	a, err := login(ctx, client, url, u)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("the readers' login was answered with %d", a.status)
	}
	return &readers{url: url + "/api/profile", token: a.token, n: n, client: client}, nil
}

// newClient keeps n connections.
func newClient(n int) *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n, DisableCompression: true}}
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

// storm is users that log in all the time, each over a connection of its own. One that is
// told to come back later does.
type storm struct {
	url    string
	client *http.Client
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu   sync.Mutex
	got  answers
	errs []error
}

// startStorm has the users log in until stop is called, and the peers take from the
// limiter.
func startStorm(ctx context.Context, url string, users []user, peers []*peer) *storm {
	ctx, cancel := context.WithCancel(ctx)
	s := &storm{url: url, client: newClient(len(users)), cancel: cancel}
	for _, u := range users {
		s.wg.Go(func() { s.logIn(ctx, u) })
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

// stop ends the storm and returns what it got until then. What is under way is canceled,
// and not counted.
func (s *storm) stop() (answers, error) {
	s.cancel()
	s.wg.Wait()
	s.client.CloseIdleConnections()
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

func (s *storm) logIn(ctx context.Context, u user) {
	for {
		a, err := login(ctx, s.client, s.url, u)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.note(answers{other: 1, example: err.Error()}, nil)
			pause(ctx, time.Second)
		case a.status == http.StatusOK:
			s.note(answers{ok: 1}, nil)
		case a.status == http.StatusTooManyRequests && a.retryAfter > 0:
			s.note(answers{limited: 1}, nil)
		case a.status == http.StatusServiceUnavailable && a.retryAfter > 0:
			s.note(answers{busy: 1}, nil)
		default:
			s.note(answers{other: 1, example: fmt.Sprintf("%d, Retry-After %v", a.status, a.retryAfter)}, nil)
			pause(ctx, time.Second)
		}
		pause(ctx, a.retryAfter)
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
