package auth_test

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// recorder is a hook for Config.OnEvent.
type recorder struct {
	mu       sync.Mutex
	events   []auth.Event
	contexts []context.Context
	then     func(ctx context.Context, e auth.Event) // nil: nothing
}

func (r *recorder) on(c *auth.Config) { c.OnEvent = r.event }

func (r *recorder) event(ctx context.Context, e auth.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	r.contexts = append(r.contexts, ctx)
	if r.then != nil {
		r.then(ctx, e)
	}
}

// take returns the events so far, and forgets them.
func (r *recorder) take() []auth.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.events
	r.events, r.contexts = nil, nil
	return events
}

// flow is a user with a session, on an instance whose events are recorded.
type flow struct {
	*world

	recorder *recorder
	script   *script
	address  string
	id       auth.UserID
	first    auth.Tokens         // of the session at generation 1
	future   string              // its refresh token of generation 5
	limited  *auth.Authenticator // the instance with limits, whatever edit says
	got      auth.Tokens         // what the call returned
}

// aClient is where the calls of a flow come from.
func aClient() auth.Client {
	return auth.Client{IP: netip.MustParseAddr("192.0.2.7"), UserAgent: "an agent"}
}

func newFlow(t *testing.T, w *world, edit ...func(*auth.Config)) *flow {
	t.Helper()
	f := &flow{recorder: &recorder{}}
	edit = append(edit, f.recorder.on)
	a, script := w.scripted(t, edit...)
	f.limited = w.another(t, append(edit, func(c *auth.Config) { c.InsecureNoLimits = false })...)
	f.world = &world{a, w.stores, w.db, w.clock, w.log, w.pass, w.limiter}
	f.script = script
	f.join(t, ann)
	return f
}

// join has the flow be that of a new user.
func (f *flow) join(t *testing.T, address string) {
	t.Helper()
	f.script.reset()
	f.address, f.id = address, f.signUp(t, address)
	f.first = f.logIn(t, address)
	f.future = atGeneration(t, f.first.RefreshToken, 5)
	f.recorder.take()
}

// eventCase is a call and the events that it raises. Time is left out in those, and what
// every one of a user's session has is added by about.
type eventCase struct {
	name   string
	before func(t *testing.T, f *flow)
	call   func(ctx context.Context, f *flow) (auth.Tokens, error)
	want   error // nil: the call succeeds; its answer, whatever the hook does
	events func(f *flow) []auth.Event
}

// about is an event of a session of the flow's user.
func (f *flow) about(kind auth.EventKind, id auth.SessionID, edit ...func(*auth.Event)) []auth.Event {
	e := auth.Event{Kind: kind, UserID: f.id, SessionID: id, Client: aClient()}
	for _, edit := range edit {
		edit(&e)
	}
	return []auth.Event{e}
}

func because(reason string) func(*auth.Event) { return func(e *auth.Event) { e.Reason = reason } }
func late(behind int64, age time.Duration) func(*auth.Event) {
	return func(e *auth.Event) { e.Behind, e.Age = behind, age }
}
func fromNowhere(e *auth.Event) { e.Client = auth.Client{} }

// rotated is a flow whose session has been refreshed so often.
func rotated(times int, then time.Duration) func(t *testing.T, f *flow) {
	return func(t *testing.T, f *flow) {
		t.Helper()
		token := f.first.RefreshToken
		for range times {
			token = f.refresh(t, token).RefreshToken
		}
		f.advance(then)
	}
}

func refreshing(ctx context.Context, f *flow) (auth.Tokens, error) {
	return f.Refresh(ctx, f.first.RefreshToken, aClient())
}

func loggingIn(password string) func(context.Context, *flow) (auth.Tokens, error) {
	return func(ctx context.Context, f *flow) (auth.Tokens, error) {
		return f.Login(ctx, auth.LoginInput{Email: f.address, Password: password, Client: aClient()})
	}
}

func provingAgain(password string) func(context.Context, *flow) (auth.Tokens, error) {
	return func(ctx context.Context, f *flow) (auth.Tokens, error) {
		return f.Reauthenticate(ctx, auth.Claims{UserID: f.id, SessionID: f.first.SessionID}, auth.ReauthInput{Password: password, Client: aClient()})
	}
}

// plainCall is a call that returns an error alone.
func plainCall(call func(ctx context.Context, f *flow) error) func(context.Context, *flow) (auth.Tokens, error) {
	return func(ctx context.Context, f *flow) (auth.Tokens, error) { return auth.Tokens{}, call(ctx, f) }
}

// disabled is a flow whose user is.
func disabled(t *testing.T, f *flow) {
	t.Helper()
	require.NoError(t, f.DisableUser(t.Context(), f.id))
}

// errLimited stands for a *RateLimitError, whose wait is not the same everywhere.
var errLimited = errors.New("limited")

// eventCases are all the calls that raise an event.
func eventCases() []eventCase {
	return []eventCase{
		{
			name: "signup", call: func(ctx context.Context, f *flow) (auth.Tokens, error) {
				user, err := f.Signup(ctx, auth.SignupInput{Name: "Bob", Email: "bob@example.com", Password: password, Client: aClient()})
				return auth.Tokens{UserID: user.ID}, err
			},
			events: func(f *flow) []auth.Event {
				return []auth.Event{{Kind: auth.EventSignedUp, UserID: f.got.UserID, Client: aClient()}}
			},
		},
		{
			name: "login", call: loggingIn(password),
			events: func(f *flow) []auth.Event { return f.about(auth.EventLoggedIn, f.got.SessionID) },
		},
		{
			name:   "start of a session",
			call:   func(ctx context.Context, f *flow) (auth.Tokens, error) { return f.StartSession(ctx, f.id, aClient()) },
			events: func(f *flow) []auth.Event { return f.about(auth.EventLoggedIn, f.got.SessionID) },
		},
		{
			name: "login, unknown user", want: auth.ErrInvalidCredentials,
			call: func(ctx context.Context, f *flow) (auth.Tokens, error) {
				return f.Login(ctx, auth.LoginInput{Email: "nobody@example.com", Password: password, Client: aClient()})
			},
			events: func(*flow) []auth.Event {
				return []auth.Event{{Kind: auth.EventLoginFailed, Client: aClient(), Reason: "unknown_user"}}
			},
		},
		{
			name: "login, wrong password", call: loggingIn("a wrong one"), want: auth.ErrInvalidCredentials,
			events: func(f *flow) []auth.Event {
				return f.about(auth.EventLoginFailed, auth.SessionID{}, because("wrong_password"))
			},
		},
		{
			name: "login, disabled", before: disabled, call: loggingIn(password), want: auth.ErrAccountDisabled,
			events: func(f *flow) []auth.Event {
				return f.about(auth.EventLoginFailed, auth.SessionID{}, because("disabled"))
			},
		},
		{
			name: "login, disabled and wrong password", before: disabled, call: loggingIn("a wrong one"), want: auth.ErrInvalidCredentials,
			events: func(f *flow) []auth.Event {
				return f.about(auth.EventLoginFailed, auth.SessionID{}, because("wrong_password"))
			},
		},
		{
			name: "login, user changed meanwhile",
			before: func(t *testing.T, f *flow) {
				t.Helper()
				f.script.before = doing(createSession, func() { f.bumpAuthVersion(t, f.id) })
			},
			call: loggingIn(password), want: auth.ErrInvalidCredentials,
			events: func(f *flow) []auth.Event {
				return f.about(auth.EventLoginFailed, auth.SessionID{}, because("user_changed"))
			},
		},
		{
			name: "login, limited", want: errLimited,
			before: func(t *testing.T, f *flow) {
				t.Helper()
				for range 5 {
					_, err := f.limited.Login(t.Context(), auth.LoginInput{Email: f.address, Password: "a wrong one"})
					require.ErrorIs(t, err, auth.ErrInvalidCredentials)
				}
			},
			call: func(ctx context.Context, f *flow) (auth.Tokens, error) {
				tokens, err := f.limited.Login(ctx, auth.LoginInput{Email: f.address, Password: password, Client: aClient()})
				if _, ok := errors.AsType[*auth.RateLimitError](err); ok {
					err = errLimited
				}
				return tokens, err
			},
			events: func(*flow) []auth.Event {
				return []auth.Event{{Kind: auth.EventLimited, Client: aClient(), Reason: "login_account"}}
			},
		},
		{
			name: "refresh", call: refreshing,
			events: func(f *flow) []auth.Event { return f.about(auth.EventRefreshed, f.first.SessionID) },
		},
		{
			name: "refresh, reply of the store lost", call: refreshing,
			before: func(_ *testing.T, f *flow) { f.script.after = failing(auth.ErrUnavailable, rotateSession, 1) },
			events: func(f *flow) []auth.Event { return f.about(auth.EventRefreshed, f.first.SessionID) },
		},
		{
			name: "refresh, retried", before: rotated(1, 7*time.Second), call: refreshing,
			events: func(f *flow) []auth.Event {
				return f.about(auth.EventRefreshRetried, f.first.SessionID, late(1, 7*time.Second))
			},
		},
		{
			name: "refresh, three behind", before: rotated(3, 40*time.Second), call: refreshing,
			events: func(f *flow) []auth.Event {
				return f.about(auth.EventRefreshRetried, f.first.SessionID, late(3, 40*time.Second))
			},
		},
		{
			name: "reuse", before: rotated(2, 3*time.Minute), call: refreshing, want: auth.ErrSessionEnded,
			events: func(f *flow) []auth.Event {
				return f.about(auth.EventReuse, f.first.SessionID, late(2, 3*time.Minute))
			},
		},
		{
			name: "reuse of a token older than those kept", call: refreshing, want: auth.ErrSessionEnded,
			before: func(t *testing.T, f *flow) {
				t.Helper()
				rotated(8, 2*time.Minute)(t, f)
				f.refresh(t, atGeneration(t, f.first.RefreshToken, 9))
				f.advance(time.Minute)
			},
			events: func(f *flow) []auth.Event {
				return f.about(auth.EventReuse, f.first.SessionID, late(9, 3*time.Minute))
			},
		},
		{
			name:   "state lost",
			call:   func(ctx context.Context, f *flow) (auth.Tokens, error) { return f.Refresh(ctx, f.future, aClient()) },
			events: func(f *flow) []auth.Event { return f.about(auth.EventStateLost, f.first.SessionID) },
		},
		{
			name: "reauthentication", call: provingAgain(password),
			before: func(_ *testing.T, f *flow) { f.clock.add(time.Hour) },
			events: func(f *flow) []auth.Event { return f.about(auth.EventReauthenticated, f.first.SessionID) },
		},
		{
			name: "reauthentication, reply of the store lost", call: provingAgain(password),
			before: func(_ *testing.T, f *flow) { f.script.after = failing(auth.ErrUnavailable, rotateSession, 1) },
			events: func(f *flow) []auth.Event { return f.about(auth.EventReauthenticated, f.first.SessionID) },
		},
		{
			name: "reauthentication, wrong password", call: provingAgain("a wrong one"), want: auth.ErrInvalidCredentials,
			events: func(f *flow) []auth.Event {
				return f.about(auth.EventLoginFailed, f.first.SessionID, because("wrong_password"))
			},
		},
		{
			name:   "logout",
			call:   plainCall(func(ctx context.Context, f *flow) error { return f.Logout(ctx, f.first.RefreshToken) }),
			events: func(f *flow) []auth.Event { return f.about(auth.EventLoggedOut, f.first.SessionID, fromNowhere) },
		},
		{
			name: "logout everywhere",
			call: plainCall(func(ctx context.Context, f *flow) error { return f.LogoutAll(ctx, f.id, auth.SessionID{}) }),
			events: func(f *flow) []auth.Event {
				return f.about(auth.EventRevoked, auth.SessionID{}, fromNowhere, because("logout_all"))
			},
		},
		{
			name: "one session revoked",
			call: plainCall(func(ctx context.Context, f *flow) error { return f.RevokeSession(ctx, f.id, f.first.SessionID) }),
			events: func(f *flow) []auth.Event {
				return f.about(auth.EventRevoked, f.first.SessionID, fromNowhere, because("revoked"))
			},
		},
		{
			name: "user disabled",
			call: plainCall(func(ctx context.Context, f *flow) error { return f.DisableUser(ctx, f.id) }),
			events: func(f *flow) []auth.Event {
				return f.about(auth.EventRevoked, auth.SessionID{}, fromNowhere, because("disabled"))
			},
		},
		{
			name: "everybody's sessions revoked",
			call: plainCall(func(ctx context.Context, f *flow) error {
				_, err := f.RevokeAllSessions(ctx, f.clock.Now().Add(time.Hour))
				return err
			}),
			events: func(*flow) []auth.Event { return []auth.Event{{Kind: auth.EventRevoked, Reason: "all"}} },
		},
	}
}
