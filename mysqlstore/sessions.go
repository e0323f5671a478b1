package mysqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"github.com/ostiary/auth"
)

// sessions is an auth.RefreshStore, on the table of Migrate or of MigrateSessions. One
// statement is one operation, committed by itself.
type sessions struct {
	db     *sql.DB
	shared bool // the users are in this database

	create, rotate, recover, byID, read, revoke statement
}

func newSharedSessions(db *sql.DB) sessions {
	return sessions{
		db: db, shared: true,
		create:  statement{query: createShared},
		rotate:  statement{query: rotateShared},
		recover: statement{query: recoverShared},
		byID:    statement{query: readShared, syncWait: syncedRead},
		read:    statement{query: readShared + waiting, syncWait: syncedRead},
		revoke:  statement{query: revokeSession, syncWait: syncedUpdate},
	}
}

func newSessions(db *sql.DB) sessions {
	return sessions{
		db:      db,
		create:  statement{query: createAlone},
		rotate:  statement{query: rotateAlone},
		recover: statement{query: recoverAlone},
		byID:    statement{query: readAlone, syncWait: syncedRead},
		read:    statement{query: readAlone + waiting, syncWait: syncedRead},
		revoke:  statement{query: revokeSession, syncWait: syncedUpdate},
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
		r.Session[:], user, r.Generation, instant(r.Now),
	}
	if s.shared {
		return append(args, auth.CreationSlack.Microseconds()), true
	}
	return append(args, r.AuthVersion, instant(r.UserCreatedAt.Add(-auth.CreationSlack))), true
}

// RevokeSession implements auth.RefreshStore in one round trip.
func (s *sessions) RevokeSession(ctx context.Context, id auth.SessionID, user auth.UserID, reason string) error {
	const what = "revoke session"
	if !utf8.ValidString(reason) || utf8.RuneCountInString(reason) > 32 {
		return translate(what, errors.New("the reason is not valid UTF-8 or longer than 32 code points"))
	}
	key, ok := s.userArgument(user)
	if !ok {
		return nil
	}
	_, err := s.revoke.exec(ctx, s.db, hexUTF8(reason), id[:], key)
	return translate(what, err)
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
	var (
		st                                       = auth.SessionState{Session: auth.Session{ID: id}}
		found                                    bool
		readOnly, innoReadOnly                   string
		rotatedBy, retired, ip                   []byte
		created, authenticated, expires, maximum int64
		revoked                                  sql.NullInt64
		readAt                                   int64
	)
	args := []any{id[:]}
	if s.shared {
		args = []any{auth.CreationSlack.Microseconds(), id[:]}
	}
	err := by.queryRow(ctx, s.db, args, []any{
		&readOnly, &innoReadOnly, &found,
		orZero((*string)(&st.UserID)), orZero(&st.AuthVersion), orZero(&st.Generation), &rotatedBy, &retired,
		orZero(&created), orZero(&authenticated), orZero(&expires), orZero(&maximum), &revoked,
		orZero(&st.Reason), &ip, orZero(&st.Client.UserAgent), &readAt, orZero(&st.UserCurrent),
	})
	switch {
	case err != nil:
		return auth.SessionState{}, err
	case isOn(readOnly) || isOn(innoReadOnly):
		return auth.SessionState{}, fmt.Errorf("%w: the server is read-only and may be behind another", auth.ErrUnavailable)
	case !found:
		return auth.SessionState{}, auth.ErrSessionNotFound
	}
	copy(st.RotatedBy[:], rotatedBy)
	st.Retired = retirements(retired)
	st.CreatedAt, st.AuthenticatedAt = fromMicros(created), fromMicros(authenticated)
	st.ExpiresAt, st.MaxExpiresAt = fromMicros(expires), fromMicros(maximum)
	if revoked.Valid {
		st.RevokedAt = fromMicros(revoked.Int64)
	}
	st.Client.IP, _ = netip.AddrFromSlice(ip)
	st.ReadAt = fromMicros(readAt)
	return st, nil
}

// zeroed scans into dest; NULL becomes the zero value.
type zeroed[T any] struct{ dest *T }

func orZero[T any](dest *T) zeroed[T] { return zeroed[T]{dest} }

// Scan implements [sql.Scanner].
func (z zeroed[T]) Scan(value any) error {
	var n sql.Null[T]
	err := n.Scan(value)
	*z.dest = n.V
	return err
}

// isOn reads a server's variable that is a number or a word.
func isOn(v string) bool { return v != "0" && !strings.EqualFold(v, "OFF") && v != "" }

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
