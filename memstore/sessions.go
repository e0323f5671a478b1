package memstore

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/ostiary/auth"
)

// userAgentRunes is how many code points of a user agent a row keeps.
const userAgentRunes = 255

// CreateSession implements [auth.RefreshStore].
func (s *Store) CreateSession(ctx context.Context, in auth.Session, authVersion int64) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if u, ok := s.users[in.UserID]; !ok || u.AuthVersion != authVersion {
		return auth.ErrUserChanged
	}
	if _, ok := s.sessions[in.ID]; ok {
		return nil
	}
	in.CreatedAt = s.now()
	in.AuthenticatedAt, in.ExpiresAt, in.MaxExpiresAt = cut(in.AuthenticatedAt), cut(in.ExpiresAt), cut(in.MaxExpiresAt)
	in.Client = kept(in.Client)
	s.sessions[in.ID] = &auth.SessionState{Session: in, AuthVersion: authVersion, Generation: 1}
	return nil
}

// RotateSession implements [auth.RefreshStore].
func (s *Store) RotateSession(ctx context.Context, r auth.Rotation) (rotated bool, err error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return false, err
	}
	defer unlock()
	row := s.rotatable(r)
	now := s.now()
	if row == nil || row.Generation != r.Generation || exhausted(row.Retired, r.Window, now) {
		return false, nil
	}
	retired := append([]time.Time{now}, row.Retired...)
	rotate(row, r, retired[:min(len(retired), auth.RetiredKept)])
	return true, nil
}

// RecoverSession implements [auth.RefreshStore].
func (s *Store) RecoverSession(ctx context.Context, r auth.Rotation) (recovered bool, err error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return false, err
	}
	defer unlock()
	row := s.rotatable(r)
	if row == nil || row.Generation >= r.Generation {
		return false, nil
	}
	retired := slices.Repeat([]time.Time{time.Unix(0, 0).UTC()}, auth.RetiredKept)
	retired[0] = s.now()
	rotate(row, r, retired)
	return true, nil
}

// ReadSession implements [auth.RefreshStore]. Nothing is ever under way to wait for.
func (s *Store) ReadSession(ctx context.Context, id auth.SessionID) (auth.SessionState, error) {
	return s.SessionByID(ctx, id)
}

// SessionByID implements [auth.RefreshStore].
func (s *Store) SessionByID(ctx context.Context, id auth.SessionID) (auth.SessionState, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return auth.SessionState{}, err
	}
	defer unlock()
	row, ok := s.sessions[id]
	if !ok {
		return auth.SessionState{}, auth.ErrSessionNotFound
	}
	return s.state(row, s.now()), nil
}

// SessionsByUser implements [auth.RefreshStore].
func (s *Store) SessionsByUser(ctx context.Context, user auth.UserID, now time.Time, limit int) ([]auth.SessionState, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var found []auth.SessionState
	read := s.now()
	for _, row := range s.sessions {
		if row.UserID == user && row.RevokedAt.IsZero() && row.ExpiresAt.After(cut(now)) {
			found = append(found, s.state(row, read))
		}
	}
	slices.SortFunc(found, func(a, b auth.SessionState) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), bytes.Compare(b.ID[:], a.ID[:]))
	})
	return found[:max(0, min(limit, len(found)))], nil
}

// state is what a read at that instant finds of the row.
func (s *Store) state(row *auth.SessionState, at time.Time) auth.SessionState {
	state := *row
	state.Retired = slices.Clone(row.Retired)
	state.ReadAt = at
	state.UserCurrent = s.current(row)
	return state
}

// rotatable returns r's row if it passes the guards that a rotation and a recovery
// share: all but those of generation and window. Else it returns nil.
func (s *Store) rotatable(r auth.Rotation) *auth.SessionState {
	row, ok := s.sessions[r.Session]
	if !ok || row.UserID != r.UserID || !row.RevokedAt.IsZero() || !row.ExpiresAt.After(cut(r.Now)) || !s.current(row) {
		return nil
	}
	return row
}

// current says whether the row has its user.
func (s *Store) current(row *auth.SessionState) bool {
	u, ok := s.users[row.UserID]
	return ok && u.AuthVersion == row.AuthVersion && !u.CreatedAt.After(row.CreatedAt.Add(auth.CreationSlack))
}

// exhausted says whether as many rotations as the row remembers fell into the window.
func exhausted(retired []time.Time, window time.Duration, now time.Time) bool {
	return window > 0 && len(retired) == auth.RetiredKept && now.Sub(retired[auth.RetiredKept-1]) <= window
}

func rotate(row *auth.SessionState, r auth.Rotation, retired []time.Time) {
	row.Generation = r.Generation + 1
	row.RotatedBy = r.Attempt
	row.AuthenticatedAt, row.ExpiresAt = cut(r.AuthenticatedAt), cut(r.ExpiresAt)
	row.Client = kept(r.Client)
	row.Retired = retired
}

// kept is what a row keeps of a client: the address without zone, an IPv4 one in its
// short form, and the first code points of the user agent.
func kept(c auth.Client) auth.Client {
	c.IP = c.IP.Unmap().WithZone("")
	n := 0
	for i := range c.UserAgent {
		if n == userAgentRunes {
			c.UserAgent = c.UserAgent[:i]
			break
		}
		n++
	}
	return c
}
