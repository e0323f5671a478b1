package memstore

import (
	"context"
	"time"

	"github.com/ostiary/auth"
)

// RevokeSession implements [auth.RefreshStore].
func (s *Store) RevokeSession(ctx context.Context, id auth.SessionID, user auth.UserID, reason string) error {
	_, err := s.revoke(ctx, reason, func(row *auth.SessionState) bool { return row.ID == id && row.UserID == user })
	return err
}

// RevokeUserSessions implements [auth.RefreshStore].
func (s *Store) RevokeUserSessions(ctx context.Context, user auth.UserID, keep auth.SessionID, reason string) error {
	_, err := s.revoke(ctx, reason, func(row *auth.SessionState) bool {
		return row.UserID == user && (row.ID != keep || keep == auth.SessionID{})
	})
	return err
}

// RevokeAllSessions implements [auth.RefreshStore], in one step.
func (s *Store) RevokeAllSessions(ctx context.Context, before time.Time, reason string) (revoked int64, err error) {
	return s.revoke(ctx, reason, func(row *auth.SessionState) bool { return row.CreatedAt.Before(before) })
}

func (s *Store) revoke(ctx context.Context, reason string, which func(*auth.SessionState) bool) (revoked int64, err error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	return s.revokeRows(reason, which), nil
}

// revokeRows revokes the rows that are chosen and not revoked yet, all at one instant.
func (s *Store) revokeRows(reason string, which func(*auth.SessionState) bool) (revoked int64) {
	now := s.now()
	for _, row := range s.sessions {
		if row.RevokedAt.IsZero() && which(row) {
			row.RevokedAt, row.Reason = now, reason
			revoked++
		}
	}
	return revoked
}

// PurgeSessions implements [auth.RefreshStore].
func (s *Store) PurgeSessions(ctx context.Context, before time.Time, limit int) (purged int, err error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	for id, row := range s.sessions {
		if purged >= limit {
			break
		}
		if row.ExpiresAt.Before(before) {
			delete(s.sessions, id)
			purged++
		}
	}
	return purged, nil
}
