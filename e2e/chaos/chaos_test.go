package chaos_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/e2e/chaos"
	"github.com/ostiary/auth/e2e/instance"
	"github.com/ostiary/auth/limit"
	"github.com/ostiary/auth/memstore"
)

const grace = time.Second

// world is an instance over memstore that a test may put others in the place of.
type world struct {
	handler atomic.Pointer[http.Handler]
	url     string
}

func newWorld(t *testing.T, edit ...func(c *auth.Config, s *auth.Stores)) *world {
	t.Helper()
	w := &world{}
	w.replace(t, edit...)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		(*w.handler.Load()).ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

// replace puts an instance over an empty store in the place of the one before.
func (w *world) replace(t *testing.T, edit ...func(c *auth.Config, s *auth.Stores)) {
	t.Helper()
	cfg := instance.Config()
	cfg.Tokens.Grace = grace
	cfg.InsecureNoLimits = true
	cfg.Logger = slog.New(slog.DiscardHandler)
	stores := memstore.New(memstore.Options{}).Stores()
	for _, f := range edit {
		f(&cfg, &stores)
	}
	a, err := auth.New(stores, cfg)
	require.NoError(t, err)
	handler := a.Handler("")
	w.handler.Store(&handler)
}

// wrap puts something before the instance.
func (w *world) wrap(f func(rw http.ResponseWriter, r *http.Request, next http.Handler)) {
	next := *w.handler.Load()
	var handler http.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { f(rw, r, next) })
	w.handler.Store(&handler)
}

// run puts the world under load, the longer the slower the machine is: until each of the
// counts is positive.
func (w *world) run(t *testing.T, o chaos.Options, counts ...string) *chaos.Report {
	t.Helper()
	o.Grace, o.Users = grace, 4
	for o.Duration = 3 * grace; ; o.Duration *= 2 {
		report, err := chaos.Run(t.Context(), chaos.Target{Instances: []string{w.url}}, o)
		require.NoError(t, err)
		met := true
		for _, name := range counts {
			met = met && report.Count(name) > 0
		}
		if met {
			return report
		}
		require.Less(t, o.Duration, 30*grace, report)
	}
}

// requireBroken takes a report of this violation.
func requireBroken(t *testing.T, report *chaos.Report, why string) {
	t.Helper()
	require.Contains(t, strings.Join(report.Violations(), "\n"), why, "%s", report)
	require.ErrorContains(t, report.Check(nil), "violations")
}

// A library that keeps its promises is found to.
func TestRunKept(t *testing.T) {
	t.Parallel()
	report := newWorld(t).run(t, chaos.Options{Seed: 7}, chaos.LogOuts, chaos.Rotations, chaos.GraceRetries,
		chaos.Thefts, chaos.Kept, chaos.StayedEnded)
	require.Empty(t, report.Violations(), report)
	require.Equal(t, report.Count(chaos.Thefts), report.Count(chaos.Detected))
	require.Equal(t, report.Count(chaos.SignUps), report.Count(chaos.LogInsAfter))
	require.GreaterOrEqual(t, report.Count(chaos.LogIns), report.Count(chaos.Kept)+report.Count(chaos.LogOuts)+report.Count(chaos.Thefts))
	require.Zero(t, report.Count(chaos.Limited))
	require.Contains(t, report.String(), "seed 7")
	require.ErrorContains(t, report.Check(chaos.Minimums{chaos.LostAcks: 1}), "no real test: 0 lost acknowledgements of a commit, not 1")
}

// stingy makes the library believe now and then that a session was rotated too often.
type stingy struct {
	auth.RefreshStore

	n        atomic.Int64
	sessions sync.Map // those of which it shall
}

func (s *stingy) RotateSession(ctx context.Context, r auth.Rotation) (bool, error) {
	if state, err := s.ReadSession(ctx, r.Session); err == nil && state.Generation == r.Generation && s.n.Add(1)%10 == 0 {
		s.sessions.Store(r.Session, true)
		return false, nil
	}
	return s.RefreshStore.RotateSession(ctx, r)
}

func (s *stingy) ReadSession(ctx context.Context, id auth.SessionID) (auth.SessionState, error) {
	state, err := s.RefreshStore.ReadSession(ctx, id)
	if _, lie := s.sessions.LoadAndDelete(id); lie && err == nil {
		state.Retired = slices.Repeat([]time.Time{state.ReadAt}, auth.RetiredKept)
	}
	return state, err
}

// Limits are no broken promise where they are expected, and one where they are not.
func TestRunLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *auth.Config, s *auth.Stores) {
		c.InsecureNoLimits = false
		s.Refresh = &stingy{RefreshStore: s.Refresh}
	})
	require.Empty(t, w.run(t, chaos.Options{Limited: true}, chaos.Limited, chaos.Kept).Violations())
	requireBroken(t, w.run(t, chaos.Options{}, chaos.Limited), "limited")
}

// refusing is a Limiter that says of each fifth call that its budget is over.
type refusing struct{ calls atomic.Int64 }

func (r *refusing) Take(_ context.Context, _ string, _ limit.Bucket, n int) (time.Duration, error) {
	if n > 0 && r.calls.Add(1)%5 == 0 {
		return time.Second, nil
	}
	return 0, nil
}

// So it is at sign-up and login, whose limits have budgets.
func TestRunLimitedLogins(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *auth.Config, s *auth.Stores) {
		c.InsecureNoLimits = false
		s.Limiter = &refusing{}
	})
	require.Empty(t, w.run(t, chaos.Options{Limited: true}, chaos.Limited, chaos.SignUps, chaos.Kept).Violations())
	requireBroken(t, w.run(t, chaos.Options{}, chaos.LogIns), "status 429")
}

// Requests without an answer, and 503, are borne.
func TestRunUnanswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var n atomic.Int64
	w.wrap(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		switch n.Add(1) % 5 {
		case 0: // carried out, and the answer lost
			next.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		case 1:
			rw.WriteHeader(http.StatusServiceUnavailable)
		case 2:
			panic(http.ErrAbortHandler)
		default:
			next.ServeHTTP(rw, r)
		}
	})
	require.Empty(t, w.run(t, chaos.Options{}, chaos.NoAnswer, chaos.Unavailable, chaos.Kept, chaos.Thefts).Violations())
}

// deaf revokes nothing for one of the reasons.
type deaf struct {
	auth.RefreshStore

	reason string
}

func (d deaf) RevokeSession(ctx context.Context, id auth.SessionID, user auth.UserID, reason string) error {
	if reason == d.reason {
		return nil
	}
	return d.RefreshStore.RevokeSession(ctx, id, user, reason)
}

// An end that was acknowledged and is none is found, a logout's and a theft's.
func TestRunNoEnd(t *testing.T) {
	t.Parallel()
	for reason, count := range map[string]string{auth.ReasonLogout: chaos.LogOuts, auth.ReasonReuse: chaos.Thefts} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(_ *auth.Config, s *auth.Stores) { s.Refresh = deaf{s.Refresh, reason} })
			requireBroken(t, w.run(t, chaos.Options{}, count), "after the session's end was acknowledged")
		})
	}
}

// A theft that nobody notices is found.
func TestRunTheftNotDetected(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *auth.Config, _ *auth.Stores) { c.Tokens.Grace = time.Minute })
	report := w.run(t, chaos.Options{}, chaos.Thefts)
	requireBroken(t, report, "not detected")
	require.ErrorContains(t, report.Check(nil), "0 were detected")
}

// Refusals of users who did nothing wrong are found.
func TestRunRefused(t *testing.T) {
	t.Parallel()
	for path, why := range map[string]string{
		"/refresh": "logged out without cause", "/login": "login of ", "/signup": "sign-up of ",
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var n atomic.Int64
			w.wrap(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.URL.Path != path || n.Add(1) != 2 {
					next.ServeHTTP(rw, r)
					return
				}
				rw.Header().Set("Content-Type", "application/json")
				rw.WriteHeader(http.StatusUnauthorized)
				_, _ = rw.Write([]byte(`{"code":"session_ended"}`))
			})
			requireBroken(t, w.run(t, chaos.Options{}), why)
		})
	}
}

// Users and sessions that were acknowledged and are gone afterwards are found.
func TestRunGoneAfterwards(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	report, err := chaos.Run(t.Context(), chaos.Target{
		Instances:  []string{w.url},
		Afterwards: func() error { w.replace(t); return nil },
		LostAcks:   func() int { return 3 },
	}, chaos.Options{Duration: 2 * grace, Grace: grace, Users: 2})
	require.NoError(t, err)
	requireBroken(t, report, "logged out without cause")
	requireBroken(t, report, "afterwards: status 401")
	require.Zero(t, report.Count(chaos.Kept))
	require.Zero(t, report.Count(chaos.LogInsAfter))
	require.Equal(t, 3, report.Count(chaos.LostAcks))
}

// An outage that is longer than Grace leaves sessions in doubt, which are not judged; too
// many of them are no test.
func TestRunInDoubt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var down atomic.Bool
	w.wrap(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		if down.Load() { // carried out, and the answer lost
			next.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(rw, r)
	})
	report, err := chaos.Run(t.Context(), chaos.Target{
		Instances: []string{w.url},
		Disturb: func(ctx context.Context) {
			time.Sleep(grace)
			down.Store(true)
			<-ctx.Done()
		},
		Calm: func() error { down.Store(false); return nil },
	}, chaos.Options{Duration: 4 * grace, Grace: grace, Users: 4})
	require.NoError(t, err)
	require.Empty(t, report.Violations(), report)
	require.Positive(t, report.Count(chaos.DoubtfulEnded), report)
	require.ErrorContains(t, report.Check(nil), "in doubt")
}

// An error of the target's own is returned, and that of a context that ends.
func TestRunTargetFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fails := func() error { return errors.New("does not come back") }
	o := chaos.Options{Duration: grace / 10, Grace: grace}
	_, err := chaos.Run(t.Context(), chaos.Target{Instances: []string{w.url}, Calm: fails}, o)
	require.ErrorContains(t, err, "does not come back")
	_, err = chaos.Run(t.Context(), chaos.Target{Instances: []string{w.url}, Afterwards: fails}, o)
	require.ErrorContains(t, err, "does not come back")
	ctx, cancel := context.WithTimeout(t.Context(), grace/2)
	defer cancel()
	w.wrap(func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) })
	_, err = chaos.Run(ctx, chaos.Target{Instances: []string{w.url}}, o)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
