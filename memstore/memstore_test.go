package memstore_test

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/memstore"
	"github.com/ostiary/auth/storetest"
)

// clock is a clock that stands still until it is turned.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock {
	return &clock{at: time.Date(2026, time.March, 4, 5, 6, 7, 89, time.FixedZone("", 3600))}
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) turn(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func TestConformance(t *testing.T) {
	clocks := map[auth.UserStore]*clock{}
	store := func(s auth.Stores) *memstore.Store { return s.Users.(*memstore.Store) } //nolint:errcheck // New made it
	storetest.Run(t, storetest.Harness{
		New: func(testing.TB) auth.Stores {
			c := newClock()
			s := memstore.New(memstore.Options{Now: c.now}).Stores()
			clocks[s.Users] = c
			return s
		},
		Advance:         func(_ testing.TB, s auth.Stores, d time.Duration) { clocks[s.Users].turn(d) },
		BumpAuthVersion: func(_ testing.TB, s auth.Stores, id auth.UserID) { store(s).BumpAuthVersion(id) },
	})
}

func TestStores(t *testing.T) {
	store := memstore.New(memstore.Options{})
	s := store.Stores()
	assert.True(t, s.SharedUsers)
	assert.True(t, s.IntegerIDs)
	assert.Same(t, store, s.Users)
	assert.Same(t, store, s.Refresh)
	assert.Same(t, store, s.Accounts)
	assert.Nil(t, s.Check)
}

func signUp(t *testing.T, s *memstore.Store, key string) auth.UserID {
	t.Helper()
	id, err := s.CreateUser(t.Context(), auth.NewUser{Name: "User", Email: key, EmailKey: key, PasswordHash: "h"})
	require.NoError(t, err)
	return id
}

// login stores a session of the user's with this ID, which lives for a day by Config.Now.
func login(t *testing.T, s *memstore.Store, id byte, user auth.UserID) auth.SessionState {
	t.Helper()
	require.NoError(t, s.CreateSession(t.Context(), auth.Session{
		ID: auth.SessionID{id}, UserID: user, ExpiresAt: configNow().Add(24 * time.Hour), MaxExpiresAt: configNow().Add(24 * time.Hour),
	}, 1))
	return read(t, s, id)
}

func read(t *testing.T, s *memstore.Store, id byte) auth.SessionState {
	t.Helper()
	st, err := s.ReadSession(t.Context(), auth.SessionID{id})
	require.NoError(t, err)
	return st
}

func configNow() time.Time { return time.Date(2030, time.January, 1, 0, 0, 0, 0, time.UTC) }

func rotation(st auth.SessionState, window time.Duration) auth.Rotation {
	return auth.Rotation{
		Session: st.ID, UserID: st.UserID, Generation: st.Generation, Attempt: auth.AttemptID{1, byte(st.Generation)},
		Now: configNow(), ExpiresAt: st.ExpiresAt, Window: window,
	}
}

func TestIDsAreCounted(t *testing.T) {
	s := memstore.New(memstore.Options{})
	assert.Equal(t, auth.UserID("1"), signUp(t, s, "a@x.test"))
	assert.Equal(t, auth.UserID("2"), signUp(t, s, "b@x.test"))
	_, err := s.CreateUser(t.Context(), auth.NewUser{EmailKey: "a@x.test"})
	require.ErrorIs(t, err, auth.ErrEmailTaken)
	require.NoError(t, s.DeleteUser(t.Context(), "2"))
	assert.Equal(t, auth.UserID("3"), signUp(t, s, "b@x.test"))
}

func TestDefaultClock(t *testing.T) {
	s := memstore.New(memstore.Options{})
	before := time.Now().Truncate(time.Microsecond)
	st := login(t, s, 1, signUp(t, s, "a@x.test"))
	assert.WithinRange(t, st.CreatedAt, before, time.Now())
	assert.WithinRange(t, st.ReadAt, st.CreatedAt, time.Now())
}

func TestInstantsAreMicrosecondsInUTC(t *testing.T) {
	c := newClock()
	c.turn(999_999_910 * time.Nanosecond) // 05:06:07.999999999
	s := memstore.New(memstore.Options{Now: c.now})
	user := signUp(t, s, "a@x.test")
	login(t, s, 1, user)
	done, err := s.RotateSession(t.Context(), rotation(read(t, s, 1), 0))
	require.NoError(t, err)
	require.True(t, done)
	require.NoError(t, s.RevokeSession(t.Context(), auth.SessionID{1}, user, auth.ReasonLogout))
	want := time.Date(2026, time.March, 4, 4, 6, 7, 999_999_000, time.UTC)
	u, err := s.UserByID(t.Context(), user)
	require.NoError(t, err)
	st := read(t, s, 1)
	assert.Equal(t, []time.Time{want, want, want, want}, []time.Time{u.CreatedAt, st.CreatedAt, st.RevokedAt, st.ReadAt})
	assert.Equal(t, []time.Time{want}, st.Retired)
}

func TestWindowAtItsEdge(t *testing.T) {
	c := newClock()
	s := memstore.New(memstore.Options{Now: c.now})
	st := login(t, s, 1, signUp(t, s, "a@x.test"))
	rotate := func() bool {
		done, err := s.RotateSession(t.Context(), rotation(read(t, s, 1), time.Minute))
		require.NoError(t, err)
		return done
	}
	for range auth.RetiredKept {
		require.True(t, rotate())
	}
	require.Equal(t, st.Generation+auth.RetiredKept, read(t, s, 1).Generation)
	c.turn(time.Minute)
	assert.False(t, rotate(), "the eighth retirement lies exactly Window back")
	c.turn(time.Microsecond)
	assert.True(t, rotate(), "the eighth retirement lies more than Window back")
}

func TestUserCreatedExactlyCreationSlackLater(t *testing.T) {
	for _, over := range []time.Duration{0, time.Microsecond} {
		c := newClock()
		s := memstore.New(memstore.Options{Now: c.now})
		user := signUp(t, s, "a@x.test")
		c.turn(-auth.CreationSlack - over)
		st := login(t, s, 1, user)
		assert.Equal(t, over == 0, st.UserCurrent)
		done, err := s.RotateSession(t.Context(), rotation(st, 0))
		require.NoError(t, err)
		assert.Equal(t, over == 0, done)
	}
}

// ASVS: 7.4.2.
// Advisory: better-auth GHSA-2vg6.
func TestDeleteUser(t *testing.T) {
	s := memstore.New(memstore.Options{})
	user, other := signUp(t, s, "a@x.test"), signUp(t, s, "b@x.test")
	login(t, s, 1, user)
	login(t, s, 2, other)
	require.NoError(t, s.DeleteUser(t.Context(), user))
	_, err := s.ReadSession(t.Context(), auth.SessionID{1})
	require.ErrorIs(t, err, auth.ErrSessionNotFound)
	assert.True(t, read(t, s, 2).UserCurrent)
	require.ErrorIs(t, s.DeleteUser(t.Context(), user), auth.ErrUserNotFound)
}

// Each change raises the version by one, and the sessions are revoked at one instant.
func TestAuthVersion(t *testing.T) {
	s := memstore.New(memstore.Options{})
	user := signUp(t, s, "a@x.test")
	for i, change := range []func() error{
		func() error { return s.SetPassword(t.Context(), user, "new") },
		func() error { return s.SetDisabled(t.Context(), user, true) },
		func() error { return s.SetDisabled(t.Context(), user, false) },
	} {
		for id := range byte(2) {
			require.NoError(t, s.CreateSession(t.Context(), auth.Session{ID: auth.SessionID{byte(i), id}, UserID: user}, int64(i)+1))
		}
		require.NoError(t, change())
		u, err := s.UserByID(t.Context(), user)
		require.NoError(t, err)
		assert.Equal(t, int64(i)+2, u.AuthVersion)
		var revoked []time.Time
		for id := range byte(2) {
			st, err := s.ReadSession(t.Context(), auth.SessionID{byte(i), id})
			require.NoError(t, err)
			assert.False(t, st.UserCurrent)
			revoked = append(revoked, st.RevokedAt)
		}
		assert.False(t, revoked[0].IsZero())
		assert.Equal(t, revoked[0], revoked[1])
	}
}

// A limit below one asks for nothing.
func TestNoLimit(t *testing.T) {
	s := memstore.New(memstore.Options{})
	user := signUp(t, s, "a@x.test")
	st := login(t, s, 1, user)
	for _, limit := range []int{0, -1} {
		all, err := s.SessionsByUser(t.Context(), user, configNow(), limit)
		require.NoError(t, err)
		assert.Empty(t, all)
		purged, err := s.PurgeSessions(t.Context(), st.ExpiresAt.Add(time.Hour), limit)
		require.NoError(t, err)
		assert.Zero(t, purged)
	}
	assert.Equal(t, st.CreatedAt, read(t, s, 1).CreatedAt)
}

// A caller cannot tell why a store did not do its work but by both errors.
func TestContext(t *testing.T) {
	s := memstore.New(memstore.Options{})
	user := signUp(t, s, "a@x.test")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	expired, stop := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer stop()
	for ctx, want := range map[context.Context]error{canceled: context.Canceled, expired: context.DeadlineExceeded} {
		_, create := s.CreateUser(ctx, auth.NewUser{EmailKey: "b@x.test"})
		_, byEmail := s.UserByEmail(ctx, "a@x.test")
		_, byID := s.UserByID(ctx, user)
		_, update := s.UpdatePassword(ctx, user, "h", "new")
		_, rotate := s.RotateSession(ctx, auth.Rotation{})
		_, recovered := s.RecoverSession(ctx, auth.Rotation{})
		_, readErr := s.ReadSession(ctx, auth.SessionID{})
		_, list := s.SessionsByUser(ctx, user, configNow(), 1)
		_, all := s.RevokeAllSessions(ctx, configNow(), "")
		_, purge := s.PurgeSessions(ctx, configNow(), 1)
		for _, err := range []error{
			create, byEmail, byID, update, rotate, recovered, readErr, list, all, purge, s.CreateSession(ctx, auth.Session{UserID: user}, 1),
			s.RevokeSession(ctx, auth.SessionID{}, user, ""), s.RevokeUserSessions(ctx, user, auth.SessionID{}, ""),
			s.SetDisabled(ctx, user, true), s.SetPassword(ctx, user, "new"), s.DeleteUser(ctx, user),
		} {
			require.ErrorIs(t, err, auth.ErrUnavailable)
			require.ErrorIs(t, err, want)
			assert.ErrorContains(t, err, "memstore: ")
		}
	}
	u, err := s.UserByID(t.Context(), user)
	require.NoError(t, err)
	assert.Equal(t, int64(1), u.AuthVersion)
	_, err = s.UserByEmail(t.Context(), "b@x.test")
	require.ErrorIs(t, err, auth.ErrUserNotFound)
}

func TestClientIsKept(t *testing.T) {
	s := memstore.New(memstore.Options{})
	user := signUp(t, s, "a@x.test")
	in := auth.Session{ID: auth.SessionID{1}, UserID: user, Client: auth.Client{
		IP: netip.MustParseAddr("fe80::1%eth0"), UserAgent: string(make([]rune, 300)),
	}}
	require.NoError(t, s.CreateSession(t.Context(), in, 1))
	st := read(t, s, 1)
	assert.Equal(t, "fe80::1", st.Client.IP.String())
	assert.Len(t, st.Client.UserAgent, 255)
	in.ID, in.Client.IP = auth.SessionID{2}, netip.MustParseAddr("::ffff:192.0.2.1")
	require.NoError(t, s.CreateSession(t.Context(), in, 1))
	assert.Equal(t, "192.0.2.1", read(t, s, 2).Client.IP.String())
}
