package storetest_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/ostiary/auth"
)

// cut is how the store keeps an instant that it was given.
func (r *reference) cut(t time.Time) time.Time {
	switch {
	case r.has("instants: rounded to the microsecond"):
		return t.Round(time.Microsecond)
	case r.has("instants: cut to the second"):
		return t.Truncate(time.Second)
	case r.has("instants: without their zone"):
		return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	}
	return t.Truncate(time.Microsecond)
}

// client is how the store keeps a client.
func (r *reference) client(c auth.Client) auth.Client {
	switch {
	case r.has("clients: IPv4 only") && !c.IP.Is4():
		c.IP = auth.Client{}.IP
	case r.has("clients: agents are cut by bytes"):
		c.UserAgent = c.UserAgent[:min(len(c.UserAgent), 255)]
	case r.has("clients: agents are not cut"):
		return c
	}
	if n := []rune(c.UserAgent); len(n) > 255 {
		c.UserAgent = string(n[:255])
	}
	return c
}

// sid is the session's ID as the store compares it.
func (r *reference) sid(id auth.SessionID) auth.SessionID {
	if r.has("sessions: IDs are padded") {
		copy(id[:], append(bytes.TrimRight(id[:], " \x00"), make([]byte, len(id))...))
	}
	return id
}

// store writes a row.
func (r *reference) store(row auth.SessionState) {
	r.writes++
	id := r.sid(row.ID)
	before, ok := r.sessions[id]
	if !ok {
		before = row
	}
	r.stale[id] = before
	r.sessions[id] = row
}

func (r *reference) hasUser(row auth.SessionState, now auth.Rotation) bool {
	version, created := now.AuthVersion, now.UserCreatedAt
	if r.shared {
		u, ok := r.users[row.UserID]
		if !ok {
			return r.has("guards: a missing user is overlooked")
		}
		version, created = u.AuthVersion, u.CreatedAt
	}
	if r.has("guards: auth_version") {
		version = row.AuthVersion
	}
	late := created.After(row.CreatedAt.Add(auth.CreationSlack)) && !r.has("guards: the user's creation")
	if r.has("guards: no slack") {
		late = created.After(row.CreatedAt)
	}
	return version == row.AuthVersion && !late
}

func (r *reference) CreateSession(ctx context.Context, s auth.Session, authVersion int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.before(ctx); err != nil {
		return err
	}
	u, ok := r.users[s.UserID]
	if r.shared && !r.has("sessions: created unconditionally") {
		if !ok || u.AuthVersion != authVersion && !r.has("sessions: created whatever the version") {
			return auth.ErrUserChanged
		}
	}
	r.until("sessions: read the version, then insert", func() bool { return r.users[s.UserID] != u || len(r.sessions) > 20 })
	if !r.shared && !ok && r.has("sessions: of known users only") {
		return auth.ErrUserChanged
	}
	_, there := r.sessions[r.sid(s.ID)]
	switch {
	case there && r.has("sessions: a repeat is an error"):
		return errors.New("reference: duplicate key")
	case there && !r.has("sessions: a repeat starts anew"):
		return nil
	}
	if !r.has("sessions: CreatedAt as given") {
		s.CreatedAt = r.now()
	}
	s.AuthenticatedAt, s.ExpiresAt, s.MaxExpiresAt = r.cut(s.AuthenticatedAt), r.cut(s.ExpiresAt), r.cut(s.MaxExpiresAt)
	s.Client = r.client(s.Client)
	r.store(auth.SessionState{Session: s, AuthVersion: authVersion, Generation: 1})
	return r.after(ctx)
}

// guarded returns the attempt's row if no guard that both operations share forbids it.
func (r *reference) guarded(n auth.Rotation) (auth.SessionState, bool) {
	row, ok := r.sessions[r.sid(n.Session)]
	ok = ok && (row.UserID == n.UserID || r.has("guards: user_id"))
	if r.has("guards: user_id by collation") {
		ok = strings.EqualFold(strings.TrimSpace(string(row.UserID)), strings.TrimSpace(string(n.UserID)))
	}
	ok = ok && (row.RevokedAt.IsZero() || r.has("guards: revoked_at"))
	live := row.ExpiresAt.After(n.Now)
	switch {
	case r.has("guards: expires_at"):
		live = true
	case r.has("guards: expires_at or equal"):
		live = !row.ExpiresAt.Before(n.Now)
	case r.has("guards: Now rounded up"):
		live = row.ExpiresAt.After(n.Now.Round(time.Microsecond))
	}
	return row, ok && live && (r.hasUser(row, n) || r.has("guards: the user"))
}

func (r *reference) exhausted(retired []time.Time, window time.Duration) bool {
	if window == 0 && !r.has("window: zero is a window") && !r.has("window: zero forbids") || r.has("window: ignored") {
		return false
	}
	at := auth.RetiredKept - 1
	if r.has("window: the seventh") {
		at--
	}
	if len(retired) <= at {
		return false
	}
	if window == 0 && r.has("window: zero forbids") {
		return true
	}
	age := r.now().Sub(retired[at])
	if r.has("window: the newest") {
		age = r.now().Sub(retired[0])
	}
	if r.has("window: age without a sign") {
		age = age.Abs()
	}
	return age <= window
}

func (r *reference) RotateSession(ctx context.Context, n auth.Rotation) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.before(ctx); err != nil {
		return false, err
	}
	row, ok := r.guarded(n)
	generation := row.Generation == n.Generation
	switch {
	case r.has("rotation: any generation"):
		generation = true
	case r.has("rotation: older generations too"):
		generation = n.Generation <= row.Generation
	}
	if !ok || !generation || r.exhausted(row.Retired, n.Window) {
		return false, nil
	}
	r.others("rotation: reads, then writes")
	retired := append([]time.Time{r.now()}, row.Retired...)
	switch {
	case r.has("rotation: Retired oldest first"):
		retired = append(slices.Clone(row.Retired), r.now())
	case r.has("rotation: Retired grows"):
	default:
		retired = retired[:min(len(retired), auth.RetiredKept)]
	}
	if r.has("rotation: Retired by another clock") {
		retired[0] = n.Now
	}
	r.change(row, n, retired)
	return true, r.after(ctx)
}

// change writes what both operations make of a row, as it was when they read it.
func (r *reference) change(row auth.SessionState, n auth.Rotation, retired []time.Time) {
	for _, other := range r.sessions {
		if other.UserID == row.UserID && r.has("rotation: its siblings too") {
			r.store(r.changed(other, n, retired))
		}
	}
	r.store(r.changed(row, n, retired))
}

func (r *reference) changed(row auth.SessionState, n auth.Rotation, retired []time.Time) auth.SessionState {
	row.Generation = n.Generation + 1
	row.Retired = retired
	if !r.has("rotation: RotatedBy is not set") {
		row.RotatedBy = n.Attempt
	}
	if !r.has("rotation: ExpiresAt is not set") {
		row.ExpiresAt = r.cut(n.ExpiresAt)
	}
	if !r.has("rotation: Client is not set") {
		row.Client = r.client(n.Client)
	}
	switch {
	case r.has("rotation: AuthenticatedAt by Now"):
		row.AuthenticatedAt = n.Now
	case r.has("rotation: AuthenticatedAt is not set"):
	default:
		row.AuthenticatedAt = r.cut(n.AuthenticatedAt)
	}
	return row
}

func (r *reference) RecoverSession(ctx context.Context, n auth.Rotation) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.before(ctx); err != nil {
		return false, err
	}
	row, ok := r.guarded(n)
	behind := row.Generation < n.Generation || r.has("recovery: an equal generation") && row.Generation == n.Generation
	if !ok || !behind || r.has("recovery: heeds the window") && r.exhausted(row.Retired, n.Window) {
		return false, nil
	}
	r.others("recovery: reads, then writes")
	retired := slices.Repeat([]time.Time{time.Unix(0, 0)}, auth.RetiredKept)
	retired[0] = r.now()
	switch {
	case r.has("recovery: Retired goes on"):
		retired = append([]time.Time{r.now()}, row.Retired[:min(len(row.Retired), auth.RetiredKept-1)]...)
	case r.has("recovery: all of Retired is now"):
		retired = slices.Repeat([]time.Time{r.now()}, auth.RetiredKept)
	}
	if r.has("recovery: to the presented generation") {
		n.Generation--
	}
	r.change(row, n, retired)
	return true, r.after(ctx)
}

func (r *reference) ReadSession(ctx context.Context, id auth.SessionID) (auth.SessionState, error) {
	return r.read(ctx, id, "reads: ")
}

func (r *reference) SessionByID(ctx context.Context, id auth.SessionID) (auth.SessionState, error) {
	return r.read(ctx, id, "finds: ")
}

// read is either of the two, whose faults begin with kind.
func (r *reference) read(ctx context.Context, id auth.SessionID, kind string) (auth.SessionState, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.done(ctx); err != nil {
		return auth.SessionState{}, err
	}
	row, ok := r.sessions[r.sid(id)]
	if r.has(kind + "by a replica that lags") {
		row = r.stale[r.sid(id)]
	}
	if !ok && !r.has(kind+"unknown is no error") {
		return auth.SessionState{}, auth.ErrSessionNotFound
	}
	return r.state(row, kind), nil
}

// state is what a read of that kind returns of the row.
func (r *reference) state(row auth.SessionState, kind string) auth.SessionState {
	if !r.has(kind + "shared memory") {
		row.Retired = slices.Clone(row.Retired)
	}
	row.ReadAt = r.now()
	if r.has(kind + "ReadAt by another clock") {
		row.ReadAt = time.Now()
	}
	row.UserCurrent = r.shared && r.hasUser(row, auth.Rotation{}) || r.has("reads: UserCurrent always")
	return row
}

func (r *reference) RevokeSession(ctx context.Context, id auth.SessionID, user auth.UserID, reason string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.before(ctx); err != nil {
		return err
	}
	row, ok := r.sessions[r.sid(id)]
	if !ok {
		if r.has("revocation: unknown is an error") {
			return auth.ErrSessionNotFound
		}
		return nil
	}
	if row.UserID != user && !r.has("revocation: any user's") || !row.RevokedAt.IsZero() && !r.has("revocation: overwrites") {
		return nil
	}
	r.others("revocation: reads, then writes")
	row.RevokedAt, row.Reason = r.now(), reason
	switch {
	case r.has("revocation: forgets the reason"):
		row.Reason = ""
	case r.has("revocation: moves the generation"):
		row.Generation++
	case r.has("revocation: is not stored"):
		return nil
	}
	for _, other := range r.sessions {
		if other.UserID == row.UserID && r.has("revocation: every session of the user's") {
			other.RevokedAt, other.Reason = row.RevokedAt, row.Reason
			r.store(other)
		}
	}
	r.store(row)
	return r.after(ctx)
}
