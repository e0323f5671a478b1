package storetest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ostiary/auth"
)

const (
	// tries is how often a call is made in all while the store is unavailable.
	tries = 10

	// realTime is how much real time a case may take between two looks at a clock.
	realTime = 30 * time.Second
)

type testCase struct {
	name string
	run  func(e *env)
}

// env is what one case works with: its test, its harness and its stores.
type env struct {
	testing.TB

	h      Harness
	stores auth.Stores
	users  int // made so far
}

func newEnv(tb testing.TB, h Harness) *env {
	tb.Helper()
	if h.New == nil || h.Advance == nil {
		tb.Fatal("storetest: Harness.New and Harness.Advance must be set")
	}
	s := h.New(tb)
	if s.Users == nil || s.Refresh == nil {
		tb.Fatal("storetest: Harness.New must return stores with both Users and Refresh")
	}
	return &env{TB: tb, h: h, stores: s}
}

// now is the instant of Config.Now that the cases go by, in whole seconds. It has
// nothing to do with the store's clock, and lies before the end of 32-bit timestamps.
func now() time.Time { return time.Date(2036, time.May, 4, 3, 2, 1, 0, time.UTC) }

func (e *env) advance(d time.Duration) {
	e.Helper()
	e.h.Advance(e.TB, e.stores, d)
}

// bump raises the user's AuthVersion, or skips the case. Where the harness can't, a new
// password does, which revokes the user's sessions besides.
func (e *env) bump(id auth.UserID) {
	e.Helper()
	switch {
	case e.h.BumpAuthVersion != nil:
		e.h.BumpAuthVersion(e.TB, e.stores, id)
	case e.stores.Accounts != nil:
		setPassword().must(e, e.userByID(id))
	default:
		e.Skip("storetest: left out, since neither Harness.BumpAuthVersion nor Stores.Accounts is set")
	}
}

// remove deletes the user, or skips the case.
func (e *env) remove(id auth.UserID) {
	e.Helper()
	switch {
	case e.h.DeleteUser != nil:
		e.h.DeleteUser(e.TB, e.stores, id)
	case e.stores.Accounts != nil:
		deleteUser().must(e, e.userByID(id))
	default:
		e.Skip("storetest: left out, since neither Harness.DeleteUser nor Stores.Accounts is set")
	}
}

// newUser returns a user that no store has yet.
func (e *env) newUser() auth.NewUser {
	e.users++
	return auth.NewUser{
		Name:         fmt.Sprintf("User %d", e.users),
		Email:        fmt.Sprintf("User-%d@example.test", e.users),
		EmailKey:     fmt.Sprintf("user-%d@example.test", e.users),
		PasswordHash: fmt.Sprintf("$2a$12$hash-of-%d", e.users),
	}
}

// signUp stores u and returns what the store says of it.
func (e *env) signUp(u auth.NewUser) auth.UserRecord {
	e.Helper()
	id, err := e.stores.Users.CreateUser(e.Context(), u)
	if err != nil {
		e.Fatalf("CreateUser of key %q: %v", u.EmailKey, err)
	}
	return e.userByID(id)
}

func (e *env) user() auth.UserRecord {
	e.Helper()
	return e.signUp(e.newUser())
}

func (e *env) userByID(id auth.UserID) auth.UserRecord {
	e.Helper()
	u, err := retried(func() (auth.UserRecord, error) { return e.stores.Users.UserByID(e.Context(), id) })
	if err != nil {
		e.Fatalf("UserByID of %q, which CreateUser returned: %v", id, err)
	}
	return u
}

func (e *env) userByEmail(key string) (auth.UserRecord, error) {
	return retried(func() (auth.UserRecord, error) { return e.stores.Users.UserByEmail(e.Context(), key) })
}

// session returns a session of the user's that no store has yet.
func session(user auth.UserID) auth.Session {
	return auth.Session{
		ID:              auth.SessionID(randomID()),
		UserID:          user,
		AuthenticatedAt: now(),
		ExpiresAt:       now().Add(24 * time.Hour),
		MaxExpiresAt:    now().Add(30 * 24 * time.Hour),
		Client:          auth.Client{IP: netip.MustParseAddr("192.0.2.1"), UserAgent: "first/1.0"},
	}
}

// begin stores the session and returns its row.
func (e *env) begin(s auth.Session, authVersion int64) auth.SessionState {
	e.Helper()
	if err := e.create(s, authVersion); err != nil {
		e.Fatalf("CreateSession for user %q at version %d: %v", s.UserID, authVersion, err)
	}
	return e.read(s.ID)
}

// login is a new session of a new user.
func (e *env) login() auth.SessionState {
	e.Helper()
	u := e.user()
	return e.begin(session(u.ID), u.AuthVersion)
}

func (e *env) create(s auth.Session, authVersion int64) error {
	_, err := retried(func() (struct{}, error) {
		return struct{}{}, e.stores.Refresh.CreateSession(e.Context(), s, authVersion)
	})
	return err
}

func (e *env) tryRead(id auth.SessionID) (auth.SessionState, error) {
	return retried(func() (auth.SessionState, error) { return e.stores.Refresh.ReadSession(e.Context(), id) })
}

func (e *env) tryFind(id auth.SessionID) (auth.SessionState, error) {
	return retried(func() (auth.SessionState, error) { return e.stores.Refresh.SessionByID(e.Context(), id) })
}

// read reads a row that nobody is changing, in both ways.
func (e *env) read(id auth.SessionID) auth.SessionState {
	e.Helper()
	found, err := e.tryFind(id)
	if err != nil {
		e.Fatalf("SessionByID of a session that CreateSession stored: %v", err)
	}
	st, err := e.tryRead(id)
	if err != nil {
		e.Fatalf("ReadSession of a session that CreateSession stored: %v", err)
	}
	if d := difference(st, found); d != "" {
		e.Errorf("SessionByID and ReadSession of one row differ: %s", d)
	}
	return st
}

func (e *env) tryRevoke(id auth.SessionID, user auth.UserID, reason string) error {
	_, err := retried(func() (struct{}, error) {
		return struct{}{}, e.stores.Refresh.RevokeSession(e.Context(), id, user, reason)
	})
	return err
}

func (e *env) revoke(id auth.SessionID, user auth.UserID, reason string) {
	e.Helper()
	if err := e.tryRevoke(id, user, reason); err != nil {
		e.Fatalf("RevokeSession(…, user %q, %q): %v; want nil, whatever the session", user, reason, err)
	}
}

// unchanged reports every field in which want's row is no longer as it was read.
func (e *env) unchanged(want auth.SessionState, after string) {
	e.Helper()
	if d := difference(want, e.read(want.ID)); d != "" {
		e.Errorf("the session's row changed by %s, which must change nothing: %s", after, d)
	}
}

// remembers ends the case unless the row has n retirements.
func (e *env) remembers(st auth.SessionState, n int, after string) {
	e.Helper()
	if len(st.Retired) != n {
		e.Fatalf("Retired has %d entries after %s; want %d", len(st.Retired), after, n)
	}
}

// aged reports an instant that is not as old at the read as the store's clock has it.
func (e *env) aged(what string, at time.Time, st auth.SessionState, want time.Duration) {
	e.Helper()
	if age := st.ReadAt.Sub(at); at.IsZero() || age < want-time.Second || age > want+realTime {
		e.Errorf("%s is %v, %v before ReadAt %v; want about %v by the store's clock", what, at, age, st.ReadAt, want)
	}
}

// revokedSince reports how a row that was live is not revoked just now, with this reason
// and else as it was.
func (e *env) revokedSince(want auth.SessionState, reason, after string) {
	e.Helper()
	got := e.read(want.ID)
	e.aged("RevokedAt after "+after, got.RevokedAt, got, 0)
	want.RevokedAt, want.Reason = got.RevokedAt, reason
	if d := difference(want, got); d != "" {
		e.Errorf("after %s: %s; a revocation sets the time and the reason and nothing else", after, d)
	}
}

// gone checks that the session has no row.
func (e *env) gone(id auth.SessionID, after string) {
	e.Helper()
	_, found := e.tryFind(id)
	_, read := e.tryRead(id)
	for _, err := range []error{found, read} {
		if !errors.Is(err, auth.ErrSessionNotFound) {
			e.Errorf("a read of session %v after %s: error %v; want ErrSessionNotFound", id, after, err)
		}
	}
}

// sessions are n sessions of the user's.
func (e *env) sessions(u auth.UserRecord, n int) []auth.SessionState {
	e.Helper()
	var all []auth.SessionState
	for range n {
		all = append(all, e.begin(session(u.ID), u.AuthVersion))
	}
	return all
}

// reread reads the rows again, which a clock that was turned may have changed.
func (e *env) reread(all []auth.SessionState) []auth.SessionState {
	e.Helper()
	var now []auth.SessionState
	for _, st := range all {
		now = append(now, e.read(st.ID))
	}
	return now
}

// difference names the fields in which two reads of a row differ, ReadAt aside.
func difference(want, got auth.SessionState) string {
	var d []string
	field := func(equal bool, name string, want, got any) {
		if !equal {
			d = append(d, fmt.Sprintf("%s is %v, want %v", name, got, want))
		}
	}
	instant := func(name string, want, got time.Time) { field(want.Equal(got), name, want, got) }
	field(want.ID == got.ID, "ID", want.ID, got.ID)
	field(want.UserID == got.UserID, "UserID", want.UserID, got.UserID)
	instant("CreatedAt", want.CreatedAt, got.CreatedAt)
	instant("AuthenticatedAt", want.AuthenticatedAt, got.AuthenticatedAt)
	instant("ExpiresAt", want.ExpiresAt, got.ExpiresAt)
	instant("MaxExpiresAt", want.MaxExpiresAt, got.MaxExpiresAt)
	field(want.Client == got.Client, "Client", want.Client, got.Client)
	field(want.AuthVersion == got.AuthVersion, "AuthVersion", want.AuthVersion, got.AuthVersion)
	field(want.Generation == got.Generation, "Generation", want.Generation, got.Generation)
	field(want.RotatedBy == got.RotatedBy, "RotatedBy", want.RotatedBy, got.RotatedBy)
	field(slices.EqualFunc(want.Retired, got.Retired, time.Time.Equal), "Retired", want.Retired, got.Retired)
	instant("RevokedAt", want.RevokedAt, got.RevokedAt)
	field(want.Reason == got.Reason, "Reason", want.Reason, got.Reason)
	field(want.UserCurrent == got.UserCurrent, "UserCurrent", want.UserCurrent, got.UserCurrent)
	return strings.Join(d, "; ")
}

// retried calls f until the store is available, at most tries times.
func retried[T any](f func() (T, error)) (v T, err error) {
	for range tries {
		if v, err = f(); !errors.Is(err, auth.ErrUnavailable) {
			break
		}
	}
	return v, err
}

// together calls f(0) … f(n-1), each in a goroutine of its own and all let go at once,
// and returns when the last has. f must not end the test.
func together(n int, f func(i int)) {
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
}

func randomID() (id [16]byte) {
	_, _ = rand.Read(id[:]) // never fails
	return id
}

// lookAlikes are texts that a sloppy comparison takes for the ID or for a number: by
// trimming, by reading digits and dropping the rest, by overflow, by padding.
func lookAlikes(id auth.UserID) []auth.UserID {
	all := []auth.UserID{
		"", "0", "00", "01", "-1", "+1", "1e0", "1e3", "0x1", " 1", "1 ", "\t1", "1\n", "1.0", "1,", "１", "1\x00",
		"1' OR '1'='1", "1; DROP TABLE users", "null", "true", "\xff",
		"9223372036854775808", "18446744073709551616", "18446744073709551617",
		auth.UserID(strings.Repeat("7", 70)), auth.UserID(strings.Repeat("0", 69) + "1"),
		"0" + id, "+" + id, " " + id, id + " ", id + "\n", id + "\x00", id + ".0", id + "e0", id + "x", id + "' OR '1'='1",
	}
	return slices.DeleteFunc(all, func(other auth.UserID) bool { return other == id })
}
