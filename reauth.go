package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// ReauthInput is what a user typed to prove once more who they are. It redacts itself when
// it is printed or logged.
type ReauthInput struct {
	Password    string
	Client      Client
	DeviceToken string // as LoginInput's
}

// Format writes nothing of the input, whatever the verb.
func (ReauthInput) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "auth.ReauthInput{REDACTED}")
}

// LogValue holds nothing of the input.
func (ReauthInput) LogValue() slog.Value { return slog.StringValue("REDACTED") }

// Reauthenticate has a user prove once more who they are, with the password, in a session
// that goes on: it returns new tokens of it whose AuthTime is now, which RequireWith's
// MaxAuthAge asks for (RFC 9470). The claims are those of the session's access token, as
// Verify or FromContext gave them. The session's refresh token is replaced, so that a
// refresh that is under way gets the new AuthTime too; under StrictRotation, which has no
// grace for it, it ends the session.
//
// It returns a *ValidationError for what can be nobody's password; ErrInvalidCredentials
// if it is wrong, or was changed while it was being checked; ErrSessionEnded; a
// *RateLimitError as Login and Refresh do, with the budgets of Login; ErrUnavailable if too
// many passwords are being hashed, or if the store or Config.ExtraClaims could not do it or
// tell.
func (a *Authenticator) Reauthenticate(ctx context.Context, claims Claims, in ReauthInput) (tokens Tokens, err error) {
	in.Password = a.trim(in.Password)
	if problem := a.loginPasswordProblem(in.Password); problem != "" {
		return Tokens{}, &ValidationError{Fields: map[string]string{"password": problem}}
	}
	// Whoever has the token of a session that is over must not learn whether a password is
	// right.
	if err := a.checkLive(ctx, claims); err != nil {
		return Tokens{}, err
	}
	user, err := a.userByID(ctx, claims.UserID)
	if errors.Is(err, ErrUserNotFound) {
		return Tokens{}, ErrSessionEnded
	}
	if err != nil {
		return Tokens{}, err
	}
	try, err := a.begin(ctx, user.EmailKey, in.DeviceToken, in.Client)
	if err != nil {
		return Tokens{}, err
	}
	defer func() { try.end(ctx, err) }()
	return try.reauthenticate(ctx, user, claims.SessionID, in.Password)
}

func (t *attempt) reauthenticate(ctx context.Context, user UserRecord, id SessionID, password string) (Tokens, error) {
	event := Event{Kind: EventLoginFailed, UserID: user.ID, SessionID: id, Client: t.client}
	ok, err := t.check(ctx, user, password)
	if err != nil {
		return Tokens{}, err
	}
	if !ok {
		event.Reason = ReasonWrongPassword
		t.emit(ctx, event)
		return Tokens{}, ErrInvalidCredentials
	}
	ctx, cancel := withStoreDeadline(ctx)
	defer cancel()
	if !t.stores.SharedUsers { // the rotation compares the session with what was read here
		again, err := t.userByID(ctx, user.ID)
		if errors.Is(err, ErrUserNotFound) {
			return Tokens{}, ErrSessionEnded
		}
		if err != nil {
			return Tokens{}, err
		}
		if again.AuthVersion != user.AuthVersion || again.Disabled {
			return Tokens{}, ErrInvalidCredentials
		}
	}
	tokens, err := t.rotateAuthenticated(ctx, user, id, t.client.clean())
	if err != nil {
		return Tokens{}, err
	}
	event.Kind = EventReauthenticated
	t.emit(ctx, event)
	return tokens, nil
}

// rotateAuthenticated rotates the session, whatever its generation. Where a refresh came
// before it, it begins anew; the limit of rotations within Grace bounds how often.
func (a *Authenticator) rotateAuthenticated(ctx context.Context, user UserRecord, id SessionID, c Client) (Tokens, error) {
	now := a.now()
	r := a.newRotation(id, user, now, c)
	r.AuthenticatedAt = now
	var tokens Tokens
	for races, failures := 0, 0; ; {
		state, err := a.readSession(ctx, id)
		switch {
		case err != nil:
			return Tokens{}, err
		case !a.live(state, now, user):
			return Tokens{}, ErrSessionEnded
		case state.AuthVersion != user.AuthVersion: // the password that was checked is an older one
			return Tokens{}, ErrInvalidCredentials
		case state.RotatedBy == r.Attempt: // the reply to the last try was lost on the way
			return tokens, nil
		case exhausted(state, r.Window):
			return Tokens{}, a.limitedRotation(ctx, state, r.Window, c)
		}
		r.Generation, r.ExpiresAt = state.Generation, a.idleEnd(now, state.MaxExpiresAt)
		next := state.Session
		next.AuthenticatedAt, next.ExpiresAt, next.Client = now, r.ExpiresAt, c
		extra, err := a.extraClaims(ctx, next)
		if err != nil {
			return Tokens{}, err
		}
		if tokens, err = a.mint(next, r.Generation+1, now, extra); err != nil {
			return Tokens{}, err
		}
		won, err := a.stores.Refresh.RotateSession(ctx, r)
		switch {
		case err == nil && won:
			return tokens, nil
		case err == nil:
			races++
			err = errRowChanges
		case errors.Is(err, ErrUnavailable):
			failures++
		default:
			return Tokens{}, err
		}
		if races > RetiredKept || failures == storeTries || !pause(ctx, 1) {
			return Tokens{}, err
		}
	}
}
