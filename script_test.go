package auth_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/memstore"
)

// The names of the stores' operations in a script.
const (
	createUser     = "CreateUser"
	userByEmail    = "UserByEmail"
	userByID       = "UserByID"
	updatePassword = "UpdatePassword"
	createSession  = "CreateSession"
	rotateSession  = "RotateSession"
	recoverSession = "RecoverSession"
	sessionByID    = "SessionByID"
	readSession    = "ReadSession"
	revokeSession  = "RevokeSession"
	revokeUser     = "RevokeUserSessions"
	revokeAll      = "RevokeAllSessions"
	sessionsByUser = "SessionsByUser"
	purgeSessions  = "PurgeSessions"
	setDisabled    = "SetDisabled"
	setPassword    = "SetPassword"
	deleteUser     = "DeleteUser"
)

// script is stores between the Authenticator and the real ones. It notes every call, and
// a test may hold one up, fail it before it is passed on, or lose its reply after.
type script struct {
	users    auth.UserStore
	refresh  auth.RefreshStore
	accounts auth.AccountStore

	// before runs before a call is passed on, after runs when it was: an error of theirs
	// is what the caller gets. nth counts the calls of that name from 1. They may be nil.
	before, after func(ctx context.Context, name string, nth int) error

	mu        sync.Mutex
	names     []string
	contexts  []context.Context
	rotations []auth.Rotation  // the arguments of RotateSession and RecoverSession
	created   []auth.SessionID // those of CreateSession
	clients   []auth.Client    // of all three
}

// scripted is a second instance on w's stores, all of whose calls go through the script.
func (w *world) scripted(t *testing.T, edit ...func(*auth.Config)) (*auth.Authenticator, *script) {
	t.Helper()
	s := &script{users: w.stores.Users, refresh: w.stores.Refresh, accounts: w.stores.Accounts}
	stores := w.stores
	stores.Users, stores.Refresh = s, s
	if s.accounts != nil {
		stores.Accounts = s
	}
	a, err := auth.New(stores, config(w.clock, w.log, edit...))
	require.NoError(t, err)
	return a, s
}

// calls are the names of the calls so far, in their order.
func (s *script) calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.names...)
}

// reset forgets the calls so far and the functions.
func (s *script) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names, s.contexts, s.rotations, s.created, s.clients = nil, nil, nil, nil, nil
	s.before, s.after = nil, nil
}

func (s *script) note(ctx context.Context, name string) (nth int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names = append(s.names, name)
	s.contexts = append(s.contexts, ctx)
	for _, n := range s.names {
		if n == name {
			nth++
		}
	}
	return nth
}

// scriptedDo is scriptedCall for what returns an error alone.
func scriptedDo(ctx context.Context, s *script, name string, do func() error) error {
	_, err := scriptedCall(ctx, s, name, func() (struct{}, error) { return struct{}{}, do() })
	return err
}

func scriptedCall[T any](ctx context.Context, s *script, name string, do func() (T, error)) (T, error) {
	var zero T
	nth := s.note(ctx, name)
	if s.before != nil {
		if err := s.before(ctx, name, nth); err != nil {
			return zero, err
		}
	}
	v, err := do()
	if s.after != nil {
		if err := s.after(ctx, name, nth); err != nil {
			return zero, err
		}
	}
	return v, err
}

func (s *script) CreateUser(ctx context.Context, u auth.NewUser) (auth.UserID, error) {
	return scriptedCall(ctx, s, createUser, func() (auth.UserID, error) { return s.users.CreateUser(ctx, u) })
}

func (s *script) UserByEmail(ctx context.Context, key string) (auth.UserRecord, error) {
	return scriptedCall(ctx, s, userByEmail, func() (auth.UserRecord, error) { return s.users.UserByEmail(ctx, key) })
}

func (s *script) UserByID(ctx context.Context, id auth.UserID) (auth.UserRecord, error) {
	return scriptedCall(ctx, s, userByID, func() (auth.UserRecord, error) { return s.users.UserByID(ctx, id) })
}

func (s *script) UpdatePassword(ctx context.Context, id auth.UserID, old, hash string) (bool, error) {
	return scriptedCall(ctx, s, updatePassword, func() (bool, error) { return s.users.UpdatePassword(ctx, id, old, hash) })
}

func (s *script) CreateSession(ctx context.Context, n auth.Session, authVersion int64) error {
	s.mu.Lock()
	s.created = append(s.created, n.ID)
	s.clients = append(s.clients, n.Client)
	s.mu.Unlock()
	return scriptedDo(ctx, s, createSession, func() error { return s.refresh.CreateSession(ctx, n, authVersion) })
}

func (s *script) RotateSession(ctx context.Context, r auth.Rotation) (bool, error) {
	s.noteRotation(r)
	return scriptedCall(ctx, s, rotateSession, func() (bool, error) { return s.refresh.RotateSession(ctx, r) })
}

func (s *script) RecoverSession(ctx context.Context, r auth.Rotation) (bool, error) {
	s.noteRotation(r)
	return scriptedCall(ctx, s, recoverSession, func() (bool, error) { return s.refresh.RecoverSession(ctx, r) })
}

func (s *script) noteRotation(r auth.Rotation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rotations = append(s.rotations, r)
	s.clients = append(s.clients, r.Client)
}

func (s *script) ReadSession(ctx context.Context, id auth.SessionID) (auth.SessionState, error) {
	return scriptedCall(ctx, s, readSession, func() (auth.SessionState, error) { return s.refresh.ReadSession(ctx, id) })
}

func (s *script) SessionByID(ctx context.Context, id auth.SessionID) (auth.SessionState, error) {
	return scriptedCall(ctx, s, sessionByID, func() (auth.SessionState, error) { return s.refresh.SessionByID(ctx, id) })
}

func (s *script) RevokeSession(ctx context.Context, id auth.SessionID, user auth.UserID, reason string) error {
	return scriptedDo(ctx, s, revokeSession, func() error { return s.refresh.RevokeSession(ctx, id, user, reason) })
}

func (s *script) RevokeUserSessions(ctx context.Context, user auth.UserID, keep auth.SessionID, reason string) error {
	return scriptedDo(ctx, s, revokeUser, func() error { return s.refresh.RevokeUserSessions(ctx, user, keep, reason) })
}

func (s *script) RevokeAllSessions(ctx context.Context, before time.Time, reason string) (int64, error) {
	return scriptedCall(ctx, s, revokeAll, func() (int64, error) { return s.refresh.RevokeAllSessions(ctx, before, reason) })
}

func (s *script) SessionsByUser(ctx context.Context, user auth.UserID, now time.Time, limit int) ([]auth.SessionState, error) {
	return scriptedCall(ctx, s, sessionsByUser, func() ([]auth.SessionState, error) {
		return s.refresh.SessionsByUser(ctx, user, now, limit)
	})
}

func (s *script) PurgeSessions(ctx context.Context, before time.Time, limit int) (int, error) {
	return scriptedCall(ctx, s, purgeSessions, func() (int, error) { return s.refresh.PurgeSessions(ctx, before, limit) })
}

func (s *script) SetDisabled(ctx context.Context, id auth.UserID, disabled bool) error {
	return scriptedDo(ctx, s, setDisabled, func() error { return s.accounts.SetDisabled(ctx, id, disabled) })
}

func (s *script) SetPassword(ctx context.Context, id auth.UserID, hash string) error {
	return scriptedDo(ctx, s, setPassword, func() error { return s.accounts.SetPassword(ctx, id, hash) })
}

func (s *script) DeleteUser(ctx context.Context, id auth.UserID) error {
	return scriptedDo(ctx, s, deleteUser, func() error { return s.accounts.DeleteUser(ctx, id) })
}

// failing is a script's function that returns err from the calls of that name with the
// numbers, or all of them if there are no numbers.
func failing(err error, name string, numbers ...int) func(context.Context, string, int) error {
	return func(_ context.Context, called string, nth int) error {
		if called == name && (len(numbers) == 0 || slices.Contains(numbers, nth)) {
			return err
		}
		return nil
	}
}

// doing is a script's function that has do run at each call of that name.
func doing(name string, do func()) func(context.Context, string, int) error {
	return func(_ context.Context, called string, _ int) error {
		if called == name {
			do()
		}
		return nil
	}
}

// bumpAuthVersion does to a user what a change of the password does besides replacing it.
func (w *world) bumpAuthVersion(t *testing.T, id auth.UserID) {
	t.Helper()
	if store, ok := w.stores.Users.(*memstore.Store); ok {
		u, err := store.UserByID(t.Context(), id)
		require.NoError(t, err)
		require.NoError(t, store.SetPassword(t.Context(), id, u.PasswordHash))
		return
	}
	_, err := w.db.ExecContext(t.Context(), "UPDATE users SET auth_version = auth_version + 1 WHERE id = ?", string(id))
	require.NoError(t, err)
}
