package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// errorRow is an error and its answer. Whatever is empty is not in the response.
type errorRow struct {
	name      string
	err       error
	status    int
	want      message
	challenge string
	retry     string
}

const invalidTokenChallenge = `Bearer error="invalid_token"`

// errorRows has every error that this package returns, and some that it does not.
func errorRows() []errorRow {
	fields := map[string]string{"name": "Name must not be empty.", "email": "Invalid email address."}
	unavailable := message{Code: "unavailable", Message: "Service Unavailable"}
	internal := message{Code: "internal", Message: "Internal Server Error"}
	return []errorRow{
		{"invalid credentials", auth.ErrInvalidCredentials, 401, message{Code: "invalid_credentials", Message: "Incorrect email or password."}, "Bearer", ""},
		{"email taken", auth.ErrEmailTaken, 422, message{Code: "email_taken", Errors: map[string]string{"email": "A user already exists with this e-mail address"}}, "", ""},
		{"user not found", auth.ErrUserNotFound, 404, message{Code: "user_not_found", Message: "User not found"}, "", ""},
		{"no token", auth.ErrNoToken, 401, message{Code: "no_token", Message: "Please provide your Authorization token"}, "Bearer", ""},
		{"invalid token", auth.ErrInvalidToken, 401, message{Code: "invalid_token", Message: "Unauthorized: invalid token"}, invalidTokenChallenge, ""},
		{"malformed", auth.ErrTokenMalformed, 401, message{Code: "invalid_token", Message: "Unauthorized: invalid token"}, invalidTokenChallenge, ""},
		{"signature", auth.ErrTokenSignature, 401, message{Code: "invalid_token", Message: "Unauthorized: invalid token"}, invalidTokenChallenge, ""},
		{"expired", auth.ErrTokenExpired, 401, message{Code: "token_expired", Message: "Unauthorized: token expired"}, invalidTokenChallenge, ""},
		{"session ended", auth.ErrSessionEnded, 401, message{Code: "session_ended", Message: "Unauthorized: session ended"}, invalidTokenChallenge, ""},
		{"unavailable", auth.ErrUnavailable, 503, unavailable, "", "1"},
		{"deadline", context.DeadlineExceeded, 503, unavailable, "", "1"},
		{"canceled", context.Canceled, 503, unavailable, "", "1"},
		{"user changed", auth.ErrUserChanged, 503, unavailable, "", "1"},
		{"session not found", auth.ErrSessionNotFound, 404, message{Code: "session_not_found", Message: "Session not found"}, "", ""},
		{"account disabled", auth.ErrAccountDisabled, 403, message{Code: "account_disabled", Message: "This account is disabled"}, "", ""},
		{
			"authenticated too long ago", &auth.StaleAuthError{MaxAge: 90 * time.Second}, 401,
			message{Code: "insufficient_user_authentication", Message: "Please authenticate again"},
			`Bearer error="insufficient_user_authentication", error_description="A more recent authentication is required", max_age="90"`, "",
		},
		{"a driver's", errors.New("Error 1064: You have an error in your SQL syntax"), 500, internal, "", ""},
		{"validation", &auth.ValidationError{Fields: fields}, 422, message{Code: "validation_failed", Errors: fields}, "", ""},
		{"rate limit", &auth.RateLimitError{RetryAfter: 90 * time.Second}, 429, message{Code: "rate_limited", Message: "Too many requests"}, "", "90"},
		{"rate limit, rounded up", &auth.RateLimitError{RetryAfter: 1001 * time.Millisecond}, 429, message{Code: "rate_limited", Message: "Too many requests"}, "", "2"},
		{"rate limit, at least a second", &auth.RateLimitError{}, 429, message{Code: "rate_limited", Message: "Too many requests"}, "", "1"},
	}
}

func (row errorRow) assert(t *testing.T, got reply) {
	t.Helper()
	assert.Equal(t, row.status, got.status)
	assert.Equal(t, row.want, got.message(t))
	assert.Equal(t, row.challenge, got.header.Get("WWW-Authenticate"))
	assert.Equal(t, row.retry, got.header.Get("Retry-After"))
}

// writing is a host's handler that answers with err.
func writing(err error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { auth.WriteError(w, r, err) })
}

func TestWriteErrorOutsideOfGuards(t *testing.T) {
	for _, row := range errorRows() {
		t.Run(row.name, func(t *testing.T) {
			for _, err := range []error{row.err, fmt.Errorf("host: %w", row.err), errors.Join(errors.New("first"), row.err)} {
				row.assert(t, direct(t, writing(err), newRequest(t, http.MethodGet, "/orders", "")))
			}
		})
	}
}

// Behind a guard the answer is the same, and the cause of a 5xx is in the log once.
func TestWriteErrorBehindGuards(t *testing.T) {
	for _, row := range errorRows() {
		t.Run(row.name, func(t *testing.T) {
			w := onMemory(t)
			w.signUp(t, "ann@example.com")
			r := newRequest(t, http.MethodPut, "/orders", "", "Authorization", "Bearer "+w.logIn(t, "ann@example.com").AccessToken)
			for name, guard := range guards(w) {
				before := len(w.log.String())
				row.assert(t, direct(t, guard(writing(row.err)), r))
				logged := w.log.String()[before:]
				if row.status < http.StatusInternalServerError {
					assert.Empty(t, logged, name)
					continue
				}
				assert.Contains(t, logged, "method=PUT path=/orders", name)
				assert.Contains(t, logged, row.err.Error(), name)
				level := "level=ERROR"
				if errors.Is(row.err, context.Canceled) {
					level = "level=INFO"
				}
				assert.Contains(t, logged, level, name)
			}
		})
	}
}

// A full gate is a warning: a flood that it keeps out is no fault of the application's.
func TestAFullGateIsAWarning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJam(t)
		j.begin()
		j.fill(t)
		before := len(j.log.String())
		got := loginAt(t, j.Authenticator, ann, password, theIP+":1")
		require.Equal(t, http.StatusServiceUnavailable, got.status)
		logged := j.log.String()[before:]
		assert.Equal(t, 1, strings.Count(logged, "\n"), logged)
		assert.Contains(t, logged, "level=WARN")
		assert.Contains(t, logged, "path=/login")
		assert.Contains(t, logged, "gate: busy")
	})
}

func guards(w *world) map[string]func(http.Handler) http.Handler {
	return map[string]func(http.Handler) http.Handler{
		"Require":     w.Require,
		"RequireWith": w.RequireWith(auth.Requirement{Live: true}),
		"Optional":    w.Optional,
	}
}

// An anonymous request came through Optional, and so follows its Authenticator as well.
func TestWriteErrorOfAnAnonymousRequest(t *testing.T) {
	w := onMemory(t, func(c *auth.Config) { c.InsecureTutorialMode = true })
	got := direct(t, w.Optional(writing(auth.ErrUnavailable)), newRequest(t, http.MethodGet, "/", ""))
	assert.Equal(t, http.StatusServiceUnavailable, got.status)
	assert.Equal(t, message{Message: "Service Unavailable"}, got.message(t))
	assert.Contains(t, w.log.String(), `error="auth: unavailable"`)
}

// The tutorial mode has other words and other statuses for some errors, and no codes.
func TestWriteErrorInTutorialMode(t *testing.T) {
	w := onMemory(t, func(c *auth.Config) { c.InsecureTutorialMode = true })
	w.signUp(t, "ann@example.com")
	r := newRequest(t, http.MethodGet, "/", "", "Authorization", "Bearer "+w.logIn(t, "ann@example.com").AccessToken)
	changed := map[string]errorRow{
		"invalid credentials": {status: 422, want: message{Message: "Incorrect password!"}},
		"malformed":           {status: 401, want: message{Message: "Unauthorized: jwt malformed"}, challenge: invalidTokenChallenge},
		"signature":           {status: 401, want: message{Message: "Unauthorized: invalid signature"}, challenge: invalidTokenChallenge},
		"expired":             {status: 401, want: message{Message: "Unauthorized: jwt expired"}, challenge: invalidTokenChallenge},
	}
	for _, row := range errorRows() {
		t.Run(row.name, func(t *testing.T) {
			want, ok := changed[row.name]
			if !ok {
				want = row
				want.want.Code = ""
			}
			want.assert(t, direct(t, w.Require(writing(row.err)), r))
		})
	}
}

// Errors are told apart by what a caller branches on, each by its own.
func TestErrorsAreWhatTheySay(t *testing.T) {
	for _, err := range []error{auth.ErrTokenMalformed, auth.ErrTokenSignature, auth.ErrTokenExpired, auth.ErrSessionEnded} {
		require.ErrorIs(t, err, auth.ErrInvalidToken)
	}
	all := []error{
		auth.ErrInvalidCredentials, auth.ErrEmailTaken, auth.ErrUserNotFound, auth.ErrNoToken, auth.ErrTokenMalformed,
		auth.ErrTokenSignature, auth.ErrTokenExpired, auth.ErrSessionEnded, auth.ErrUnavailable, auth.ErrUserChanged, auth.ErrSessionNotFound,
		auth.ErrAccountDisabled,
	}
	texts := map[string]bool{}
	for i, err := range all {
		assert.Regexp(t, "^auth: [a-z]", err.Error())
		assert.False(t, texts[err.Error()], "two errors say %q", err)
		texts[err.Error()] = true
		for j, other := range all {
			assert.Equal(t, i == j, errors.Is(err, other), "%v is %v", err, other)
		}
	}
	assert.EqualError(t, &auth.ValidationError{Fields: map[string]string{"password": "P.", "email": "E.", "name": "N."}},
		"auth: invalid input: email: E.; name: N.; password: P.")
	assert.EqualError(t, &auth.ValidationError{}, "auth: invalid input")
	assert.EqualError(t, &auth.RateLimitError{RetryAfter: time.Minute}, "auth: rate limited, retry after 1m0s")
	assert.EqualError(t, &auth.StaleAuthError{MaxAge: time.Minute}, "auth: the user must have authenticated within 1m0s")
}

// The fault of a store is told to the host's log alone.
//
// ASVS: 16.3.4, 16.5.1.
func TestFaultsOfStoresStayInTheLog(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, "ann@example.com")
	tokens := w.logIn(t, "ann@example.com")
	a, script := w.scripted(t)
	s := serve(t, a.Handler(""))
	cause := errors.New("Error 1146 (42S02): Table 'app.users' doesn't exist")
	script.before = func(context.Context, string, int) error { return cause }
	for _, got := range []reply{
		s.do(t, http.MethodPost, "/signup", signupBody(t, "bob@example.com")),
		s.do(t, http.MethodPost, "/login", loginBody(t, "ann@example.com")),
		s.do(t, http.MethodPost, "/refresh", "", "Authorization", "Bearer "+tokens.RefreshToken),
		s.do(t, http.MethodGet, "/profile", "", "Authorization", "Bearer "+tokens.AccessToken),
	} {
		assert.Equal(t, http.StatusInternalServerError, got.status)
		assert.Equal(t, message{Code: "internal", Message: "Internal Server Error"}, got.message(t))
		assert.Contains(t, w.log.String(), cause.Error())
	}
	for _, path := range []string{"/signup", "/login", "/refresh", "/profile"} {
		assert.Contains(t, w.log.String(), "path="+path)
	}
}
