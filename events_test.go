package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// run runs a case on a fresh flow and returns the events of its call alone.
func (c eventCase) run(t *testing.T, f *flow) []auth.Event {
	t.Helper()
	if c.before != nil {
		c.before(t, f)
	}
	f.recorder.take()
	var err error
	f.got, err = c.call(t.Context(), f)
	if c.want == nil {
		require.NoError(t, err)
	} else {
		require.ErrorIs(t, err, c.want)
		assert.Equal(t, auth.Tokens{}, f.got)
	}
	return f.recorder.take()
}

// eachFlow runs every case on memstore.
func eachFlow(t *testing.T, run func(t *testing.T, c eventCase, w *world)) {
	t.Helper()
	for _, c := range eventCases() {
		t.Run(c.name, func(t *testing.T) { run(t, c, onMemory(t)) })
	}
}

// assertEvents compares events but for their times, which must be those of the call.
func (f *flow) assertEvents(t *testing.T, want, got []auth.Event) {
	t.Helper()
	inexact := 10 * time.Second // a real server's clock
	if f.db == nil {
		inexact = 0
	}
	if !assert.Len(t, got, len(want), "%+v", got) {
		return
	}
	for i, e := range got {
		assert.WithinDuration(t, f.clock.Now(), e.Time, inexact)
		assert.Equal(t, time.UTC, e.Time.Location())
		if assert.InDelta(t, want[i].Age, e.Age, float64(inexact)) {
			want[i].Age = e.Age
		}
		want[i].Time = e.Time
		assert.Equal(t, want[i], e)
	}
}

// ASVS: 16.2.2, 16.3.1, 16.3.2, 16.3.3.
func TestEvents(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		f := newFlow(t, w, noLimits)
		for i, c := range eventCases() {
			t.Run(c.name, func(t *testing.T) {
				f.join(t, fmt.Sprintf("ann%d@example.com", i))
				got := c.run(t, f)
				f.assertEvents(t, c.events(f), got)
			})
		}
	})
}

// The kinds and reasons are what programs compare.
func TestEventNames(t *testing.T) {
	assert.Equal(t, []auth.EventKind{
		"signed_up", "logged_in", "login_failed", "limited", "reauthenticated", "refreshed", "refresh_retried", "reuse", "state_lost", "logged_out", "revoked",
	}, []auth.EventKind{
		auth.EventSignedUp, auth.EventLoggedIn, auth.EventLoginFailed, auth.EventLimited, auth.EventReauthenticated, auth.EventRefreshed,
		auth.EventRefreshRetried, auth.EventReuse, auth.EventStateLost, auth.EventLoggedOut, auth.EventRevoked,
	})
}

// What is refused, fails or changes nothing raises no event.
func TestNoEvents(t *testing.T) {
	for name, c := range map[string]eventCase{
		"signup, taken": {want: auth.ErrEmailTaken, call: plainCall(func(ctx context.Context, f *flow) error {
			_, err := f.Signup(ctx, auth.SignupInput{Name: "Ann", Email: ann, Password: password})
			return err
		})},
		"login, the store fails": {
			want: auth.ErrUnavailable, call: loggingIn(password),
			before: func(_ *testing.T, f *flow) { f.script.before = failing(auth.ErrUnavailable, createSession) },
		},
		"start of a session, unknown user": {want: auth.ErrUserNotFound, call: func(ctx context.Context, f *flow) (auth.Tokens, error) {
			return f.StartSession(ctx, "4711", aClient())
		}},
		"start of a session, disabled": {want: auth.ErrAccountDisabled, before: disabled, call: func(ctx context.Context, f *flow) (auth.Tokens, error) {
			return f.StartSession(ctx, f.id, aClient())
		}},
		"refresh, no token of ours": {want: auth.ErrInvalidToken, call: func(ctx context.Context, f *flow) (auth.Tokens, error) {
			return f.Refresh(ctx, f.first.AccessToken, aClient())
		}},
		"refresh, expired": {want: auth.ErrTokenExpired, call: refreshing, before: func(_ *testing.T, f *flow) { f.advance(25 * time.Hour) }},
		"refresh, ended": {want: auth.ErrSessionEnded, call: refreshing, before: func(t *testing.T, f *flow) {
			t.Helper()
			require.NoError(t, f.Logout(t.Context(), f.first.RefreshToken))
		}},
		"refresh, the store fails": {
			want: auth.ErrUnavailable, call: refreshing,
			before: func(_ *testing.T, f *flow) { f.script.before = failing(auth.ErrUnavailable, rotateSession) },
		},
		"reuse, again": {want: auth.ErrSessionEnded, call: refreshing, before: func(t *testing.T, f *flow) {
			t.Helper()
			rotated(1, 2*time.Minute)(t, f)
			require.ErrorIs(t, f.refreshError(t, f.first.RefreshToken), auth.ErrSessionEnded)
		}},
		"reuse, and the revocation fails": {want: auth.ErrUnavailable, call: refreshing, before: func(t *testing.T, f *flow) {
			t.Helper()
			rotated(1, 2*time.Minute)(t, f)
			f.script.before = failing(auth.ErrUnavailable, revokeSession)
		}},
		"reauthentication, ended": {want: auth.ErrSessionEnded, call: provingAgain(password), before: func(t *testing.T, f *flow) {
			t.Helper()
			require.NoError(t, f.Logout(t.Context(), f.first.RefreshToken))
		}},
		"reauthentication, the store fails": {
			want: auth.ErrUnavailable, call: provingAgain(password),
			before: func(_ *testing.T, f *flow) { f.script.before = failing(auth.ErrUnavailable, readSession) },
		},
		"logout, no token of ours": {want: auth.ErrInvalidToken, call: plainCall(func(ctx context.Context, f *flow) error { return f.Logout(ctx, "x") })},
		"logout, the store fails": {
			want:   auth.ErrUnavailable,
			call:   plainCall(func(ctx context.Context, f *flow) error { return f.Logout(ctx, f.first.RefreshToken) }),
			before: func(_ *testing.T, f *flow) { f.script.before = failing(auth.ErrUnavailable, revokeSession) },
		},
		"logout everywhere, the store fails": {
			want:   auth.ErrUnavailable,
			call:   plainCall(func(ctx context.Context, f *flow) error { return f.LogoutAll(ctx, f.id, auth.SessionID{}) }),
			before: func(_ *testing.T, f *flow) { f.script.before = failing(auth.ErrUnavailable, revokeUser) },
		},
		"revoking another's session": {want: auth.ErrSessionNotFound, call: plainCall(func(ctx context.Context, f *flow) error {
			return f.RevokeSession(ctx, "4711", f.first.SessionID)
		})},
		"disabling an unknown user": {want: auth.ErrUserNotFound, call: plainCall(func(ctx context.Context, f *flow) error {
			return f.DisableUser(ctx, "4711")
		})},
		"enabling": {before: disabled, call: plainCall(func(ctx context.Context, f *flow) error { return f.EnableUser(ctx, f.id) })},
		"revoking nobody's sessions": {call: plainCall(func(ctx context.Context, f *flow) error {
			_, err := f.RevokeAllSessions(ctx, f.clock.Now().Add(-time.Hour))
			return err
		})},
		"reading": {call: plainCall(func(ctx context.Context, f *flow) error {
			_, errSessions := f.Sessions(ctx, f.id, f.first.SessionID)
			_, errProfile := f.Profile(ctx, f.id)
			_, errVerify := f.Verify(f.first.AccessToken)
			_, errPurge := f.PurgeSessions(ctx, 0)
			return errors.Join(errSessions, errProfile, errVerify, errPurge)
		})},
	} {
		t.Run(name, func(t *testing.T) { assert.Empty(t, c.run(t, newFlow(t, onMemory(t)))) })
	}
	t.Run("bad input", func(t *testing.T) {
		f := newFlow(t, onMemory(t))
		var invalid *auth.ValidationError
		_, err := f.Signup(t.Context(), auth.SignupInput{})
		require.ErrorAs(t, err, &invalid)
		_, err = f.Login(t.Context(), auth.LoginInput{Email: ann})
		require.ErrorAs(t, err, &invalid)
		_, err = f.Reauthenticate(t.Context(), auth.Claims{UserID: f.id, SessionID: f.first.SessionID}, auth.ReauthInput{Password: "", Client: aClient()})
		require.ErrorAs(t, err, &invalid)
		assert.Empty(t, f.recorder.take())
	})
}

// A refresh and a reauthentication of a session that was rotated too often are told of alike.
func TestEventsOfTooManyRefreshes(t *testing.T) {
	f := newFlow(t, onMemory(t))
	rotated(8, 0)(t, f)
	f.recorder.take()
	for _, call := range []func() error{
		func() error {
			_, err := f.Refresh(t.Context(), atGeneration(t, f.first.RefreshToken, 9), aClient())
			return err
		},
		func() error {
			_, err := provingAgain(password)(t.Context(), f)
			return err
		},
	} {
		var limited *auth.RateLimitError
		require.ErrorAs(t, call(), &limited)
		events := f.recorder.take()
		require.Len(t, events, 1)
		events[0].Time = time.Time{}
		assert.Equal(t, auth.Event{
			Kind: auth.EventLimited, UserID: f.id, SessionID: f.first.SessionID, Client: events[0].Client, Reason: "rotations",
		}, events[0])
		assert.Equal(t, aClient().IP.Unmap(), events[0].Client.IP)
	}
}

// Over HTTP the events are the same, with the peer's address and the user agent.
//
// ASVS: 16.2.1.
func TestEventsOverHTTP(t *testing.T) {
	f := newFlow(t, onMemory(t))
	h := f.Handler("/api")
	send := func(method, path, body, bearer string) reply {
		headers := []string{"User-Agent", "a browser", "X-Forwarded-For", "203.0.113.1"}
		if bearer != "" {
			headers = append(headers, "Authorization", "Bearer "+bearer)
		}
		return direct(t, h, newRequest(t, method, "/api"+path, body, headers...))
	}
	client := auth.Client{IP: netip.MustParseAddr("192.0.2.1"), UserAgent: "a browser"}
	check := func(want ...auth.Event) {
		t.Helper()
		f.assertEvents(t, want, f.recorder.take())
	}
	from := func(kind auth.EventKind, session auth.SessionID, reason string) auth.Event {
		return auth.Event{Kind: kind, UserID: f.id, SessionID: session, Client: client, Reason: reason}
	}
	sid := func(tokens auth.Tokens) auth.SessionID {
		claims, err := f.Verify(tokens.AccessToken)
		require.NoError(t, err)
		return claims.SessionID
	}
	send("POST", "/signup", signupBody(t, "bob@example.com"), "")
	check(auth.Event{Kind: auth.EventSignedUp, UserID: "2", Client: client})
	send("POST", "/signup", signupBody(t, "bob@example.com"), "")
	check()
	tokens := send("POST", "/login", loginBody(t, ann), "").tokens(t)
	check(from(auth.EventLoggedIn, sid(tokens), ""))
	send("POST", "/login", object(t, "email", ann, "password", "a wrong one"), "")
	check(from(auth.EventLoginFailed, auth.SessionID{}, auth.ReasonWrongPassword))
	send("POST", "/login", loginBody(t, "nobody@example.com"), "")
	check(auth.Event{Kind: auth.EventLoginFailed, Client: client, Reason: auth.ReasonUnknownUser})
	send("POST", "/login", "", "")
	check()
	second := send("POST", "/refresh", "", tokens.RefreshToken).tokens(t)
	check(from(auth.EventRefreshed, sid(tokens), ""))
	send("GET", "/refresh", "", tokens.RefreshToken)
	retried := from(auth.EventRefreshRetried, sid(tokens), "")
	retried.Behind = 1
	check(retried)
	send("POST", "/reauth", object(t, "password", password), second.AccessToken).tokens(t)
	check(from(auth.EventReauthenticated, sid(tokens), ""))
	send("POST", "/reauth", object(t, "password", "a wrong one"), second.AccessToken)
	check(from(auth.EventLoginFailed, sid(tokens), auth.ReasonWrongPassword))
	send("GET", "/sessions", "", second.AccessToken)
	send("GET", "/profile", "", second.AccessToken)
	send("DELETE", "/sessions/"+strings.Repeat("0", 32), "", second.AccessToken)
	check()
	send("DELETE", "/sessions/"+f.first.SessionID.String(), "", second.AccessToken)
	check(auth.Event{Kind: auth.EventRevoked, UserID: f.id, SessionID: f.first.SessionID, Reason: auth.ReasonRevoked})
	f.advance(2 * time.Minute)
	send("POST", "/refresh", "", tokens.RefreshToken)
	reuse := from(auth.EventReuse, sid(tokens), "")
	reuse.Behind, reuse.Age = 2, 2*time.Minute
	check(reuse)
	send("POST", "/refresh", "", tokens.RefreshToken)
	send("POST", "/logout/all", "", second.AccessToken)
	check()
	tokens = send("POST", "/login", loginBody(t, ann), "").tokens(t)
	f.recorder.take()
	send("POST", "/logout/all", `{"keep_current":true}`, tokens.AccessToken)
	check(auth.Event{Kind: auth.EventRevoked, UserID: f.id, Reason: auth.ReasonLogoutAll})
	send("POST", "/logout", "", tokens.RefreshToken)
	check(auth.Event{Kind: auth.EventLoggedOut, UserID: f.id, SessionID: sid(tokens)})
	send("POST", "/logout", "", "x")
	check()
}

// The hook is called once everything is done: it sees what the caller sees.
func TestEventsComeAfterTheFact(t *testing.T) {
	eachFlow(t, func(t *testing.T, c eventCase, w *world) {
		t.Helper()
		f := newFlow(t, w, noLimits)
		type facts struct {
			row      auth.SessionState
			disabled bool
			bob      error
			sessions int
		}
		look := func() facts {
			user, err := w.stores.Users.UserByID(t.Context(), f.id)
			require.NoError(t, err)
			_, bob := w.stores.Users.UserByEmail(t.Context(), "bob@example.com")
			sessions, err := w.stores.Refresh.SessionsByUser(t.Context(), f.id, w.clock.Now(), 100)
			require.NoError(t, err)
			return facts{w.row(t, f.first.SessionID), user.Disabled, bob, len(sessions)}
		}
		var seen []facts
		if c.before != nil {
			c.before(t, f)
		}
		before := look()
		c.before = nil
		f.recorder.then = func(context.Context, auth.Event) { seen = append(seen, look()) }
		events := c.run(t, f)
		require.Len(t, events, 1)
		assert.Equal(t, []facts{look()}, seen)
		unchanged := events[0].Kind == auth.EventLoginFailed && events[0].Reason != auth.ReasonUserChanged ||
			events[0].Kind == auth.EventRefreshRetried || events[0].Kind == auth.EventLimited
		assert.Equal(t, unchanged, assert.ObjectsAreEqual(before, seen[0]))
	})
}

// The hook's context has the call's values and lives on after it.
func TestEventsContext(t *testing.T) {
	type key struct{}
	eachFlow(t, func(t *testing.T, c eventCase, w *world) {
		t.Helper()
		f := newFlow(t, w, noLimits)
		if c.before != nil {
			c.before(t, f)
		}
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "a trace"), time.Minute)
		defer cancel()
		ended := false
		f.recorder.take()
		f.recorder.then = func(hook context.Context, _ auth.Event) {
			cancel()
			ended = hook.Err() != nil
		}
		_, err := c.call(ctx, f)
		require.ErrorIs(t, err, c.want)
		require.Len(t, f.recorder.contexts, 1)
		hook := f.recorder.contexts[0]
		assert.Equal(t, "a trace", hook.Value(key{}))
		assert.False(t, ended)
		require.NoError(t, hook.Err())
		assert.Nil(t, hook.Done())
		_, limited := hook.Deadline()
		assert.False(t, limited)
	})
}

// A hook that panics changes no answer, and the log tells.
func TestEventsHookThatPanics(t *testing.T) {
	eachFlow(t, func(t *testing.T, c eventCase, w *world) {
		t.Helper()
		f := newFlow(t, w, noLimits)
		if c.before != nil {
			c.before(t, f)
		}
		c.before = nil
		f.recorder.then = func(context.Context, auth.Event) { panic("a text") }
		events := c.run(t, f)
		require.Len(t, events, 1)
		assert.Contains(t, w.log.String(), `level=ERROR msg="auth: Config.OnEvent panicked" event=`+string(events[0].Kind)+` panic="a text"`)
	})
	f := newFlow(t, onMemory(t), noLimits)
	for _, value := range []any{errors.New("an error"), nil, 42} {
		f.recorder.then = func(context.Context, auth.Event) { panic(value) }
		_, err := loggingIn("a wrong one")(t.Context(), f)
		require.ErrorIs(t, err, auth.ErrInvalidCredentials)
	}
	f.recorder.then = nil
	_, err := loggingIn(password)(t.Context(), f)
	require.NoError(t, err)
	assert.Len(t, f.recorder.take(), 4, "the next event comes")
	assert.Contains(t, f.log.String(), `panic="an error"`)
	assert.Contains(t, f.log.String(), "panic=42")
}

// A panic of the hook reaches no client.
func TestEventsHookThatPanicsOverHTTP(t *testing.T) {
	w := onMemory(t, func(c *auth.Config) { c.OnEvent = func(context.Context, auth.Event) { panic("no") } })
	s := serve(t, w.Handler(""))
	exercise(t, s, "")
	assert.Contains(t, w.log.String(), "Config.OnEvent panicked")
}

// Of parallel uses of one token one is a refresh and all others are retries, each with
// one event.
func TestEventsOfParallelRefreshes(t *testing.T) {
	const uses = 40
	everywhere(t, func(t *testing.T, w *world) {
		f := newFlow(t, w)
		var wg sync.WaitGroup
		for range uses {
			wg.Go(func() {
				_, err := f.Refresh(t.Context(), f.first.RefreshToken, aClient())
				assert.NoError(t, err)
			})
		}
		wg.Wait()
		count := map[auth.EventKind]int{}
		for _, e := range f.recorder.take() {
			count[e.Kind]++
			assert.Equal(t, f.first.SessionID, e.SessionID)
		}
		assert.Equal(t, map[auth.EventKind]int{auth.EventRefreshed: 1, auth.EventRefreshRetried: uses - 1}, count)
	})
}
