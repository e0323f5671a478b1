package auth

import (
	"context"
	"errors"
	"time"
)

// SessionInfo is a session as its user may see it. It holds no token.
type SessionInfo struct {
	ID         SessionID
	CreatedAt  time.Time // by the store's clock, as LastUsedAt
	LastUsedAt time.Time // the last refresh, else CreatedAt
	ExpiresAt  time.Time // without a refresh until then, the session ends
	Client     Client    // of the last refresh, or of the login
	Current    bool      // it is the one that was asked for as such
}

// maxSessions is how many sessions of one user are listed.
const maxSessions = 1000

// Sessions returns the user's sessions that go on, the newest first, at most 1,000 of
// them, none where there is no such user. Current marks the one with that ID. It returns
// ErrUnavailable if the store could not tell.
func (a *Authenticator) Sessions(ctx context.Context, id UserID, current SessionID) ([]SessionInfo, error) {
	now := a.now()
	user := UserRecord{User: User{ID: id}}
	if !a.stores.SharedUsers {
		var err error
		user, err = a.userByID(ctx, id)
		if errors.Is(err, ErrUserNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
	states, err := readStore(ctx, func(ctx context.Context) ([]SessionState, error) {
		return a.stores.Refresh.SessionsByUser(ctx, id, now, maxSessions)
	})
	if err != nil {
		return nil, err
	}
	list := make([]SessionInfo, 0, len(states))
	for _, s := range states {
		if !a.live(s, now, user) {
			continue
		}
		info := SessionInfo{
			ID: s.ID, CreatedAt: s.CreatedAt, LastUsedAt: s.CreatedAt, ExpiresAt: s.ExpiresAt,
			Client: s.Client, Current: s.ID == current,
		}
		if len(s.Retired) > 0 {
			info.LastUsedAt = s.Retired[0]
		}
		list = append(list, info)
	}
	return list, nil
}

// RevokeSession ends a session of the user's, from the list of Sessions; that it was over
// before is no error. It returns ErrSessionNotFound if there is no such session or it is
// another user's, and ErrUnavailable, and then the session may go on.
func (a *Authenticator) RevokeSession(ctx context.Context, user UserID, id SessionID) error {
	state, err := readStore(ctx, func(ctx context.Context) (SessionState, error) {
		return a.stores.Refresh.SessionByID(ctx, id)
	})
	if err == nil && state.UserID != user {
		err = ErrSessionNotFound
	}
	if err != nil {
		return err
	}
	if err := a.revoke(ctx, id, user, ReasonRevoked); err != nil {
		return err
	}
	a.emit(ctx, Event{Kind: EventRevoked, UserID: user, SessionID: id, Reason: ReasonRevoked})
	return nil
}

// LogoutAll ends every session of the user's, all but keep; the zero SessionID keeps
// none. What Logout says of tokens goes for each of them. A login that is under way may
// still start one: a change of the password, or DisableUser, prevents that. It returns
// ErrUnavailable, and then any of them may go on.
func (a *Authenticator) LogoutAll(ctx context.Context, id UserID, keep SessionID) error {
	err := revocation(ctx, func(ctx context.Context) error {
		return a.stores.Refresh.RevokeUserSessions(ctx, id, keep, ReasonLogoutAll)
	})
	if err != nil {
		return err
	}
	a.emit(ctx, Event{Kind: EventRevoked, UserID: id, Reason: ReasonLogoutAll})
	return nil
}

// RevokeAllSessions ends everybody's sessions that began before that instant, by the
// store's clock, and says how many: after a backup was restored, which brings sessions
// back that had been ended since it was made. A login that is under way may still start
// one: stop them first. The call takes as long as it needs, or as ctx allows. After an
// error, with which some are ended already, it can be called again.
func (a *Authenticator) RevokeAllSessions(ctx context.Context, before time.Time) (int64, error) {
	var revoked int64
	err := retry(ctx, func() error {
		n, err := a.stores.Refresh.RevokeAllSessions(ctx, before, ReasonAll)
		revoked += n
		return err
	})
	if revoked > 0 {
		a.emit(ctx, Event{Kind: EventRevoked, Reason: ReasonAll})
	}
	return revoked, err
}

// errNoAccounts is what changes of a user return without a store that makes them.
var errNoAccounts = errors.New("auth: Stores.Accounts is nil: the host changes its users itself, with AuthVersion, and then calls LogoutAll")

// DisableUser ends every session of the user's and lets nobody log in as them: the right
// password is answered with ErrAccountDisabled, any other as before. That the user is
// disabled already is no error. It returns ErrUserNotFound, ErrUnavailable, and an error
// without Stores.Accounts.
func (a *Authenticator) DisableUser(ctx context.Context, id UserID) error {
	if err := a.setDisabled(ctx, id, true); err != nil {
		return err
	}
	a.emit(ctx, Event{Kind: EventRevoked, UserID: id, Reason: ReasonDisabled})
	return nil
}

// EnableUser undoes DisableUser; sessions that it ended stay so. It returns what
// DisableUser returns.
func (a *Authenticator) EnableUser(ctx context.Context, id UserID) error {
	return a.setDisabled(ctx, id, false)
}

func (a *Authenticator) setDisabled(ctx context.Context, id UserID, disabled bool) error {
	if a.stores.Accounts == nil {
		return errNoAccounts
	}
	return decided(ctx, func(ctx context.Context) error { return a.stores.Accounts.SetDisabled(ctx, id, disabled) })
}

const (
	// purgeSlack is how long ago a session has expired that is purged, so that no clock
	// that is fast, and no retry, misses it.
	purgeSlack = time.Hour

	// purgeBatch is the largest number of rows that one statement deletes.
	purgeBatch = 1000

	// purgeRest is the longest rest after a batch.
	purgeRest = time.Second
)

// PurgeSessions deletes the sessions that expired more than an hour ago, at most batch of
// them at a time, 1 to 1,000, which is also what 0 stands for, and says how many. It rests after
// each batch for as long as that took, and goes on until none is left or ctx ends. It is
// for a ticker of the host's: any number of instances may call it at once, beside
// everything else. After an error it can be called again. Sessions that were revoked stay
// until they would have expired, so that their tokens are known.
func (a *Authenticator) PurgeSessions(ctx context.Context, batch int) (int64, error) {
	if batch < 1 || batch > purgeBatch {
		batch = purgeBatch
	}
	before := a.now().Add(-purgeSlack)
	var purged int64
	for {
		begin := a.cfg.Now()
		n, err := readStore(ctx, func(ctx context.Context) (int, error) {
			return a.stores.Refresh.PurgeSessions(ctx, before, batch)
		})
		purged += int64(n)
		if err != nil || n == 0 {
			return purged, err
		}
		wait(ctx, min(a.cfg.Now().Sub(begin), purgeRest))
	}
}
