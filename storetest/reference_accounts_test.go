package storetest_test

import (
	"context"
	"maps"
	"strings"

	"github.com/ostiary/auth"
)

const accounts = "accounts: "

// endSessions raises the user's version and revokes the sessions.
func (r *reference) endSessions(u *auth.UserRecord, reason string) {
	if r.has(accounts + "AuthVersion twice, sessions never") {
		u.AuthVersion += 2
		return
	}
	if !r.has(accounts + "AuthVersion stays") {
		u.AuthVersion++
	}
	r.revokeRows(accounts, reason, func(row auth.SessionState) bool { return row.UserID == u.ID || r.has(accounts+"everybody's sessions") })
	r.others(accounts + "sessions, then the user")
}

// change makes one change of a user.
func (r *reference) changeUser(ctx context.Context, id auth.UserID, do func(*auth.UserRecord)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.before(ctx); err != nil {
		return err
	}
	if r.has(accounts + "IDs are trimmed") {
		id = auth.UserID(strings.TrimSpace(string(id)))
	}
	u, ok := r.users[id]
	if !ok {
		if r.has(accounts + "unknown is no error") {
			return nil
		}
		return auth.ErrUserNotFound
	}
	r.others(accounts + "look, then change")
	do(&u)
	if u.ID != "" {
		r.users[id] = u
	}
	if r.has(accounts + "every user") {
		for id, other := range r.users {
			other.AuthVersion = max(other.AuthVersion, u.AuthVersion)
			r.users[id] = other
		}
	}
	r.writes++
	return r.after(ctx)
}

func (r *reference) SetDisabled(ctx context.Context, id auth.UserID, disabled bool) error {
	return r.changeUser(ctx, id, func(u *auth.UserRecord) {
		if !u.Disabled && !disabled && !r.has("disabling: to enable again ends sessions") ||
			u.Disabled && disabled && r.has("disabling: a repeat ends nothing") {
			return
		}
		if disabled || !r.has("disabling: to enable ends nothing") {
			r.endSessions(u, auth.ReasonDisabled)
		}
		u.Disabled = disabled
		if r.has("disabling: is not stored") {
			u.Disabled = false
		}
	})
}

func (r *reference) SetPassword(ctx context.Context, id auth.UserID, hash string) error {
	return r.changeUser(ctx, id, func(u *auth.UserRecord) {
		if hash == u.PasswordHash && r.has("set password: an equal hash is no change") {
			return
		}
		r.endSessions(u, auth.ReasonPassword)
		switch {
		case r.has("set password: hashes are cut"):
			hash = hash[:min(len(hash), 60)]
		case r.has("set password: only where there is one") && u.PasswordHash == "":
			return
		case r.has("set password: enables"):
			u.Disabled = false
		}
		u.PasswordHash = hash
	})
}

func (r *reference) DeleteUser(ctx context.Context, id auth.UserID) error {
	return r.changeUser(ctx, id, func(u *auth.UserRecord) {
		if r.has("delete: disables") {
			u.Disabled = true
			return
		}
		if !r.has("delete: the row stays") {
			maps.DeleteFunc(r.sessions, func(_ auth.SessionID, row auth.SessionState) bool {
				return row.UserID == u.ID || r.has("delete: everybody's sessions")
			})
		}
		r.others("delete: sessions, then the user")
		delete(r.users, u.ID)
		*u = auth.UserRecord{}
	})
}
