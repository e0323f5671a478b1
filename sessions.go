package auth

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// StartSession logs a user in without a password: right after sign-up, or when the host
// has proven by other means who it is. It returns ErrUserNotFound; ErrAccountDisabled;
// ErrUserChanged if the user was changed meanwhile and no session was started;
// ErrUnavailable if the store or Config.ExtraClaims could not tell.
func (a *Authenticator) StartSession(ctx context.Context, id UserID, c Client) (Tokens, error) {
	user, err := a.userByID(ctx, id)
	if err != nil {
		return Tokens{}, err
	}
	return a.startSession(ctx, user, c)
}

// startSession stores a session of a user that was just read. The tokens are signed
// before, so that a hook or a signer that fails leaves nothing behind.
func (a *Authenticator) startSession(ctx context.Context, user UserRecord, c Client) (Tokens, error) {
	if user.Disabled {
		return Tokens{}, ErrAccountDisabled
	}
	now := a.now()
	session := Session{
		ID:              newSessionID(now),
		UserID:          user.ID,
		AuthenticatedAt: now,
		ExpiresAt:       a.idleEnd(now, now.Add(a.cfg.Tokens.MaxTTL)),
		MaxExpiresAt:    now.Add(a.cfg.Tokens.MaxTTL),
		Client:          c.clean(),
	}
	extra, err := a.extraClaims(ctx, session)
	if err != nil {
		return Tokens{}, err
	}
	tokens, err := a.mint(session, 1, now, extra)
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
	a.emit(ctx, Event{Kind: EventLoggedIn, UserID: user.ID, SessionID: session.ID, Client: c})
	return tokens, nil
}

// mint signs both tokens of a session at a generation, and makes sure that a browser
// would keep them.
func (a *Authenticator) mint(s Session, generation int64, now time.Time, extra []byte) (Tokens, error) {
	t, err := a.codecs.mint(s, generation, now, extra)
	if err == nil && a.cookies != nil {
		err = a.cookies.fit(t)
	}
	if err != nil {
		return Tokens{}, err
	}
	return t, nil
}

// recheckUser reads the user once more, after its session was stored: where the sessions'
// store does not hold the users, it could not compare the AuthVersion itself. A session
// that must not be is revoked, as is one whose user could not be read.
func (a *Authenticator) recheckUser(ctx context.Context, s Session, authVersion int64) error {
	user, err := a.userByID(ctx, s.UserID)
	if err == nil && user.AuthVersion == authVersion && !user.Disabled {
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
// ErrUnavailable if the store or Config.ExtraClaims could not do it or tell: a retry
// within Grace then gets what this call would have returned; under StrictRotation it ends
// the session if the token was replaced and every reply lost. Any other error is a fault,
// and nothing was consumed.
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
	user     UserRecord // its ID alone where the sessions' store holds the users
	rotation Rotation
	extra    []byte // the host's claims
	tokens   Tokens // the successor's, signed before the store is asked for it
}

// prepare does everything that can fail, so that the rotation is the last step that can.
func (r *refresh) prepare(ctx context.Context, c Client) error {
	r.user.ID = r.claims.user
	if !r.stores.SharedUsers {
		var err error
		r.user, err = r.userByID(ctx, r.claims.user)
		if errors.Is(err, ErrUserNotFound) || err == nil && r.user.Disabled {
			return ErrSessionEnded
		}
		if err != nil {
			return err
		}
	}
	r.rotation = r.newRotation(r.claims.session, r.user, r.now, c)
	r.rotation.Generation = r.claims.generation
	r.rotation.ExpiresAt = r.idleEnd(r.now, r.claims.maxExpiresAt)
	r.rotation.AuthenticatedAt = r.claims.authTime
	successor := Session{
		ID:              r.claims.session,
		UserID:          r.claims.user,
		AuthenticatedAt: r.claims.authTime,
		ExpiresAt:       r.rotation.ExpiresAt,
		MaxExpiresAt:    r.claims.maxExpiresAt,
		Client:          c,
	}
	var err error
	if r.extra, err = r.extraClaims(ctx, successor); err != nil {
		return err
	}
	r.tokens, err = r.mint(successor, r.claims.generation+1, r.now, r.extra)
	return err
}

// newRotation is an attempt of its own on a session of the user's. What the row or the
// token says, Generation and ExpiresAt, is still to be set.
func (a *Authenticator) newRotation(id SessionID, user UserRecord, now time.Time, c Client) Rotation {
	r := Rotation{Session: id, UserID: user.ID, Now: now, Client: c}
	_, _ = rand.Read(r.Attempt[:]) // crypto/rand never fails: it ends the program instead
	if !a.cfg.InsecureNoLimits {
		r.Window = a.cfg.Tokens.Grace
	}
	if !a.stores.SharedUsers {
		r.AuthVersion, r.UserCreatedAt = user.AuthVersion, user.CreatedAt
	}
	return r
}

// idleEnd is when a session ends that is refreshed now and never again.
func (a *Authenticator) idleEnd(now, maxExpiresAt time.Time) time.Time {
	return earlier(now.Add(a.cfg.Tokens.IdleTTL), maxExpiresAt)
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
			r.emitWin(ctx, recovering)
			return r.tokens, nil
		}
		if err == nil {
			state, err := r.readSession(ctx, r.claims.session)
			if err != nil {
				return Tokens{}, err
			}
			switch v := r.judge(state); v {
			case verdictAgain:
				rotate, recovering = r.stores.Refresh.RotateSession, false
			case verdictLost:
				rotate, recovering = r.stores.Refresh.RecoverSession, true
			default:
				return r.answer(ctx, v, state, recovering)
			}
		} else if !errors.Is(err, ErrUnavailable) {
			return Tokens{}, err
		}
		if try == storeTries || !pause(ctx, try) {
			break
		}
	}
	if err == nil {
		err = errRowChanges
	}
	return Tokens{}, err
}

// errRowChanges is the failure of a rotation that other rotations kept coming before.
var errRowChanges = fmt.Errorf("%w: the session's row kept changing", ErrUnavailable)

// readSession is the judging read. A row that is not there is a session that is over.
func (a *Authenticator) readSession(ctx context.Context, id SessionID) (SessionState, error) {
	state, err := readStore(ctx, func(ctx context.Context) (SessionState, error) {
		return a.stores.Refresh.ReadSession(ctx, id)
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
	case !r.live(s, r.now, r.user):
		return verdictEnded
	case behind == 1 && s.RotatedBy == r.rotation.Attempt:
		return verdictOwnWin
	case behind > RetiredKept && r.rotation.Window > 0:
		return verdictReuse // the limit lets a generation fall so far back only after Grace
	case behind > 0:
		if i := kept(behind); i < len(s.Retired) && !r.cfg.Tokens.StrictRotation && age(s, i) <= r.cfg.Tokens.Grace {
			return verdictGrace
		}
		return verdictReuse
	case behind < 0:
		return verdictLost
	case exhausted(s, r.rotation.Window):
		return verdictLimited
	default:
		return verdictAgain
	}
}

// kept is the place in Retired of the generation that is so many behind. Of one older
// than those kept, all that is known is that it retired before the oldest of them.
func kept(behind int64) int { return int(min(behind, RetiredKept)) - 1 }

// exhausted says whether as many rotations as a row remembers fell into the window.
func exhausted(s SessionState, window time.Duration) bool {
	return window > 0 && len(s.Retired) == RetiredKept && age(s, RetiredKept-1) <= window
}

// limitedRotation is the error for a row that is exhausted, with an event.
func (a *Authenticator) limitedRotation(ctx context.Context, s SessionState, window time.Duration, c Client) error {
	a.emit(ctx, Event{Kind: EventLimited, UserID: s.UserID, SessionID: s.ID, Client: c, Reason: "rotations"})
	return &RateLimitError{RetryAfter: window - age(s, RetiredKept-1)}
}

// age is how long ago the i-th newest retirement was when the row was read.
func age(s SessionState, i int) time.Duration { return max(0, s.ReadAt.Sub(s.Retired[i])) }

// live says whether a row is a session of the user's that goes on. Of the user, ID alone
// counts where the sessions' store holds the users.
func (a *Authenticator) live(s SessionState, now time.Time, user UserRecord) bool {
	switch {
	case s.UserID != user.ID, !s.RevokedAt.IsZero(), !s.ExpiresAt.After(now):
		return false
	case a.stores.SharedUsers:
		return s.UserCurrent
	default:
		return s.AuthVersion == user.AuthVersion && !user.Disabled && !user.CreatedAt.After(s.CreatedAt.Add(CreationSlack))
	}
}

// answer turns a verdict that ends the call into its result.
func (r *refresh) answer(ctx context.Context, v verdict, s SessionState, recovering bool) (Tokens, error) {
	switch v {
	case verdictOwnWin: // the row is as this call's tokens say
		r.emitWin(ctx, recovering)
		return r.tokens, nil
	case verdictGrace:
		tokens, err := r.mint(s.Session, s.Generation, r.now, r.extra)
		if err != nil {
			return Tokens{}, err
		}
		r.emit(ctx, r.behind(EventRefreshRetried, s))
		return tokens, nil
	case verdictReuse:
		if err := r.revoke(ctx, s.ID, s.UserID, ReasonReuse); err != nil {
			return Tokens{}, err
		}
		r.emit(ctx, r.behind(EventReuse, s))
		return Tokens{}, ErrSessionEnded
	case verdictLimited:
		return Tokens{}, r.limitedRotation(ctx, s, r.rotation.Window, r.rotation.Client)
	default:
		return Tokens{}, ErrSessionEnded
	}
}

// event is an event of this call's session.
func (r *refresh) event(kind EventKind) Event {
	return Event{Kind: kind, UserID: r.claims.user, SessionID: r.claims.session, Client: r.rotation.Client}
}

// behind is an event about a token that the row is ahead of.
func (r *refresh) behind(kind EventKind, s SessionState) Event {
	e := r.event(kind)
	e.Behind = s.Generation - r.claims.generation
	if i := kept(e.Behind); i < len(s.Retired) {
		e.Age = age(s, i)
	}
	return e
}

func (r *refresh) emitWin(ctx context.Context, recovered bool) {
	kind := EventRefreshed
	if recovered {
		kind = EventStateLost
	}
	r.emit(ctx, r.event(kind))
}

// revoke ends a session for good. It was decided, so it does not hang on whether the
// client still waits. That it could not be done Is ErrUnavailable, whatever the cause.
func (a *Authenticator) revoke(ctx context.Context, id SessionID, user UserID, reason string) error {
	return revocation(ctx, func(ctx context.Context) error { return a.stores.Refresh.RevokeSession(ctx, id, user, reason) })
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
	if err := a.revoke(ctx, claims.session, claims.user, ReasonLogout); err != nil {
		return err
	}
	a.emit(ctx, Event{Kind: EventLoggedOut, UserID: claims.user, SessionID: claims.session})
	return nil
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

// unknownPeer stands for the address of a request's client that is not known, so that the
// limits tell it from a call that has no request.
var unknownPeer = netip.IPv6Unspecified() //nolint:gochecknoglobals // a constant

// clean is the client as it is stored: IPv4 in IPv6 unmapped, no zone, the user agent
// valid UTF-8 of at most maxUserAgent code points without control characters.
func (c Client) clean() Client {
	if c.IP = c.IP.Unmap().WithZone(""); c.IP == unknownPeer {
		c.IP = netip.Addr{}
	}
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
