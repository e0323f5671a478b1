package memstore

import (
	"context"
	"maps"

	"github.com/ostiary/auth"
)

// SetDisabled implements [auth.AccountStore].
func (s *Store) SetDisabled(ctx context.Context, id auth.UserID, disabled bool) error {
	return s.change(ctx, id, func(u *auth.UserRecord) {
		if disabled || u.Disabled {
			u.Disabled = disabled
			s.endSessions(u, auth.ReasonDisabled)
		}
	})
}

// SetPassword implements [auth.AccountStore].
func (s *Store) SetPassword(ctx context.Context, id auth.UserID, hash string) error {
	return s.change(ctx, id, func(u *auth.UserRecord) {
		u.PasswordHash = hash
		s.endSessions(u, auth.ReasonPassword)
	})
}

// DeleteUser implements [auth.AccountStore]. The user's e-mail key is free then.
func (s *Store) DeleteUser(ctx context.Context, id auth.UserID) error {
	return s.change(ctx, id, func(u *auth.UserRecord) {
		delete(s.keys, u.EmailKey)
		delete(s.users, id)
		maps.DeleteFunc(s.sessions, func(_ auth.SessionID, row *auth.SessionState) bool { return row.UserID == id })
	})
}

// change makes one change of a user, in one step.
func (s *Store) change(ctx context.Context, id auth.UserID, do func(*auth.UserRecord)) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	u, ok := s.users[id]
	if !ok {
		return auth.ErrUserNotFound
	}
	do(u)
	return nil
}

// endSessions ends the user's sessions, and the logins that are under way.
func (s *Store) endSessions(u *auth.UserRecord, reason string) {
	u.AuthVersion++
	s.revokeRows(reason, func(row *auth.SessionState) bool { return row.UserID == u.ID })
}
