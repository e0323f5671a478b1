package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// claimsHook is a hook for Config.ExtraClaims, and what it was called with.
type claimsHook struct {
	mu     sync.Mutex
	claims any
	err    error
	calls  []auth.Session
	users  []auth.UserID
	then   func(ctx context.Context)
}

func (h *claimsHook) on(c *auth.Config) { c.ExtraClaims = h.call }

func (h *claimsHook) call(ctx context.Context, id auth.UserID, s auth.Session) (any, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls, h.users = append(h.calls, s), append(h.users, id)
	if h.then != nil {
		h.then(ctx)
	}
	return h.claims, h.err
}

// role is a host's claim.
type role struct {
	Role string `json:"role"`
}

// roleOf is the role that a valid access token says.
func (w *world) roleOf(t *testing.T, accessToken string) string {
	t.Helper()
	claims, err := w.Verify(accessToken)
	require.NoError(t, err)
	var r role
	require.NoError(t, claims.Decode(&r))
	return r.Role
}

// The hook is asked in every login, refresh and proof of the password, and for answers
// within the grace, and each token says what it said last.
func TestExtraClaims(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.freeze()
		hook := &claimsHook{claims: role{"reader"}}
		a, script := w.scripted(t, hook.on)
		w = &world{a, w.stores, w.db, w.clock, w.log, w.pass, w.limiter}
		id := w.signUp(t, ann)
		assert.Empty(t, hook.calls, "a sign-up makes no token")
		calledWith := func(tokens auth.Tokens, role string, authenticated, expires time.Time, client auth.Client) {
			t.Helper()
			require.Len(t, hook.calls, 1)
			s := hook.calls[0]
			assert.Equal(t, id, hook.users[0])
			assert.Equal(t, id, s.UserID)
			assert.Equal(t, tokens.SessionID, s.ID)
			assert.WithinDuration(t, authenticated, s.AuthenticatedAt, 0)
			assert.WithinDuration(t, expires, s.ExpiresAt, 0)
			assert.Equal(t, w.state(t, tokens.SessionID).MaxExpiresAt, s.MaxExpiresAt.UTC())
			assert.Equal(t, client, s.Client)
			assert.Equal(t, role, w.roleOf(t, tokens.AccessToken))
			assert.NotContains(t, segmentOf(t, tokens.RefreshToken, 1), "role")
			hook.calls, hook.users = nil, nil
		}
		began := w.clock.Now()
		first, err := w.Login(t.Context(), auth.LoginInput{Email: ann, Password: password, Client: aClient()})
		require.NoError(t, err)
		calledWith(first, "reader", began, began.Add(24*time.Hour), aClient())
		started, err := w.StartSession(t.Context(), id, aClient())
		require.NoError(t, err)
		calledWith(started, "reader", began, began.Add(24*time.Hour), aClient())

		hook.claims = role{"writer"}
		w.advance(time.Hour)
		refreshed := w.refresh(t, first.RefreshToken)
		calledWith(refreshed, "writer", began, w.clock.Now().Add(24*time.Hour), auth.Client{})
		assert.Equal(t, "reader", w.roleOfExpired(t, first.AccessToken), "a token that was given stays as it is")

		hook.claims = role{"admin"}
		w.advance(30 * time.Second)
		retried := w.refresh(t, first.RefreshToken)
		assert.Equal(t, refreshed.RefreshToken, retried.RefreshToken)
		calledWith(retried, "admin", began, w.clock.Now().Add(24*time.Hour), auth.Client{})

		hook.claims = role{"owner"}
		w.advance(time.Minute)
		proven, err := provingAgain(password)(t.Context(), &flow{world: w, id: id, first: first})
		require.NoError(t, err)
		calledWith(proven, "owner", w.clock.Now(), w.clock.Now().Add(24*time.Hour), aClient())
		hook.claims = nil
		last := w.refresh(t, proven.RefreshToken)
		calledWith(last, "", w.clock.Now(), w.clock.Now().Add(24*time.Hour), auth.Client{})
		assert.NotEmpty(t, script.calls())
	})
}

// roleOfExpired is roleOf for a token whose time is over.
func (w *world) roleOfExpired(t *testing.T, accessToken string) string {
	t.Helper()
	r := decodeJSON[role](t, segmentOf(t, accessToken, 1))
	return r.Role
}

// The hook runs before anything is written, and with the call's context.
func TestExtraClaimsComeBeforeEveryWrite(t *testing.T) {
	type key struct{}
	const asked = "ExtraClaims"
	hook := &claimsHook{claims: role{"reader"}}
	w := onMemory(t)
	id := w.signUp(t, ann)
	tokens := w.logIn(t, ann)
	a, script := w.scripted(t, hook.on)
	hook.then = func(ctx context.Context) {
		assert.Equal(t, "a trace", ctx.Value(key{}))
		script.note(ctx, asked)
	}
	ctx := context.WithValue(t.Context(), key{}, "a trace")
	f := &flow{world: &world{Authenticator: a}, address: ann, id: id, first: tokens}
	for _, step := range []struct {
		name  string
		call  func(context.Context, *flow) (auth.Tokens, error)
		order []string
	}{
		{"login", loggingIn(password), []string{userByEmail, asked, createSession}},
		{"start of a session", func(ctx context.Context, f *flow) (auth.Tokens, error) { return f.StartSession(ctx, id, aClient()) }, []string{userByID, asked, createSession}},
		{"refresh", refreshing, []string{asked, rotateSession}},
		{"answer within the grace", refreshing, []string{asked, rotateSession, readSession}},
		{"reauthentication", provingAgain(password), []string{sessionByID, userByID, readSession, asked, rotateSession}},
	} {
		script.reset()
		_, err := step.call(ctx, f)
		require.NoError(t, err, step.name)
		assert.Equal(t, step.order, script.calls(), step.name)
	}
}

// An error of the hook is 503 and nothing is changed, for as long as it lasts; whatever
// else it Is, a caller can find.
//
// ASVS: 16.5.3.
func TestExtraClaimsThatFail(t *testing.T) {
	errOwn := errors.New("the host's own fault")
	for name, err := range map[string]error{
		"its own":                   errOwn,
		"wrapped":                   fmt.Errorf("roles: %w", errOwn),
		"unavailable":               auth.ErrUnavailable,
		"invalid token":             auth.ErrInvalidToken,
		"expired token":             auth.ErrTokenExpired,
		"session ended":             auth.ErrSessionEnded,
		"no token":                  auth.ErrNoToken,
		"invalid credentials":       auth.ErrInvalidCredentials,
		"disabled":                  auth.ErrAccountDisabled,
		"user changed":              auth.ErrUserChanged,
		"no user":                   auth.ErrUserNotFound,
		"no session":                auth.ErrSessionNotFound,
		"taken":                     auth.ErrEmailTaken,
		"validation":                &auth.ValidationError{Fields: map[string]string{"email": "no"}},
		"limit":                     &auth.RateLimitError{RetryAfter: time.Hour},
		"age":                       &auth.StaleAuthError{MaxAge: time.Hour},
		"canceled":                  context.Canceled,
		"deadline":                  context.DeadlineExceeded,
		"two at once":               errors.Join(auth.ErrInvalidCredentials, auth.ErrUserChanged),
		"the handlers' own problem": handlersError(t),
	} {
		t.Run(name, func(t *testing.T) {
			for mode, edit := range map[string]func(*auth.Config){
				"bearer": func(*auth.Config) {}, "tutorial": func(c *auth.Config) { c.InsecureTutorialMode = true }, "cookies": withCookies,
			} {
				extraClaimsFail(t, err, mode, edit)
			}
		})
	}
}

// handlersError is what a host could have got from one of our handlers.
func handlersError(t *testing.T) error {
	t.Helper()
	_, err := onMemory(t).Verify("x")
	require.ErrorIs(t, err, auth.ErrTokenMalformed)
	return err
}

func extraClaimsFail(t *testing.T, fault error, mode string, edit func(*auth.Config)) {
	t.Helper()
	w := onMemory(t, edit)
	id := w.signUp(t, ann)
	tokens := w.logIn(t, ann)
	hook := &claimsHook{err: fault, claims: role{"not to be used"}}
	recorder := &recorder{}
	a, script := w.scripted(t, edit, hook.on, recorder.on)
	f := &flow{world: &world{Authenticator: a}, address: ann, id: id, first: tokens}
	row, dump := w.row(t, tokens.SessionID), w.dump(t)
	starting := func(ctx context.Context, f *flow) (auth.Tokens, error) { return f.StartSession(ctx, id, aClient()) }
	for name, call := range map[string]func(context.Context, *flow) (auth.Tokens, error){
		"login": loggingIn(password), "start": starting, "refresh": refreshing, "reauthentication": provingAgain(password),
	} {
		got, err := call(t.Context(), f)
		assert.Equal(t, auth.Tokens{}, got)
		require.ErrorIs(t, err, auth.ErrUnavailable, "%s, %s", mode, name)
		require.ErrorIs(t, err, fault, "%s, %s", mode, name)
		require.ErrorContains(t, err, "Config.ExtraClaims: ")
	}
	h := a.Handler("")
	bearer := func(token string) []string { return []string{"Authorization", "Bearer " + token} }
	for _, r := range []*http.Request{
		newRequest(t, "POST", "/login", loginBody(t, ann)),
		newRequest(t, "POST", "/refresh", "", bearer(tokens.RefreshToken)...),
		newRequest(t, "GET", "/refresh", "", bearer(tokens.RefreshToken)...),
		newRequest(t, "POST", "/reauth", object(t, "password", password), bearer(tokens.AccessToken)...),
	} {
		got := direct(t, h, r)
		want := message{Code: "unavailable", Message: "Service Unavailable"}
		if mode == "tutorial" {
			want.Code = ""
		}
		assert.Equal(t, http.StatusServiceUnavailable, got.status, "%s, %s %s", mode, r.Method, r.URL)
		assert.Equal(t, want, got.message(t))
		assert.Equal(t, "1", got.header.Get("Retry-After"))
		assertNoCookies(t, got)
	}
	assert.Empty(t, recorder.take(), mode)
	for _, name := range script.calls() {
		assert.Contains(t, []string{userByEmail, userByID, readSession, sessionByID}, name, "a write")
	}
	assert.Equal(t, row, w.row(t, tokens.SessionID))
	assert.Equal(t, dump, w.dump(t), "no session is left behind")
	assert.Contains(t, w.log.String(), "auth: a request failed")

	w.advance(10 * time.Minute) // ten times Grace
	_, err := refreshing(t.Context(), f)
	require.ErrorIs(t, err, auth.ErrUnavailable)
	hook.err = nil
	_, err = refreshing(t.Context(), f)
	require.NoError(t, err, "a later try finds everything as it was")
	assert.Equal(t, int64(2), w.state(t, tokens.SessionID).Generation)
}

// A retry within the grace whose claims cannot be had changes nothing either.
func TestExtraClaimsThatFailInGrace(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, ann)
	first := w.logIn(t, ann)
	second := w.refresh(t, first.RefreshToken)
	hook := &claimsHook{err: errors.New("down")}
	a := w.another(t, hook.on)
	row := w.row(t, first.SessionID)
	require.ErrorIs(t, refreshError(t, a, first.RefreshToken), auth.ErrUnavailable)
	assert.Equal(t, row, w.row(t, first.SessionID))
	hook.err = nil
	retried, err := a.Refresh(t.Context(), first.RefreshToken, auth.Client{})
	require.NoError(t, err)
	assert.Equal(t, second.RefreshToken, retried.RefreshToken)
}

// The hook may be called by many requests at once.
//
// ASVS: 15.4.1.
func TestExtraClaimsInParallel(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, ann)
		a := w.another(t, noLimits, func(c *auth.Config) {
			c.ExtraClaims = func(_ context.Context, _ auth.UserID, s auth.Session) (any, error) { return role{s.ID.String()}, nil }
		})
		w = &world{a, w.stores, w.db, w.clock, w.log, w.pass, w.limiter}
		var wg sync.WaitGroup
		for range 4 {
			tokens := w.logIn(t, ann)
			for range 10 {
				wg.Go(func() {
					got, err := a.Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
					if !assert.NoError(t, err) {
						return
					}
					claims, err := a.Verify(got.AccessToken)
					var r role
					if assert.NoError(t, err) && assert.NoError(t, claims.Decode(&r)) {
						assert.Equal(t, tokens.SessionID.String(), r.Role)
					}
				})
			}
		}
		wg.Wait()
	})
}

// What a token says stands in the order in which it was given, ours first, so that no
// reader that takes the first of two names, or the last, is told anything else.
func TestExtraClaimsStandBehindOurs(t *testing.T) {
	hook := &claimsHook{claims: role{"admin"}}
	w := onMemory(t, hook.on)
	w.signUp(t, ann)
	var names []string
	for _, m := range membersOf(t, w.logIn(t, ann).AccessToken) {
		names = append(names, m.name)
	}
	assert.Equal(t, []string{"iss", "aud", "sub", "iat", "exp", "jti", "sid", "auth_time", "role"}, names)
	slices.Sort(names)
	assert.Len(t, slices.Compact(names), 9)
}
