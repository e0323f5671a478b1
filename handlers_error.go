package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/ostiary/auth/internal/gate"
)

// WriteError answers a request with what the handlers of this package answer for err: a
// JSON body with status, code and message, or errors by field. An error that is none of
// this package's is a 500 without a word of it. Behind Require, Optional and RequireWith
// it follows the Authenticator's mode, and causes of 5xx go to its Logger; elsewhere the
// caller logs them.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	if guard, ok := r.Context().Value(guardKey{}).(guard); ok {
		guard.authenticator.writeError(w, r, err)
		return
	}
	writeProblem(w, problemOf(err))
}

// writeError is WriteError for the Authenticator's own handlers.
func (a *Authenticator) writeError(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	if p.status >= http.StatusInternalServerError {
		a.cfg.Logger.Log(r.Context(), faultLevel(err), "auth: a request failed",
			slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Any("error", err))
	}
	if a.cfg.InsecureTutorialMode {
		p = tutorialProblem(err, p)
	}
	writeProblem(w, p)
}

// faultLevel keeps out of the errors clients that hung up, and those of a flood that found
// no place before the hashing: the gate does what it is for.
func faultLevel(err error) slog.Level {
	switch {
	case errors.Is(err, context.Canceled):
		return slog.LevelInfo
	case errors.Is(err, gate.ErrBusy):
		return slog.LevelWarn
	default:
		return slog.LevelError
	}
}

// problem is an error as a response tells it. It says what the client may know, never
// the cause.
type problem struct {
	status     int
	code       string // stable, for programs
	message    string // for people
	fields     map[string]string
	challenge  string // WWW-Authenticate; every 401 has one
	retryAfter string
	allow      string
}

// requestError is a request that is refused before anything is done.
type requestError struct {
	problem problem
}

func (e *requestError) Error() string { return "auth: " + e.problem.message }

// credentialsError is a request whose token is missing or not where it should be. kind
// names the token for people.
type credentialsError struct {
	kind string
	err  error // ErrNoToken or ErrTokenMalformed
}

func (e *credentialsError) Error() string { return e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

const (
	challengeNone    = "Bearer" // no credentials, no error code (RFC 6750, section 3.1)
	challengeInvalid = `Bearer error="invalid_token"`
)

// problemOf is the table of errors and their answers.
func problemOf(err error) problem {
	var (
		request     *requestError
		validation  *ValidationError
		limited     *RateLimitError
		credentials *credentialsError
		authAge     *StaleAuthError
	)
	switch {
	case errors.As(err, &request):
		return request.problem
	case errors.Is(err, ErrUnavailable): // whatever a hook's error Is beside
		return unavailable()
	case errors.As(err, &validation):
		return problem{status: http.StatusUnprocessableEntity, code: "validation_failed", fields: validation.Fields}
	case errors.Is(err, ErrEmailTaken):
		return problem{
			status: http.StatusUnprocessableEntity, code: "email_taken",
			fields: map[string]string{"email": "A user already exists with this e-mail address"},
		}
	case errors.Is(err, ErrInvalidCredentials):
		return unauthorized("invalid_credentials", "Incorrect email or password.", challengeNone)
	case errors.As(err, &credentials):
		if errors.Is(err, ErrNoToken) {
			return unauthorized("no_token", "Please provide your "+credentials.kind+" token", challengeNone)
		}
		return unauthorized("invalid_token", "Invalid "+credentials.kind+" token", challengeInvalid)
	case errors.Is(err, ErrNoToken):
		return unauthorized("no_token", "Please provide your Authorization token", challengeNone)
	case errors.Is(err, ErrTokenExpired):
		return unauthorized("token_expired", "Unauthorized: token expired", challengeInvalid)
	case errors.Is(err, ErrSessionEnded):
		return unauthorized("session_ended", "Unauthorized: session ended", challengeInvalid)
	case errors.Is(err, ErrInvalidToken):
		return unauthorized("invalid_token", "Unauthorized: invalid token", challengeInvalid)
	case errors.As(err, &authAge):
		return unauthorized("insufficient_user_authentication", "Please authenticate again", challengeAuthAge(authAge.MaxAge))
	case errors.Is(err, ErrAccountDisabled):
		return problem{status: http.StatusForbidden, code: "account_disabled", message: "This account is disabled"}
	case errors.Is(err, ErrUserNotFound):
		return problem{status: http.StatusNotFound, code: "user_not_found", message: "User not found"}
	case errors.Is(err, ErrSessionNotFound):
		return problem{status: http.StatusNotFound, code: "session_not_found", message: "Session not found"}
	case errors.As(err, &limited):
		return problem{
			status: http.StatusTooManyRequests, code: "rate_limited", message: "Too many requests",
			retryAfter: seconds(max(1, limited.RetryAfter)),
		}
	case errors.Is(err, ErrUserChanged), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return unavailable()
	default:
		return problem{status: http.StatusInternalServerError, code: "internal", message: "Internal Server Error"}
	}
}

func unavailable() problem {
	return problem{
		status: http.StatusServiceUnavailable, code: "unavailable", message: "Service Unavailable",
		retryAfter: "1",
	}
}

// challengeAuthAge asks for a newer authentication (RFC 9470, section 3).
func challengeAuthAge(maxAge time.Duration) string {
	return fmt.Sprintf(`Bearer error="insufficient_user_authentication", error_description="A more recent authentication is required", max_age="%d"`,
		max(0, int64(maxAge.Seconds())))
}

func unauthorized(code, message, challenge string) problem {
	return problem{status: http.StatusUnauthorized, code: code, message: message, challenge: challenge}
}

func writeProblem(w http.ResponseWriter, p problem) {
	for name, value := range map[string]string{
		"WWW-Authenticate": p.challenge,
		"Retry-After":      p.retryAfter,
		"Allow":            p.allow,
	} {
		if value != "" {
			w.Header().Set(name, value)
		}
	}
	writeJSON(w, p.status, struct {
		Status  int               `json:"status"`
		Code    string            `json:"code,omitempty"`
		Message string            `json:"message,omitempty"`
		Errors  map[string]string `json:"errors,omitempty"`
	}{p.status, p.code, p.message, p.fields})
}

// writeJSON writes a whole response; body's field status must equal status.
func writeJSON(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil { // our own types only: they encode
		status, b = http.StatusInternalServerError, fmt.Appendf(nil, `{"status":%d}`, http.StatusInternalServerError)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b) // the client hung up: nobody is left to tell
}

// seconds is d in whole seconds, rounded up, for Retry-After (RFC 9110, section 10.2.3).
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
