package auth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// oneRow is sessions that are one row as a test wrote it. No rotation changes it.
type oneRow struct {
	auth.RefreshStore // nil: no other method is called

	row     auth.SessionState
	missing bool // there is no such row
	ownWin  bool // the row was rotated by whoever asks

	calls     []string
	rotations []auth.Rotation
	revoked   struct {
		id     auth.SessionID
		user   auth.UserID
		reason string
	}
}

func (s *oneRow) RotateSession(_ context.Context, r auth.Rotation) (bool, error) {
	s.calls, s.rotations = append(s.calls, rotateSession), append(s.rotations, r)
	return false, nil
}

func (s *oneRow) RecoverSession(_ context.Context, r auth.Rotation) (bool, error) {
	s.calls, s.rotations = append(s.calls, recoverSession), append(s.rotations, r)
	return false, nil
}

func (s *oneRow) ReadSession(_ context.Context, id auth.SessionID) (auth.SessionState, error) {
	s.calls = append(s.calls, readSession)
	if s.missing || id != s.row.ID {
		return auth.SessionState{}, fmt.Errorf("one row: %w", auth.ErrSessionNotFound)
	}
	row := s.row
	if s.ownWin {
		row.RotatedBy = s.rotations[0].Attempt
	}
	return row, nil
}

func (s *oneRow) RevokeSession(_ context.Context, id auth.SessionID, user auth.UserID, reason string) error {
	s.calls = append(s.calls, revokeSession)
	s.revoked.id, s.revoked.user, s.revoked.reason = id, user, reason
	return nil
}

// What a refresh makes of a row that its rotation did not change.
var (
	ended   = verdict{err: auth.ErrSessionEnded, calls: []string{rotateSession, readSession}}
	reuse   = verdict{err: auth.ErrSessionEnded, calls: []string{rotateSession, readSession, revokeSession}}
	current = verdict{calls: []string{rotateSession, readSession}}
	again   = verdict{err: auth.ErrUnavailable, calls: []string{
		rotateSession, readSession, rotateSession, readSession, rotateSession, readSession,
	}}
	lost = verdict{err: auth.ErrUnavailable, calls: []string{
		rotateSession, readSession, recoverSession, readSession, recoverSession, readSession,
	}}
)

type verdict struct {
	err   error // nil: 200 with the row's generation and expiry
	calls []string
}

// limited is 429 with this Retry-After.
func limited(rest time.Duration) verdict {
	return verdict{err: &auth.RateLimitError{RetryAfter: rest}, calls: current.calls}
}

type verdictCase struct {
	name      string
	presented int64 // the row is at generation 10
	edit      func(s *oneRow)
	config    func(c *auth.Config)
	want      verdict
}

const rowGeneration = 10

// retiredAgo has the row's generations retired so long before the read, newest first.
func retiredAgo(ages ...time.Duration) func(s *oneRow) {
	return func(s *oneRow) {
		s.row.Retired = nil
		for _, age := range ages {
			s.row.Retired = append(s.row.Retired, s.row.ReadAt.Add(-age))
		}
	}
}

// eight is a list of eight retirements, the last of which is so long ago.
func eight(last time.Duration) func(s *oneRow) {
	return retiredAgo(last, last, last, last, last, last, last, last)
}

func both(edits ...func(s *oneRow)) func(s *oneRow) {
	return func(s *oneRow) {
		for _, edit := range edits {
			edit(s)
		}
	}
}

func revoked(s *oneRow) {
	s.row.RevokedAt, s.row.Reason = s.row.ReadAt.Add(-time.Second), auth.ReasonLogout
}

func expiring(in time.Duration) func(s *oneRow) {
	return func(s *oneRow) { s.row.ExpiresAt = s.row.ExpiresAt.Add(in) }
}

func ownWin(s *oneRow) { s.ownWin = true }

const (
	grace = time.Minute
	tick  = time.Microsecond
)

// The rows of the table of verdicts, in its order, each with what comes before it too.
func verdictCases() []verdictCase {
	const second = time.Second
	notCurrent := func(s *oneRow) { s.row.UserCurrent = false }
	recent := retiredAgo(second, second)
	old := retiredAgo(grace+tick, grace+tick)
	return []verdictCase{
		{"revoked, at its generation", 10, revoked, nil, ended},
		{"revoked, inside grace", 9, both(recent, revoked), nil, ended},
		{"revoked, own win", 9, both(recent, revoked, ownWin), nil, ended},
		{"revoked, after grace", 9, both(old, revoked), nil, ended},
		{"revoked, limited", 10, both(eight(0), revoked), nil, ended},
		{"revoked, behind", 11, revoked, nil, ended},
		{"expired this instant", 10, expiring(-24 * time.Hour), nil, ended},
		{"expired, inside grace", 9, both(recent, expiring(-24*time.Hour)), nil, ended},
		{"expired, own win", 9, both(recent, expiring(-24*time.Hour), ownWin), nil, ended},
		{"expired, after grace", 9, both(old, expiring(-25*time.Hour)), nil, ended},
		{"expired, behind", 11, expiring(-24 * time.Hour), nil, ended},
		{"expires in a second", 9, both(recent, expiring(second-24*time.Hour)), nil, current},
		{"another user's", 9, both(recent, func(s *oneRow) { s.row.UserID = "2" }), nil, ended},
		{"another user's, after grace", 9, both(old, func(s *oneRow) { s.row.UserID = "2" }), nil, ended},
		{"user changed or too young", 9, both(recent, notCurrent), nil, ended},
		{"user changed or too young, own win", 9, both(recent, notCurrent, ownWin), nil, ended},
		{"user changed or too young, after grace", 9, both(old, notCurrent), nil, ended},
		{"user changed or too young, behind", 11, notCurrent, nil, ended},
		{"absent", 10, func(s *oneRow) { s.missing = true }, nil, ended},

		{"own win", 9, both(recent, ownWin), nil, current},
		{"own win, heard of after grace", 9, both(old, ownWin), nil, current},
		{"own win, strict", 9, both(recent, ownWin), strict, current},
		{"own attempt, but two ahead", 8, both(recent, ownWin), strict, reuse},

		{"inside grace", 9, recent, nil, current},
		{"at the end of grace", 9, retiredAgo(grace), nil, current},
		{"from the future", 9, retiredAgo(-time.Hour), nil, current},
		{"inside grace, several behind", 7, retiredAgo(second, 2*second, grace, 2*grace), nil, current},
		{"inside grace, eight behind", 2, eight(grace), nil, current},
		{"another grace", 9, retiredAgo(5 * second), func(c *auth.Config) { c.Tokens.Grace = 5 * second }, current},
		{"another grace, after it", 9, retiredAgo(5*second + tick), func(c *auth.Config) { c.Tokens.Grace = 5 * second }, reuse},

		{"older than the last eight, inside grace", 1, eight(grace), noLimits, current},
		{"older than the last eight, after grace", 1, eight(grace + tick), noLimits, reuse},
		{"older than the last eight, inside grace, limits", 1, eight(grace), nil, reuse},
		{"older than the last eight, after grace, limits", 1, eight(grace + tick), nil, reuse},

		{"after grace", 9, old, nil, reuse},
		{"after grace, several behind", 7, retiredAgo(0, 0, grace+tick, 2*grace), nil, reuse},
		{"after grace, eight behind", 2, eight(grace + tick), nil, reuse},
		{"a retirement that the list lost", 8, retiredAgo(second), nil, reuse},
		{"strict, at once", 9, retiredAgo(0), strict, reuse},
		{"strict, from the future", 9, retiredAgo(-time.Hour), strict, reuse},

		{"limited", 10, eight(45 * second), nil, limited(15 * second)},
		{"limited, at the window's end", 10, eight(grace), nil, limited(0)},
		{"limited, from the future", 10, eight(-time.Hour), nil, limited(grace)},
		{"limited no more", 10, eight(grace + tick), nil, again},
		{"seven rotations", 10, retiredAgo(0, 0, 0, 0, 0, 0, 0), nil, again},
		{"no limits", 10, eight(0), noLimits, again},
		{"strict has no window", 10, eight(0), strict, again},

		{"at its generation", 10, old, nil, again},
		{"one behind", 11, recent, nil, lost},
		{"far behind, its last rotations recent", 1000, eight(0), nil, lost},
		{"behind, strict", 11, recent, strict, lost},
	}
}

// ASVS: 2.3.1.
// Advisory: better-auth GHSA-392p.
func TestVerdicts(t *testing.T) {
	for _, c := range verdictCases() {
		t.Run(c.name, func(t *testing.T) {
			w := onMemory(t)
			w.freeze()
			w.signUp(t, ann)
			tokens := w.logIn(t, ann)
			s := &oneRow{row: w.state(t, tokens.SessionID)}
			s.row.Generation = rowGeneration
			c.edit(s)
			judgeOneRow(t, w, s, tokens, c)
		})
	}
}

func judgeOneRow(t *testing.T, w *world, s *oneRow, tokens auth.Tokens, c verdictCase) {
	t.Helper()
	stores := w.stores
	stores.Refresh = s
	edit := c.config
	if edit == nil {
		edit = func(*auth.Config) {}
	}
	a, err := auth.New(stores, config(w.clock, w.log, edit))
	require.NoError(t, err)
	got, err := a.Refresh(t.Context(), atGeneration(t, tokens.RefreshToken, c.presented), auth.Client{})
	assert.Equal(t, c.want.calls, s.calls)
	for _, r := range s.rotations {
		assert.Equal(t, s.rotations[0], r, "each repeat is the same")
	}
	assert.Equal(t, len(s.calls) == len(reuse.calls), strings.Contains(w.log.String(), "event=reuse"), "reuse alone is reported as such")

	var limit *auth.RateLimitError
	switch {
	case c.want.err == nil:
		require.NoError(t, err)
		claims := claimsOf(t, got.RefreshToken)
		assert.Equal(t, s.row.Generation, claims.Generation)
		assert.Equal(t, s.row.ExpiresAt.Unix(), claims.ExpiresAt)
		assert.Equal(t, s.row.MaxExpiresAt.Unix(), claims.Max)
		assert.Equal(t, s.row.AuthenticatedAt.Unix(), claims.AuthTime)
		access, err := a.Verify(got.AccessToken)
		require.NoError(t, err)
		assert.Equal(t, s.row.ID, access.SessionID)
		return
	case assert.Error(t, err) && errors.As(err, &limit):
		assert.Equal(t, c.want.err, limit)
	default:
		require.ErrorIs(t, err, c.want.err)
		assert.Equal(t, errors.Is(c.want.err, auth.ErrInvalidToken), errors.Is(err, auth.ErrInvalidToken))
	}
	assert.Equal(t, auth.Tokens{}, got)
	if len(c.want.calls) == len(reuse.calls) {
		assert.Equal(t, s.row.ID, s.revoked.id)
		assert.Equal(t, s.row.UserID, s.revoked.user)
		assert.Equal(t, auth.ReasonReuse, s.revoked.reason)
		assert.Contains(t, w.log.String(), "session="+s.row.ID.String())
	}
}

// Where the users are the host's own, the row is compared with the user that was read
// before the rotation, and what the store says of it does not count.
func TestVerdictsOfHostsUsers(t *testing.T) {
	recent := retiredAgo(time.Second)
	younger := func(d time.Duration) func(s *oneRow) {
		return func(s *oneRow) { s.row.CreatedAt = s.row.CreatedAt.Add(-d) }
	}
	moved := func(s *oneRow) { s.row.AuthVersion++ }
	for _, c := range []verdictCase{
		{"current", 9, recent, nil, current},
		{"auth_version moved", 9, both(recent, moved), nil, ended},
		{"auth_version moved, after grace", 9, both(retiredAgo(grace+tick), moved), nil, ended},
		{"auth_version moved, behind", 11, moved, nil, ended},
		{"user as young as may be", 9, both(recent, younger(auth.CreationSlack)), nil, current},
		{"user too young", 9, both(recent, younger(auth.CreationSlack+tick)), nil, ended},
		{"user too young, own win", 9, both(recent, younger(auth.CreationSlack+tick), ownWin), nil, ended},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := onMemory(t)
			w.signUp(t, ann)
			tokens := w.logIn(t, ann)
			s := &oneRow{row: w.state(t, tokens.SessionID)}
			s.row.Generation, s.row.UserCurrent = rowGeneration, false
			c.edit(s)
			w.stores.SharedUsers = false
			judgeOneRow(t, w, s, tokens, c)
			user, err := w.stores.Users.UserByID(t.Context(), tokens.UserID)
			require.NoError(t, err)
			assert.Equal(t, user.AuthVersion, s.rotations[0].AuthVersion)
			assert.Equal(t, user.CreatedAt, s.rotations[0].UserCreatedAt)
		})
	}
}
