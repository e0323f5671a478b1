package mysqlstore

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ostiary/auth"
)

const (
	// batchRows is how many rows a statement changes at most that changes rows of many
	// users. It keeps their refreshes waiting for some milliseconds. From 1,000 on, its
	// in_predicate_conversion_threshold, MariaDB would read the whole table instead.
	batchRows = 500

	// One batch begins behind the last row of the one before: each row is looked at once.
	revocableSessions = "SELECT id FROM refresh_tokens FORCE INDEX (PRIMARY) " +
		"WHERE id > ? AND created_at < ? AND revoked_at IS NULL ORDER BY id LIMIT ?"
	revokeBatch = "UPDATE refresh_tokens FORCE INDEX (PRIMARY)" + revokeSet + "created_at < ? AND id IN "
)

// RevokeSession implements auth.RefreshStore in one round trip.
func (s *sessions) RevokeSession(ctx context.Context, id auth.SessionID, user auth.UserID, reason string) error {
	return s.revokeBy(ctx, "revoke session", &s.revoke, reason, user, func(user any) []any { return []any{id[:], user} })
}

// RevokeUserSessions implements auth.RefreshStore in one round trip.
func (s *sessions) RevokeUserSessions(ctx context.Context, user auth.UserID, keep auth.SessionID, reason string) error {
	return s.revokeBy(ctx, "revoke sessions", &s.revokeUser, reason, user, func(user any) []any { return []any{user, keepArgument(keep)} })
}

func (s *sessions) revokeBy(ctx context.Context, what string, by *statement, reason string, user auth.UserID, args func(user any) []any) error {
	if err := checkReason(reason); err != nil {
		return translate(what, err)
	}
	key, ok := s.userArgument(user)
	if !ok {
		return nil
	}
	return translate(what, startAnew(func() error {
		_, err := by.exec(ctx, s.db, append([]any{hexUTF8(reason)}, args(key)...)...)
		return err
	}))
}

// keepArgument is the one session that is left alone; no bytes, which no session's ID
// is, where there is none.
func keepArgument(id auth.SessionID) []byte {
	if id == (auth.SessionID{}) {
		return []byte{}
	}
	return id[:]
}

// checkReason refuses what the column would cut off in a sql_mode that is not strict.
func checkReason(reason string) error {
	if !utf8.ValidString(reason) || utf8.RuneCountInString(reason) > 32 {
		return errors.New("the reason is not valid UTF-8 or longer than 32 code points")
	}
	return nil
}

// RevokeAllSessions implements auth.RefreshStore. It changes up to 500 rows a
// statement, each committed by itself.
func (s *sessions) RevokeAllSessions(ctx context.Context, before time.Time, reason string) (revoked int64, err error) {
	const what = "revoke all sessions"
	if err := checkReason(reason); err != nil {
		return 0, translate(what, err)
	}
	for last := []byte{}; ; {
		ids, err := s.ids(ctx, &s.revocable, last, instant(before), int64(batchRows))
		if err != nil || len(ids) == 0 {
			return revoked, translate(what, err)
		}
		query, err := inline(revokeBatch+inList(ids), []any{hexUTF8(reason), instant(before)})
		if err != nil {
			return revoked, translate(what, err)
		}
		var n int64
		err = startAnew(func() (err error) {
			n, err = affected(s.db.ExecContext(ctx, query))
			return err
		})
		revoked += n
		if err != nil {
			return revoked, translate(what, err)
		}
		last = ids[len(ids)-1]
	}
}

// ids are the session IDs that a statement selects.
func (s *sessions) ids(ctx context.Context, by *statement, args ...any) (list [][]byte, err error) {
	err = by.queryAll(ctx, s.db, args, func(rows *sql.Rows) error {
		var id []byte
		err := rows.Scan(&id)
		list = append(list, id)
		return err
	})
	return list, err
}

// inList is the list of an IN.
func inList(ids [][]byte) string {
	texts := make([]string, 0, len(ids))
	for _, id := range ids {
		texts = append(texts, "X'"+hex.EncodeToString(id)+"'")
	}
	return "(" + strings.Join(texts, ",") + ")"
}

// affected is how many rows a statement changed.
func affected(res sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}
