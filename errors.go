package auth

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Errors that a caller branches on with [errors.Is]. Any other error is a fault of
// the store, of the host's hooks or of ours: log it, and answer 500.
var (
	// ErrInvalidCredentials is Login's answer to an unknown e-mail address, to a wrong
	// password, and to a user that was changed while the password was being checked.
	// Nothing tells the three apart.
	ErrInvalidCredentials = errors.New("auth: incorrect email or password")

	// ErrAccountDisabled is Login's answer to the right password of a user that was
	// disabled, and StartSession's.
	ErrAccountDisabled = errors.New("auth: account is disabled")

	// ErrEmailTaken is Signup's, and must be UserStore.CreateUser's, answer to an
	// address whose canonical key another user has.
	ErrEmailTaken = errors.New("auth: email address is taken")

	// ErrUserNotFound says that no user has this ID or this e-mail key.
	ErrUserNotFound = errors.New("auth: user not found")

	// ErrNoToken says that a request carries no credentials at all.
	ErrNoToken = errors.New("auth: no token")

	// ErrInvalidToken is what every refused access or refresh token Is.
	ErrInvalidToken = errors.New("auth: invalid token")

	// ErrTokenMalformed says that the text is no token of the wanted kind that this
	// Authenticator could have made, or that its claims are not exactly such a token's.
	ErrTokenMalformed = fmt.Errorf("%w: malformed", ErrInvalidToken)

	// ErrTokenSignature says that no current key has signed the token.
	ErrTokenSignature = fmt.Errorf("%w: signature", ErrInvalidToken)

	// ErrTokenExpired says that the token was ours and its time is over.
	ErrTokenExpired = fmt.Errorf("%w: expired", ErrInvalidToken)

	// ErrSessionEnded says that the token was ours and its session is over: logged
	// out, revoked, expired, its user changed or gone, or ended just now because an
	// old refresh token was used again.
	ErrSessionEnded = fmt.Errorf("%w: session ended", ErrInvalidToken)

	// ErrUnavailable says that a store could not do its work here and now: a deadlock,
	// a lost connection, a failover, a deadline; or that more passwords wait to be hashed
	// than Config.HashConcurrency allows for. Whether a write took place is then
	// unknown, so only idempotent operations may be repeated. Stores wrap it around
	// their driver's error; over HTTP it is 503 with Retry-After.
	ErrUnavailable = errors.New("auth: unavailable")

	// ErrUserChanged is RefreshStore.CreateSession's answer when the user is gone or
	// its AuthVersion is not the one that was checked.
	ErrUserChanged = errors.New("auth: user changed")

	// ErrSessionNotFound is the answer of RefreshStore's reads when there is no such row,
	// and RevokeSession's when the session is not the user's.
	ErrSessionNotFound = errors.New("auth: session not found")
)

// ValidationError says which fields of an input are refused. Fields maps the field's
// name as in the JSON body ("name", "email", "password") to a sentence for people.
type ValidationError struct {
	Fields map[string]string
}

// Error lists the fields in the order of their names.
func (e *ValidationError) Error() string {
	var b strings.Builder
	b.WriteString("auth: invalid input")
	for i, name := range slices.Sorted(maps.Keys(e.Fields)) {
		if i == 0 {
			b.WriteString(": ")
		} else {
			b.WriteString("; ")
		}
		b.WriteString(name + ": " + e.Fields[name])
	}
	return b.String()
}

// RateLimitError says that a limit was reached and nothing was done. RetryAfter is how
// long to wait; over HTTP it is 429 with Retry-After in whole seconds, rounded up.
type RateLimitError struct {
	RetryAfter time.Duration
}

// Error says how long to wait.
func (e *RateLimitError) Error() string {
	return fmt.Sprintf("auth: rate limited, retry after %s", e.RetryAfter)
}

// StaleAuthError says that the user has proven too long ago who they are for what was
// asked: Reauthenticate, and ask again with the new tokens. MaxAge is how old that proof
// may be; over HTTP it is 401 with insufficient_user_authentication (RFC 9470).
type StaleAuthError struct {
	MaxAge time.Duration
}

// Error says how old the proof may be.
func (e *StaleAuthError) Error() string {
	return fmt.Sprintf("auth: the user must have authenticated within %s", e.MaxAge)
}
