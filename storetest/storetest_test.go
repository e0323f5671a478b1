package storetest_test

import (
	"context"
	"errors"
	"fmt"
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
		assert.Contains(t, found, c.Name)
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
// left out say so.
func TestHarnessWithoutOptions(t *testing.T) {
	for _, shared := range []bool{true, false} {
		whole := harness("", shared)
		skipped := 0
		for _, c := range storetest.Cases() {
			r := record(t, c, storetest.Harness{New: whole.New, Advance: whole.Advance})
			assert.False(t, r.Failed(), "%s: %s", c.Name, r.text())
			if r.Skipped() {
				skipped++
				assert.Regexp(t, `left out, since Harness\.(BumpAuthVersion|DeleteUser) is not set`, r.text(), c.Name)
			}
		}
		assert.NotZero(t, skipped)
		assert.Less(t, skipped, 10)
	}
}

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
				s.Refresh = &flaky{RefreshStore: s.Refresh, lost: lost}
				return s
			},
			Advance: func(tb testing.TB, s auth.Stores, d time.Duration) { tb.Helper(); whole.Advance(tb, inner(s), d) },
			BumpAuthVersion: func(tb testing.TB, s auth.Stores, id auth.UserID) {
				tb.Helper()
				whole.BumpAuthVersion(tb, inner(s), id)
			},
			DeleteUser: func(tb testing.TB, s auth.Stores, id auth.UserID) { tb.Helper(); whole.DeleteUser(tb, inner(s), id) },
		}
		t.Run(fmt.Sprintf("reply lost %v", lost), func(t *testing.T) { storetest.Run(t, h) })
	}
}
