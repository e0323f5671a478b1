package storetest_test

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/ostiary/auth"
)

// isUser says whether an operation of that kind takes the ID for the row's user's.
func (r *reference) isUser(row auth.SessionState, id auth.UserID, kind string) bool {
	return row.UserID == id || r.has(kind+"any user's") || r.has(kind+"IDs are trimmed") && string(row.UserID) == strings.TrimSpace(string(id))
}

// revokeRows revokes the rows that are chosen, and says how many.
func (r *reference) revokeRows(kind, reason string, which func(auth.SessionState) bool) (revoked int64) {
	var rows []auth.SessionState
	for _, row := range r.sessions {
		if which(row) && (row.RevokedAt.IsZero() || r.has(kind+"overwrite revocations")) {
			rows = append(rows, row)
		}
	}
	r.others(kind + "read, then write")
	if r.has(kind+"do the first thousand") && len(rows) > 1000 {
		rows = rows[:1000]
	}
	for _, row := range rows {
		row.RevokedAt, row.Reason = r.now(), reason
		if r.has(kind + "forget the reason") {
			row.Reason = ""
		}
		if r.has(kind + "move the expiry") {
			row.ExpiresAt = row.RevokedAt
		}
		r.store(row)
	}
	return int64(len(rows))
}

func (r *reference) RevokeUserSessions(ctx context.Context, user auth.UserID, keep auth.SessionID, reason string) error {
	const kind = "user's sessions: "
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.before(ctx); err != nil {
		return err
	}
	if kept, ok := r.sessions[keep]; ok && kept.UserID != user && r.has(kind+"a stranger's keeps all") {
		return r.after(ctx)
	}
	if _, ok := r.sessions[keep]; !ok && keep != (auth.SessionID{}) && r.has(kind+"an unknown one keeps all") {
		return r.after(ctx)
	}
	r.revokeRows(kind, reason, func(row auth.SessionState) bool {
		return r.isUser(row, user, kind) && (row.ID != keep || r.has(kind+"keep none"))
	})
	return r.after(ctx)
}

func (r *reference) RevokeAllSessions(ctx context.Context, before time.Time, reason string) (int64, error) {
	const kind = "everybody's sessions: "
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.before(ctx); err != nil {
		return 0, err
	}
	n := r.revokeRows(kind, reason, func(row auth.SessionState) bool {
		switch {
		case r.has(kind + "whenever created"):
			return true
		case r.has(kind + "at the instant too"):
			return !row.CreatedAt.After(before)
		case r.has(kind + "by AuthenticatedAt"):
			return row.AuthenticatedAt.Before(before)
		case r.has(kind + "by the second"):
			return row.CreatedAt.Truncate(time.Second).Before(before.Truncate(time.Second))
		case r.has(kind + "one user's"):
			return row.CreatedAt.Before(before) && row.UserID == "1"
		}
		return row.CreatedAt.Before(before)
	})
	if r.has(kind + "count what is there") {
		n = int64(len(r.sessions))
	}
	return n, r.after(ctx)
}

func (r *reference) SessionsByUser(ctx context.Context, user auth.UserID, now time.Time, limit int) ([]auth.SessionState, error) {
	const kind = "lists: "
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.done(ctx); err != nil {
		return nil, err
	}
	rows := r.sessions
	if r.has(kind + "by a replica that lags") {
		rows = r.stale
	}
	var all []auth.SessionState
	for _, row := range rows {
		if r.isUser(row, user, kind) {
			all = append(all, r.state(row, kind))
		}
	}
	slices.SortFunc(all, func(a, b auth.SessionState) int {
		switch {
		case r.has(kind + "oldest first"):
			return a.CreatedAt.Compare(b.CreatedAt)
		case r.has(kind + "by last use"):
			return b.ExpiresAt.Compare(a.ExpiresAt)
		}
		return b.CreatedAt.Compare(a.CreatedAt)
	})
	if r.has(kind + "the limit comes first") {
		all = all[:min(limit, len(all))]
	}
	all = slices.DeleteFunc(all, func(row auth.SessionState) bool {
		live := row.ExpiresAt.After(now)
		switch {
		case r.has(kind + "by the store's clock"):
			live = row.ExpiresAt.After(r.now())
		case r.has(kind + "at the instant too"):
			live = !row.ExpiresAt.Before(now)
		case r.has(kind + "expired ones"):
			live = true
		}
		return !live || !row.RevokedAt.IsZero() && !r.has(kind+"revoked ones") || !row.UserCurrent && r.has(kind+"current ones only")
	})
	switch {
	case r.has(kind + "no limit"):
		limit = len(all)
	case r.has(kind + "without Retired"):
		for i := range all {
			all[i].Retired = nil
		}
	case r.has(kind+"none is an error") && len(all) == 0:
		return nil, auth.ErrSessionNotFound
	}
	return all[:min(limit, len(all))], nil
}

func (r *reference) PurgeSessions(ctx context.Context, before time.Time, limit int) (int, error) {
	const kind = "purge: "
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.before(ctx); err != nil {
		return 0, err
	}
	var expired []auth.SessionID
	for id, row := range r.sessions {
		end := row.ExpiresAt.Before(before)
		switch {
		case r.has(kind + "at the instant too"):
			end = !row.ExpiresAt.After(before)
		case r.has(kind + "by MaxExpiresAt"):
			end = row.MaxExpiresAt.Before(before)
		case r.has(kind + "what is revoked too"):
			end = end || !row.RevokedAt.IsZero()
		case r.has(kind + "nothing that is revoked"):
			end = end && row.RevokedAt.IsZero()
		case r.has(kind + "by the second"):
			end = row.ExpiresAt.Before(before.Truncate(time.Second))
		}
		if end && (len(expired) < limit || r.has(kind+"no limit")) {
			expired = append(expired, id)
		}
	}
	r.others(kind + "reads, then deletes")
	r.others(kind + "counts what it read")
	n := 0
	for _, id := range expired {
		row, ok := r.sessions[id]
		if ok && (row.ExpiresAt.Before(before) || !r.has(kind+"counts what it read")) {
			n++
			delete(r.sessions, id)
			r.writes++
		}
	}
	switch {
	case r.has(kind + "counts what it read"):
		n = len(expired)
	case r.has(kind+"0 with the last") && n < limit:
		n = 0
	}
	return n, r.after(ctx)
}
