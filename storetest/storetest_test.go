package storetest_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/storetest"
)

func TestRun(t *testing.T) {
	t.Run("shared users", func(t *testing.T) { storetest.Run(t, harness("", true)) })
	t.Run("the host's users", func(t *testing.T) { storetest.Run(t, harness("", false)) })
	t.Run("the host's users and accounts", func(t *testing.T) { storetest.Run(t, harnessOf("", false, true)) })
}

func TestCasesAreNamed(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range storetest.Cases() {
		assert.False(t, seen[c.Name], "two cases are named %s", c.Name)
		assert.Regexp(t, `^[A-Z][A-Za-z]+/[A-Z][A-Za-z]+$`, c.Name)
		seen[c.Name] = true
	}
}

// TestEveryCaseFindsAFault has no case that never fails.
func TestEveryCaseFindsAFault(t *testing.T) {
	var found []string
	for _, f := range faults() {
		found = append(found, f.fails...)
	}
	for _, c := range storetest.Cases() {
		assert.True(t, slices.Contains(found, c.Name), "no fault is said to fail %s", c.Name)
	}
}

// TestFaults plants each fault and runs every case: those named must fail.
func TestFaults(t *testing.T) {
	for _, f := range faults() {
		t.Run(strings.ReplaceAll(f.name, "/", "-"), func(t *testing.T) {
			var failed []string
			for _, c := range storetest.Cases() {
				if r := record(t, c, harness(f.name, !f.hostsUsers)); r.Failed() {
					failed = append(failed, c.Name)
					assert.NotEmpty(t, r.text(), "%s fails without a word", c.Name)
				}
			}
			t.Logf("failed: %s", strings.Join(failed, ", "))
			require.NotEmpty(t, f.fails)
			assert.Subset(t, failed, f.fails)
		})
	}
}

func TestHarnessIsChecked(t *testing.T) {
	c := storetest.Cases()[0]
	whole := harness("", true)
	for name, h := range map[string]storetest.Harness{
		"nothing":    {},
		"no Advance": {New: whole.New},
		"no New":     {Advance: whole.Advance},
		"no stores":  {New: func(testing.TB) auth.Stores { return auth.Stores{} }, Advance: whole.Advance},
	} {
		r := record(t, c, h)
		assert.True(t, r.Failed(), name)
		assert.Contains(t, r.text(), "must", name)
	}
}

// TestHarnessWithoutOptions has New and Advance alone: no case fails, and those that are
// left out say so. With accounts none is.
func TestHarnessWithoutOptions(t *testing.T) {
	for _, accounts := range []bool{true, false} {
		for _, shared := range []bool{true, false} {
			whole := harnessOf("", shared, accounts)
			skipped := map[bool]int{} // by whether the case is of Stores.Accounts
			for _, c := range storetest.Cases() {
				r := record(t, c, storetest.Harness{New: whole.New, Advance: whole.Advance})
				assert.False(t, r.Failed(), "%s: %s", c.Name, r.text())
				if !r.Skipped() {
					continue
				}
				ofAccounts := strings.Contains(r.text(), "left out, since Stores.Accounts is not set")
				if !ofAccounts {
					assert.Regexp(t, `left out, since neither Harness\.(BumpAuthVersion|DeleteUser) nor Stores.Accounts is set`, r.text(), c.Name)
				}
				assert.Equal(t, isOfAccounts.MatchString(c.Name), ofAccounts, c.Name)
				skipped[ofAccounts]++
			}
			if accounts {
				assert.Empty(t, skipped)
				continue
			}
			assert.NotZero(t, skipped[true])
			assert.NotZero(t, skipped[false])
			assert.Less(t, skipped[false], 10)
		}
	}
}

var isOfAccounts = regexp.MustCompile(`^(SetDisabled|SetPassword|DeleteUser)/`)

// TestCleanups has the stores made and closed once for each case.
func TestCleanups(t *testing.T) {
	h := harness("", true)
	newStores := h.New
	made, closed := 0, 0
	h.New = func(tb testing.TB) auth.Stores {
		tb.Helper()
		made++
		tb.Cleanup(func() { closed++ })
		return newStores(tb)
	}
	advanced := time.Duration(0)
	h.Advance = func(_ testing.TB, s auth.Stores, d time.Duration) {
		advanced += d.Abs()
		harness("", true).Advance(nil, s, d)
	}
	cases := storetest.Cases()
	for _, c := range cases {
		assert.False(t, record(t, c, h).Failed(), c.Name)
	}
	assert.Equal(t, len(cases), made)
	assert.Equal(t, len(cases), closed)
	assert.NotZero(t, advanced)
}

// flaky is a store of sessions that fails each call at its first try, as if the server had
// chosen it as a deadlock's victim, or as if the reply had been lost.
type flaky struct {
	auth.RefreshStore

	lost bool // the reply, not the write
	seen sync.Map
}

func (f *flaky) first(call any) bool {
	_, seen := f.seen.LoadOrStore(call, true)
	return !seen
}

// fail returns an error and, if the reply is what is lost, makes the call before.
func (f *flaky) fail(call func() error) error {
	if f.lost {
		return errors.Join(auth.ErrUnavailable, call())
	}
	return auth.ErrUnavailable
}

func (f *flaky) CreateSession(ctx context.Context, s auth.Session, authVersion int64) error {
	call := func() error { return f.RefreshStore.CreateSession(ctx, s, authVersion) }
	if f.first(s.ID) {
		return f.fail(call)
	}
	return call()
}

func (f *flaky) RotateSession(ctx context.Context, r auth.Rotation) (done bool, err error) {
	call := func() error { done, err = f.RefreshStore.RotateSession(ctx, r); return err }
	if f.first(r) {
		return false, f.fail(call)
	}
	return done, call()
}

func (f *flaky) RecoverSession(ctx context.Context, r auth.Rotation) (done bool, err error) {
	call := func() error { done, err = f.RefreshStore.RecoverSession(ctx, r); return err }
	if f.first(r) {
		return false, f.fail(call)
	}
	return done, call()
}

func (f *flaky) RevokeSession(ctx context.Context, id auth.SessionID, user auth.UserID, reason string) error {
	call := func() error { return f.RefreshStore.RevokeSession(ctx, id, user, reason) }
	if f.first(id.String() + string(user) + reason) {
		return f.fail(call)
	}
	return call()
}

func (f *flaky) RevokeUserSessions(ctx context.Context, user auth.UserID, keep auth.SessionID, reason string) error {
	call := func() error { return f.RefreshStore.RevokeUserSessions(ctx, user, keep, reason) }
	if f.first("all but " + keep.String() + string(user) + reason) {
		return f.fail(call)
	}
	return call()
}

func (f *flaky) RevokeAllSessions(ctx context.Context, before time.Time, reason string) (n int64, err error) {
	call := func() error { n, err = f.RefreshStore.RevokeAllSessions(ctx, before, reason); return err }
	if f.first("everybody's before " + before.String() + reason) {
		return 0, f.fail(call)
	}
	return n, call()
}

func (f *flaky) PurgeSessions(ctx context.Context, before time.Time, limit int) (n int, err error) {
	call := func() error { n, err = f.RefreshStore.PurgeSessions(ctx, before, limit); return err }
	if f.first(fmt.Sprint("purge ", before, limit)) {
		return 0, f.fail(call)
	}
	return n, call()
}

func (f *flaky) SessionsByUser(ctx context.Context, user auth.UserID, now time.Time, limit int) ([]auth.SessionState, error) {
	if f.first(fmt.Sprint("list ", user, now, limit)) {
		return nil, auth.ErrUnavailable
	}
	return f.RefreshStore.SessionsByUser(ctx, user, now, limit)
}

// flakyAccounts is the same for changes of users.
type flakyAccounts struct {
	auth.AccountStore

	*flaky
}

func (f flakyAccounts) SetDisabled(ctx context.Context, id auth.UserID, disabled bool) error {
	call := func() error { return f.AccountStore.SetDisabled(ctx, id, disabled) }
	if f.first(fmt.Sprint("disable ", id, disabled)) {
		return f.fail(call)
	}
	return call()
}

func (f flakyAccounts) SetPassword(ctx context.Context, id auth.UserID, hash string) error {
	call := func() error { return f.AccountStore.SetPassword(ctx, id, hash) }
	if f.first("password " + string(id) + hash) {
		return f.fail(call)
	}
	return call()
}

func (f flakyAccounts) DeleteUser(ctx context.Context, id auth.UserID) error {
	call := func() error { return f.AccountStore.DeleteUser(ctx, id) }
	if f.first("delete " + string(id)) {
		return f.fail(call)
	}
	return call()
}

// TestUnavailable has a store that is right and has a bad day: no case fails.
func TestUnavailable(t *testing.T) {
	for _, lost := range []bool{false, true} {
		whole := harness("", true)
		inner := func(s auth.Stores) auth.Stores {
			if f, ok := s.Refresh.(*flaky); ok {
				s.Refresh = f.RefreshStore
			}
			return s
		}
		h := storetest.Harness{
			New: func(tb testing.TB) auth.Stores {
				tb.Helper()
				s := whole.New(tb)
				f := &flaky{RefreshStore: s.Refresh, lost: lost}
				s.Refresh, s.Accounts = f, flakyAccounts{s.Accounts, f}
				return s
			},
			Advance: func(tb testing.TB, s auth.Stores, d time.Duration) { tb.Helper(); whole.Advance(tb, inner(s), d) },
		}
		t.Run(fmt.Sprintf("reply lost %v", lost), func(t *testing.T) { storetest.Run(t, h) })
	}
}
