package auth

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/ostiary/auth/internal/token"
)

// Requirement is what RequireWith asks of a request beyond a valid access token. The
// zero value asks for nothing more.
type Requirement struct {
	// Live asks the store whether the token's session goes on: it was not ended, has not
	// expired, and its user is there and unchanged. It takes one read, two where the
	// users are the host's own. Without it a session that was ended is accepted until its
	// access token expires.
	Live bool

	// MaxAuthAge is how long ago, give or take Tokens.Leeway, the user may have proven who
	// they are, by Login, StartSession or Reauthenticate. A token that says otherwise is answered with
	// 401 and insufficient_user_authentication (RFC 9470). Default: any time.
	MaxAuthAge time.Duration
}

// Require lets requests with a valid access token through to next, which finds its
// claims by FromContext, and answers all others with 401 (RFC 6750). The token comes in
// the one Authorization header, after the scheme Bearer in any case; without such a
// header, and with Config.Cookies, in its cookie, and then a request that another
// origin's page may have made is answered with 403, unless it is safe.
func (a *Authenticator) Require(next http.Handler) http.Handler {
	return a.RequireWith(Requirement{})(next)
}

// RequireWith is Require for a requirement.
func (a *Authenticator) RequireWith(req Requirement) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			claims, err := a.authenticate(r, req)
			if err != nil {
				a.writeError(w, r, err)
				return
			}
			next.ServeHTTP(w, r.WithContext(a.withGuard(r.Context(), &claims)))
		})
	}
}

// Optional lets requests without credentials through too: FromContext then says that
// there are none. A token that is not valid is still answered with 401, and what Require
// answers with 403 is that here too, so that nobody is taken for anonymous by mistake.
func (a *Authenticator) Optional(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, err := a.authenticate(r, Requirement{})
		switch {
		case err == nil:
			r = r.WithContext(a.withGuard(r.Context(), &claims))
		case errors.Is(err, ErrNoToken):
			r = r.WithContext(a.withGuard(r.Context(), nil))
		default:
			a.writeError(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// authenticate returns the claims of the request's access token, if they meet req.
func (a *Authenticator) authenticate(r *http.Request, req Requirement) (Claims, error) {
	text, err := a.accessToken(r)
	if err != nil {
		return Claims{}, err
	}
	claims, err := a.Verify(text)
	if err != nil {
		return Claims{}, err
	}
	if maxAge := req.MaxAuthAge; maxAge != 0 && a.cfg.Now().After(claims.AuthTime.Add(maxAge).Add(a.cfg.Tokens.Leeway)) {
		return Claims{}, &StaleAuthError{MaxAge: maxAge}
	}
	if req.Live {
		if err := a.checkLive(r.Context(), claims); err != nil {
			return Claims{}, err
		}
	}
	return claims, nil
}

// accessToken returns the request's access token, from the Authorization header or from
// its cookie.
func (a *Authenticator) accessToken(r *http.Request) (string, error) {
	text, err := bearer(r.Header, accessKind)
	if a.cookies == nil || !errors.Is(err, ErrNoToken) {
		return text, err
	}
	text, err = a.cookies.read(r, accessCookie, accessKind)
	if err == nil {
		err = a.cookies.refuseCrossOrigin(r, true)
	}
	return text, err
}

// checkLive returns nil if the claims' session goes on, else ErrSessionEnded or the
// store's error.
func (a *Authenticator) checkLive(ctx context.Context, claims Claims) error {
	ctx, cancel := withStoreDeadline(ctx)
	defer cancel()
	state, err := readStore(ctx, func(ctx context.Context) (SessionState, error) {
		return a.stores.Refresh.SessionByID(ctx, claims.SessionID)
	})
	user := UserRecord{User: User{ID: claims.UserID}}
	if err == nil && !a.stores.SharedUsers {
		user, err = a.userByID(ctx, claims.UserID)
	}
	if errors.Is(err, ErrSessionNotFound) || errors.Is(err, ErrUserNotFound) {
		return ErrSessionEnded
	}
	if err != nil {
		return err
	}
	if !a.live(state, a.now(), user) {
		return ErrSessionEnded
	}
	return nil
}

// The names of the two kinds of token in messages.
const (
	accessKind  = "Authorization"
	refreshKind = "Refresh"
)

// bearer returns the token of the Authorization header (RFC 6750, section 2.1). kind
// names the token in the error, which Is ErrNoToken or ErrTokenMalformed.
func bearer(h http.Header, kind string) (string, error) {
	text, err := token.Bearer(h["Authorization"])
	switch {
	case errors.Is(err, token.ErrNone):
		return "", &credentialsError{kind, ErrNoToken}
	case err != nil:
		return "", &credentialsError{kind, ErrTokenMalformed}
	}
	return text, nil
}

// guardKey is the context's key of a guard.
type guardKey struct{}

// guard is what a request that passed one of the guards above carries.
type guard struct {
	authenticator *Authenticator
	claims        *Claims // nil: anonymous
}

func (a *Authenticator) withGuard(ctx context.Context, claims *Claims) context.Context {
	return context.WithValue(ctx, guardKey{}, guard{a, claims})
}

// FromContext returns the claims of the access token with which a request came through
// Require, RequireWith or Optional; false if it came without, or through none of them.
func FromContext(ctx context.Context) (Claims, bool) {
	g, ok := ctx.Value(guardKey{}).(guard)
	if !ok || g.claims == nil {
		return Claims{}, false
	}
	return *g.claims, true
}

// UserIDFromContext is FromContext for the user's ID alone.
func UserIDFromContext(ctx context.Context) (UserID, bool) {
	claims, ok := FromContext(ctx)
	return claims.UserID, ok
}
