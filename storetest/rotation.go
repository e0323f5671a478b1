package storetest

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/ostiary/auth"
)

// kind is one of the two operations that move a session's generation.
type kind struct {
	name  string
	ahead int64 // how far the generation that it is given lies ahead of the row's
	call  func(s auth.RefreshStore, ctx context.Context, r auth.Rotation) (bool, error)
}

func rotation() kind { return kind{"RotateSession", 0, auth.RefreshStore.RotateSession} }

func recovery() kind { return kind{"RecoverSession", 2, auth.RefreshStore.RecoverSession} }

// of returns an attempt on the row that must succeed.
func (k kind) of(e *env, st auth.SessionState) auth.Rotation {
	e.Helper()
	r := auth.Rotation{
		Session:    st.ID,
		UserID:     st.UserID,
		Generation: st.Generation + k.ahead,
		Attempt:    auth.AttemptID(randomID()),
		Now:        now().Add(time.Hour),
		ExpiresAt:  st.ExpiresAt.Add(time.Hour),

		AuthenticatedAt: st.AuthenticatedAt,
		Client:          auth.Client{IP: netip.MustParseAddr("2001:db8::1"), UserAgent: "next/2.0"},
	}
	if !e.stores.SharedUsers {
		u := e.userByID(st.UserID)
		r.AuthVersion, r.UserCreatedAt = u.AuthVersion, u.CreatedAt
	}
	return r
}

// try makes the attempt as the Authenticator does: while the store is unavailable it is
// repeated, and the row's RotatedBy tells a success whose reply was lost.
func (k kind) try(e *env, r auth.Rotation) (bool, error) {
	lost := false
	done, err := retried(func() (bool, error) {
		done, err := k.call(e.stores.Refresh, e.Context(), r)
		lost = lost || err != nil
		return done, err
	})
	if err != nil || done || !lost {
		return done, err
	}
	st, err := e.tryRead(r.Session)
	if errors.Is(err, auth.ErrSessionNotFound) {
		return false, nil
	}
	return err == nil && st.RotatedBy == r.Attempt && st.Generation == r.Generation+1, err
}

// do is try, and the end of the case on an error.
func (k kind) do(e *env, r auth.Rotation) bool {
	e.Helper()
	done, err := k.try(e, r)
	if err != nil {
		e.Fatalf("%s: %v; want true or false, whatever the row", k.name, err)
	}
	return done
}

// must makes an attempt that nothing stands against and returns the row.
func (k kind) must(e *env, st auth.SessionState) auth.SessionState {
	e.Helper()
	if !k.do(e, k.of(e, st)) {
		e.Fatalf("%s of a live session at generation %d, presented generation %d: false; want true", k.name, st.Generation, st.Generation+k.ahead)
	}
	return e.read(st.ID)
}

// refuses checks that the attempt is answered false and changes nothing.
func (k kind) refuses(e *env, st auth.SessionState, r auth.Rotation, why string) {
	e.Helper()
	if k.do(e, r) {
		e.Errorf("%s: true; want false, since %s", k.name, why)
	}
	e.unchanged(st, k.name+" although "+why)
}

// hostsUsers says that the stores do not hold the users, so that the case is left out.
func (e *env) hostsUsers() bool {
	e.Helper()
	if !e.stores.SharedUsers {
		e.Log("storetest: left out, since it is for stores that hold the users (Stores.SharedUsers)")
	}
	return !e.stores.SharedUsers
}
