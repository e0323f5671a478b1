package mysqlstore

import (
	"context"
	"database/sql"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/ostiary/auth"
)

// sessions is an auth.RefreshStore, on the table of Migrate or of MigrateSessions. One
// statement is one operation, committed by itself.
type sessions struct {
	db     *pool
	shared bool // the users are in this database

	create, rotate, recover                statement
	byID, read, byUser                     statement
	revoke, revokeUser, revocable, expired statement
}

func newSharedSessions(db *pool) sessions {
	return sessions{
		db: db, shared: true,
		create:  statement{query: createShared, syncWait: syncedInsert},
		rotate:  statement{query: rotateShared, syncWait: syncedUpdate},
		recover: statement{query: recoverShared, syncWait: syncedUpdate},
		byID:    statement{query: readShared, syncWait: syncedRead},
		read:    statement{query: readShared + waiting, syncWait: syncedRead},
		byUser:  statement{query: listShared, syncWait: syncedRead},

		revoke:     statement{query: revokeSession, syncWait: syncedUpdate},
		revokeUser: statement{query: revokeUserSessions, syncWait: syncedUpdate},
		revocable:  statement{query: revocableSessions, syncWait: syncedRead},
		expired:    statement{query: expiredSessions},
	}
}

func newSessions(db *pool) sessions {
	return sessions{
		db:      db,
		create:  statement{query: createAlone},
		rotate:  statement{query: rotateAlone, syncWait: syncedUpdate},
		recover: statement{query: recoverAlone, syncWait: syncedUpdate},
		byID:    statement{query: readAlone, syncWait: syncedRead},
		read:    statement{query: readAlone + waiting, syncWait: syncedRead},
		byUser:  statement{query: listAlone, syncWait: syncedRead},

		revoke:     statement{query: revokeSession, syncWait: syncedUpdate},
		revokeUser: statement{query: revokeUserSessions, syncWait: syncedUpdate},
		revocable:  statement{query: revocableSessions, syncWait: syncedRead},
		expired:    statement{query: expiredSessions},
	}
}

// CreateSession implements auth.RefreshStore in one round trip.
func (s *sessions) CreateSession(ctx context.Context, n auth.Session, authVersion int64) error {
	const what = "create session"
	user, ok := s.userArgument(n.UserID)
	if !ok && s.shared {
		return translate(what, auth.ErrUserChanged)
	} else if !ok {
		return translate(what, errors.New("a user ID has 1 to 64 bytes"))
	}
	args := []any{
		n.ID[:],
		instant(n.AuthenticatedAt), instant(n.ExpiresAt), instant(n.MaxExpiresAt),
		ipBytes(n.Client.IP), hexUTF8(userAgent(n.Client.UserAgent)),
		user, authVersion,
	}
	res, err := s.create.exec(ctx, s.db, args...)
	if duplicateOf(err, "PRIMARY") {
		return nil
	}
	inserted, err := changed(what, res, err)
	if err == nil && !inserted {
		err = translate(what, auth.ErrUserChanged)
	}
	return err
}

// RotateSession implements auth.RefreshStore in one round trip.
func (s *sessions) RotateSession(ctx context.Context, r auth.Rotation) (rotated bool, err error) {
	args, ok := s.rotationArguments(r)
	if !ok {
		return false, nil
	}
	window := micros(r.Window)
	res, err := s.rotate.exec(ctx, s.db, append(args, window, window)...)
	return changed("rotate session", res, err)
}

// RecoverSession implements auth.RefreshStore in one round trip.
func (s *sessions) RecoverSession(ctx context.Context, r auth.Rotation) (recovered bool, err error) {
	args, ok := s.rotationArguments(r)
	if !ok {
		return false, nil
	}
	res, err := s.recover.exec(ctx, s.db, append([]any{r.Generation}, args...)...)
	return changed("recover session", res, err)
}

// rotationArguments are the arguments that both forms of a rotation have in common, in
// their order. They are none where the text can be no user's ID.
func (s *sessions) rotationArguments(r auth.Rotation) ([]any, bool) {
	user, ok := s.userArgument(r.UserID)
	if !ok {
		return nil, false
	}
	args := []any{
		r.Attempt[:], instant(r.ExpiresAt), ipBytes(r.Client.IP), hexUTF8(userAgent(r.Client.UserAgent)),
		instant(r.AuthenticatedAt), r.Session[:], user, r.Generation, instant(r.Now),
	}
	if s.shared {
		return append(args, auth.CreationSlack.Microseconds()), true
	}
	return append(args, r.AuthVersion, instant(r.UserCreatedAt.Add(-auth.CreationSlack))), true
}

// SessionByID implements auth.RefreshStore in one round trip.
func (s *sessions) SessionByID(ctx context.Context, id auth.SessionID) (auth.SessionState, error) {
	state, err := s.readBy(ctx, &s.byID, id)
	return state, translate("find session", err)
}

// ReadSession implements auth.RefreshStore in one round trip.
func (s *sessions) ReadSession(ctx context.Context, id auth.SessionID) (auth.SessionState, error) {
	state, err := s.readBy(ctx, &s.read, id)
	return state, translate("read session", err)
}

func (s *sessions) readBy(ctx context.Context, by *statement, id auth.SessionID) (auth.SessionState, error) {
	var r sessionRow
	if err := by.queryRow(ctx, s.db, s.readArguments(id[:]), r.dest()); err != nil {
		return auth.SessionState{}, err
	}
	return r.state()
}

// readArguments are args after what the columns of a read take.
func (s *sessions) readArguments(args ...any) []any {
	if s.shared {
		return append([]any{auth.CreationSlack.Microseconds()}, args...)
	}
	return args
}

// SessionsByUser implements auth.RefreshStore in one round trip.
func (s *sessions) SessionsByUser(ctx context.Context, user auth.UserID, now time.Time, limit int) ([]auth.SessionState, error) {
	key, ok := s.userArgument(user)
	if !ok || limit <= 0 {
		return nil, nil
	}
	var list []auth.SessionState
	err := s.byUser.queryAll(ctx, s.db, s.readArguments(key, instant(now), int64(limit)), func(rows *sql.Rows) error {
		var r sessionRow
		if err := rows.Scan(r.dest()...); err != nil {
			return err
		}
		state, err := r.state()
		if errors.Is(err, auth.ErrSessionNotFound) {
			return nil
		}
		list = append(list, state)
		return err
	})
	if err != nil {
		return nil, translate("list sessions", err)
	}
	return list, nil
}

// userArgument is the user's ID as the column has it, if it can be one.
func (s *sessions) userArgument(id auth.UserID) (any, bool) {
	if s.shared {
		n, ok := integerID(id)
		return n, ok
	}
	return []byte(id), len(id) >= 1 && len(id) <= 64
}

// ipBytes is the address in 4 or 16 bytes, or none. A zone is dropped.
func ipBytes(ip netip.Addr) []byte {
	return append([]byte{}, ip.Unmap().AsSlice()...)
}

// userAgent is valid UTF-8 of at most 255 code points.
func userAgent(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	n := 0
	for i := range s {
		if n++; n > 255 {
			return s[:i]
		}
	}
	return s
}
