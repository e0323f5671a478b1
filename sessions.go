package auth

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// StartSession logs a user in without a password: right after sign-up, or when the host
// has proven by other means who it is. It returns ErrUserNotFound; ErrUserChanged if the
// user was changed meanwhile and no session was started; ErrUnavailable if the store
// could not tell.
func (a *Authenticator) StartSession(ctx context.Context, id UserID, c Client) (Tokens, error) {
	user, err := a.userByID(ctx, id)
	if err != nil {
		return Tokens{}, err
	}
	return a.startSession(ctx, user, c)
}

// startSession stores a session of a user that was just read. The tokens are signed
// before, so that a signer that fails leaves nothing behind.
func (a *Authenticator) startSession(ctx context.Context, user UserRecord, c Client) (Tokens, error) {
	now := a.now()
	session := Session{
		ID:              newSessionID(now),
		UserID:          user.ID,
		AuthenticatedAt: now,
		ExpiresAt:       now.Add(a.cfg.Tokens.IdleTTL),
		MaxExpiresAt:    now.Add(a.cfg.Tokens.MaxTTL),
		Client:          c.clean(),
	}
	tokens, err := a.codecs.mint(session, 1, now)
	if err != nil {
		return Tokens{}, err
	}
	storeCtx, cancel := withStoreDeadline(ctx)
	defer cancel()
	err = retry(storeCtx, func() error {
		return a.stores.Refresh.CreateSession(storeCtx, session, user.AuthVersion)
	})
	if err == nil && !a.stores.SharedUsers {
		err = a.recheckUser(ctx, session, user.AuthVersion)
	}
	if err != nil {
		return Tokens{}, err
	}
	return tokens, nil
}

// recheckUser reads the user once more, after its session was stored: where the sessions'
// store does not hold the users, it could not compare the AuthVersion itself. A session
// that must not be is revoked, as is one whose user could not be read.
func (a *Authenticator) recheckUser(ctx context.Context, s Session, authVersion int64) error {
	user, err := a.userByID(ctx, s.UserID)
	if err == nil && user.AuthVersion == authVersion {
		return nil
	}
	if revokeErr := a.revoke(ctx, s.ID, s.UserID, ReasonUserChanged); revokeErr != nil {
		return revokeErr
	}
	if err == nil || errors.Is(err, ErrUserNotFound) {
		return ErrUserChanged
	}
	return err
}

// Refresh replaces a refresh token by its successor and returns that with a new access
// token. Of any number of uses of one token, at the same time or within Grace after it
// was replaced, each returns the session's one current refresh token. A use later than
// that, of a token that has not expired, ends the session, since only a thief or the
// robbed can be so far behind (RFC 9700, section 4.14.2).
//
// It returns an error that Is ErrInvalidToken if the token is not ours or its session is
// over; a *RateLimitError if the session was refreshed 8 times within Grace;
// ErrUnavailable if the store could not do it or tell: a retry within Grace then gets
// what this call would have returned; under StrictRotation it ends the session if the
// token was replaced and every reply lost. Any other error is a fault, and nothing was
// consumed.
func (a *Authenticator) Refresh(ctx context.Context, refreshToken string, c Client) (Tokens, error) {
	claims, err := a.codecs.verifyRefresh(refreshToken)
	if err != nil {
		return Tokens{}, err
	}
	now := a.now()
	// The row's expiry decides. This one only spares the store old tokens: it is late by
	// Grace, so that a retry of the last refresh before the end still gets its answer.
	if now.After(claims.expiresAt.Add(a.cfg.Tokens.Grace)) {
		return Tokens{}, ErrTokenExpired
	}
	ctx, cancel := withStoreDeadline(ctx)
	defer cancel()
	r := refresh{Authenticator: a, claims: claims, now: now}
	if err := r.prepare(ctx, c.clean()); err != nil {
		return Tokens{}, err
	}
	return r.run(ctx)
}

// refresh is one call of Refresh.
type refresh struct {
	*Authenticator
	claims   refreshClaims
	now      time.Time
	rotation Rotation
	tokens   Tokens // the successor's, signed before the store is asked for it
}

// prepare does everything that can fail, so that the rotation is the last step that can.
func (r *refresh) prepare(ctx context.Context, c Client) error {
	r.rotation = Rotation{
		Session:    r.claims.session,
		UserID:     r.claims.user,
		Generation: r.claims.generation,
		Now:        r.now,
		ExpiresAt:  earlier(r.now.Add(r.cfg.Tokens.IdleTTL), r.claims.maxExpiresAt),
		Client:     c,
	}
	_, _ = rand.Read(r.rotation.Attempt[:]) // crypto/rand never fails: it ends the program instead
	if !r.cfg.InsecureNoLimits {
		r.rotation.Window = r.cfg.Tokens.Grace
	}
	if !r.stores.SharedUsers {
		user, err := r.userByID(ctx, r.claims.user)
		if errors.Is(err, ErrUserNotFound) {
			return ErrSessionEnded
		}
		if err != nil {
			return err
		}
		r.rotation.AuthVersion, r.rotation.UserCreatedAt = user.AuthVersion, user.CreatedAt
	}
	var err error
	r.tokens, err = r.codecs.mint(Session{
		ID:              r.claims.session,
		UserID:          r.claims.user,
		AuthenticatedAt: r.claims.authTime,
		ExpiresAt:       r.rotation.ExpiresAt,
		MaxExpiresAt:    r.claims.maxExpiresAt,
	}, r.claims.generation+1, r.now)
	return err
}

// run sends the rotation, judges the row where it changed nothing, and sends it again
// where that is the verdict or the store failed: storeTries times at most.
func (r *refresh) run(ctx context.Context) (Tokens, error) {
	rotate := r.stores.Refresh.RotateSession
	recovering := false
	var err error
	for try := 1; ; try++ {
		var won bool
		won, err = rotate(ctx, r.rotation)
		if err == nil && won {
			if recovering {
				r.logRecovered(ctx)
			}
			return r.tokens, nil
		}
		if err == nil {
			state, err := r.read(ctx)
			if err != nil {
				return Tokens{}, err
			}
			switch v := r.judge(state); v {
			case verdictAgain:
				rotate, recovering = r.stores.Refresh.RotateSession, false
			case verdictLost:
				rotate, recovering = r.stores.Refresh.RecoverSession, true
			default:
				if recovering && v == verdictOwnWin {
					r.logRecovered(ctx)
				}
				return r.answer(ctx, v, state)
			}
		} else if !errors.Is(err, ErrUnavailable) {
			return Tokens{}, err
		}
		if try == storeTries || !pause(ctx, try) {
			break
		}
	}
	if err == nil {
		err = fmt.Errorf("%w: the session's row kept changing", ErrUnavailable)
	}
	return Tokens{}, err
}

// read is the judging read.
func (r *refresh) read(ctx context.Context) (SessionState, error) {
	state, err := readStore(ctx, func(ctx context.Context) (SessionState, error) {
		return r.stores.Refresh.ReadSession(ctx, r.claims.session)
	})
	if errors.Is(err, ErrSessionNotFound) {
		return SessionState{}, ErrSessionEnded
	}
	return state, err
}

// verdict is what a row means for a rotation that changed nothing.
type verdict int

const (
	verdictEnded   verdict = iota // the session is over, or another's
	verdictOwnWin                 // this very attempt had succeeded; its reply was lost
	verdictGrace                  // an old token, within Grace: answer with the current one
	verdictReuse                  // an old token, after Grace: revoke
	verdictLimited                // the current token, and too many rotations within Grace
	verdictAgain                  // the current token: what was in the way is gone
	verdictLost                   // a token of the future: the store lost writes
)

// judge looks at a row in the order that the verdicts stand in. Ages are the store's own;
// a negative one counts as none.
func (r *refresh) judge(s SessionState) verdict {
	behind := s.Generation - r.claims.generation
	switch {
	case !r.live(s, r.claims.user, r.now, r.rotation.AuthVersion, r.rotation.UserCreatedAt):
		return verdictEnded
	case behind == 1 && s.RotatedBy == r.rotation.Attempt:
		return verdictOwnWin
	case behind > 0:
		// Of a generation older than those kept, all that is known is that it retired
		// before the oldest of them.
		i := int(min(behind, RetiredKept)) - 1
		if i < len(s.Retired) && !r.cfg.Tokens.StrictRotation && age(s, i) <= r.cfg.Tokens.Grace {
			return verdictGrace
		}
		return verdictReuse
	case behind < 0:
		return verdictLost
	case r.rotation.Window > 0 && len(s.Retired) == RetiredKept && age(s, RetiredKept-1) <= r.rotation.Window:
		return verdictLimited
	default:
		return verdictAgain
	}
}

// age is how long ago the i-th newest retirement was when the row was read.
func age(s SessionState, i int) time.Duration { return max(0, s.ReadAt.Sub(s.Retired[i])) }

// live says whether a row is a session that goes on, of this user. authVersion and
// userCreatedAt are the user's where the store does not hold it.
func (a *Authenticator) live(s SessionState, user UserID, now time.Time, authVersion int64, userCreatedAt time.Time) bool {
	if s.UserID != user || !s.RevokedAt.IsZero() || !s.ExpiresAt.After(now) {
		return false
	}
	if a.stores.SharedUsers {
		return s.UserCurrent
	}
	return s.AuthVersion == authVersion && !userCreatedAt.After(s.CreatedAt.Add(CreationSlack))
}

// answer turns a verdict that ends the call into its result.
func (r *refresh) answer(ctx context.Context, v verdict, s SessionState) (Tokens, error) {
	switch v {
	case verdictOwnWin, verdictGrace:
		return r.codecs.mint(s.Session, s.Generation, r.now)
	case verdictReuse:
		if err := r.revoke(ctx, s.ID, s.UserID, ReasonReuse); err != nil {
			return Tokens{}, err
		}
		r.cfg.Logger.WarnContext(ctx, "auth: an old refresh token was used again: its session is revoked",
			append(r.logAttrs(), slog.Int64("behind", s.Generation-r.claims.generation))...)
		return Tokens{}, ErrSessionEnded
	case verdictLimited:
		return Tokens{}, &RateLimitError{RetryAfter: r.rotation.Window - age(s, RetiredKept-1)}
	default:
		return Tokens{}, ErrSessionEnded
	}
}

func (r *refresh) logRecovered(ctx context.Context) {
	r.cfg.Logger.WarnContext(ctx, "auth: the store had lost rotations of a session: recovered", r.logAttrs()...)
}

func (r *refresh) logAttrs() []any {
	attrs := []any{
		slog.String("user", string(r.claims.user)),
		slog.String("session", r.claims.session.String()),
	}
	if ip := r.rotation.Client.IP; ip.IsValid() {
		attrs = append(attrs, slog.String("ip", ip.String()))
	}
	return attrs
}

// revoke ends a session for good. It was decided, so it does not hang on whether the
// client still waits. That it could not be done Is ErrUnavailable, whatever the cause.
func (a *Authenticator) revoke(ctx context.Context, id SessionID, user UserID, reason string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeDeadline)
	defer cancel()
	err := retry(ctx, func() error { return a.stores.Refresh.RevokeSession(ctx, id, user, reason) })
	if err != nil {
		return fmt.Errorf("%w: revoke: %w", ErrUnavailable, err)
	}
	return nil
}

// Logout ends the session of a refresh token that is ours, of whatever generation and
// age. After it no refresh token of the session works; its access tokens do until they
// expire, save where RequireWith's Live asks. That the session was over before is no
// error. It returns an error that Is ErrInvalidToken, or ErrUnavailable, and then the
// session may go on.
func (a *Authenticator) Logout(ctx context.Context, refreshToken string) error {
	claims, err := a.codecs.verifyRefresh(refreshToken)
	if err != nil {
		return err
	}
	return a.revoke(ctx, claims.session, claims.user, ReasonLogout)
}

// newSessionID is 48 bits of milliseconds, so that rows of one time lie together in the
// store's index, and 80 random ones.
func newSessionID(now time.Time) SessionID {
	var id SessionID
	_, _ = rand.Read(id[:]) // crypto/rand never fails: it ends the program instead
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(now.UnixMilli()))
	copy(id[:6], ms[2:])
	return id
}

// maxUserAgent is how many code points of a user agent are kept.
const maxUserAgent = 255

// clean is the client as it is stored: IPv4 in IPv6 unmapped, no zone, the user agent
// valid UTF-8 of at most maxUserAgent code points without control characters.
func (c Client) clean() Client {
	c.IP = c.IP.Unmap().WithZone("")
	ua := strings.ToValidUTF8(c.UserAgent, "\uFFFD")
	ua = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, ua)
	if utf8.RuneCountInString(ua) > maxUserAgent {
		ua = string([]rune(ua)[:maxUserAgent])
	}
	c.UserAgent = ua
	return c
}
