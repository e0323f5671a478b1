package mysqlstore

import (
	"database/sql"
	"fmt"
	"net/netip"
	"strings"

	"github.com/ostiary/auth"
)

// sessionRow is a row of the reads, as the server sends it.
type sessionRow struct {
	st                                       auth.SessionState
	readOnly, innoReadOnly                   string
	id, rotatedBy, retired, ip               []byte // id: nil if there is no such session
	created, authenticated, expires, maximum int64
	revoked                                  sql.NullInt64
	readAt                                   int64
}

// dest is where the columns of readState are scanned into.
func (r *sessionRow) dest() []any {
	return []any{
		&r.readOnly, &r.innoReadOnly, &r.id,
		orZero((*string)(&r.st.UserID)), orZero(&r.st.AuthVersion), orZero(&r.st.Generation), &r.rotatedBy, &r.retired,
		orZero(&r.created), orZero(&r.authenticated), orZero(&r.expires), orZero(&r.maximum), &r.revoked,
		orZero(&r.st.Reason), &r.ip, orZero(&r.st.Client.UserAgent), &r.readAt, orZero(&r.st.UserCurrent),
	}
}

// state is the session, auth.ErrSessionNotFound if there is none, or
// auth.ErrUnavailable if a replica has answered.
func (r *sessionRow) state() (auth.SessionState, error) {
	switch {
	case isOn(r.readOnly) || isOn(r.innoReadOnly):
		return auth.SessionState{}, fmt.Errorf("%w: the server is read-only and may be behind another", auth.ErrUnavailable)
	case r.id == nil:
		return auth.SessionState{}, auth.ErrSessionNotFound
	}
	st := r.st
	copy(st.ID[:], r.id)
	copy(st.RotatedBy[:], r.rotatedBy)
	st.Retired = retirements(r.retired)
	st.CreatedAt, st.AuthenticatedAt = fromMicros(r.created), fromMicros(r.authenticated)
	st.ExpiresAt, st.MaxExpiresAt = fromMicros(r.expires), fromMicros(r.maximum)
	if r.revoked.Valid {
		st.RevokedAt = fromMicros(r.revoked.Int64)
	}
	st.Client.IP, _ = netip.AddrFromSlice(r.ip)
	st.ReadAt = fromMicros(r.readAt)
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
