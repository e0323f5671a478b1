package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/ostiary/auth"
)

func revokeUserCases() []testCase {
	return []testCase{
		{"RevokeUserSessions/ReadBack", revokeUserReadBack},
		{"RevokeUserSessions/Keep", revokeUserKeep},
		{"RevokeUserSessions/OtherUser", revokeUserOther},
		{"RevokeUserSessions/FirstStays", revokeUserFirstStays},
		{"RevokeUserSessions/RaceRotate", revokeUserRaceRotate},
		{"RevokeUserSessions/Race", revokeUserRace},
	}
}

func (e *env) tryRevokeUser(user auth.UserID, keep auth.SessionID, reason string) error {
	_, err := retried(func() (struct{}, error) {
		return struct{}{}, e.stores.Refresh.RevokeUserSessions(e.Context(), user, keep, reason)
	})
	return err
}

func (e *env) revokeUser(user auth.UserID, keep auth.SessionID, reason string) {
	e.Helper()
	if err := e.tryRevokeUser(user, keep, reason); err != nil {
		e.Fatalf("RevokeUserSessions(user %q, keep %v, %q): %v; want nil, whatever the user", user, keep, reason, err)
	}
}

func revokeUserReadBack(e *env) {
	u := e.user()
	own, stranger := e.sessions(u, 4), e.login()
	for i := range own {
		own[i] = rotateAll(e, own[i], i, 0)
	}
	e.revokeUser(u.ID, auth.SessionID{}, auth.ReasonLogoutAll)
	for _, st := range own {
		e.revokedSince(st, auth.ReasonLogoutAll, "RevokeUserSessions")
		st = e.read(st.ID)
		rotation().refuses(e, st, rotation().of(e, st), "RevokeUserSessions revoked the session")
	}
	e.unchanged(stranger, "RevokeUserSessions of another user")
	rotation().must(e, e.begin(session(u.ID), u.AuthVersion)) // the user may log in again
}

func revokeUserKeep(e *env) {
	u := e.user()
	own, stranger := e.sessions(u, 3), e.login()
	e.revokeUser(u.ID, own[1].ID, auth.ReasonLogoutAll)
	e.unchanged(own[1], "RevokeUserSessions that keeps it")
	own[1] = rotation().must(e, own[1])
	e.revokedSince(own[0], auth.ReasonLogoutAll, "RevokeUserSessions that keeps another session")
	e.revokedSince(own[2], auth.ReasonLogoutAll, "RevokeUserSessions that keeps another session")

	e.revokeUser(u.ID, stranger.ID, auth.ReasonLogoutAll)
	e.revokedSince(own[1], auth.ReasonLogoutAll, "RevokeUserSessions that keeps another user's session")
	last := e.begin(session(u.ID), u.AuthVersion)
	e.revokeUser(u.ID, auth.SessionID(randomID()), auth.ReasonLogoutAll)
	e.revokedSince(last, auth.ReasonLogoutAll, "RevokeUserSessions that keeps a session that there is not")
	e.unchanged(stranger, "RevokeUserSessions of another user")
	rotation().must(e, stranger)
}

func revokeUserOther(e *env) {
	st := e.login()
	for _, id := range append(lookAlikes(st.UserID), e.user().ID) {
		e.revokeUser(id, auth.SessionID{}, auth.ReasonLogoutAll)
		e.unchanged(st, fmt.Sprintf("RevokeUserSessions of user %q, whose session it is not", id))
	}
}

func revokeUserFirstStays(e *env) {
	u := e.user()
	own := e.sessions(u, 2)
	e.revoke(own[0].ID, u.ID, auth.ReasonReuse)
	e.advance(time.Hour)
	own = e.reread(own)
	e.revokeUser(u.ID, auth.SessionID{}, auth.ReasonLogoutAll)
	e.unchanged(own[0], "RevokeUserSessions after RevokeSession")
	e.revokedSince(own[1], auth.ReasonLogoutAll, "RevokeUserSessions")
	e.advance(time.Hour)
	own = e.reread(own)
	for _, reason := range reasons() {
		e.revokeUser(u.ID, auth.SessionID{}, reason)
		for _, st := range own {
			e.unchanged(st, "another RevokeUserSessions, reason "+reason)
		}
	}
}

func revokeUserRaceRotate(e *env) {
	for range 10 {
		st := e.login()
		rotations := raceRotations(e, "RevokeUserSessions", st, func() error {
			return e.tryRevokeUser(st.UserID, auth.SessionID{}, auth.ReasonLogoutAll)
		})
		revokedBeside(e, "RevokeUserSessions", st, rotations, auth.ReasonLogoutAll)
	}
}

// revokeUserRace has a user's devices log each other out: each call keeps its own session,
// and none of them survives the others'.
func revokeUserRace(e *env) {
	const devices = 8
	for range 5 {
		u := e.user()
		own := e.sessions(u, devices)
		var rows [devices]auth.SessionState
		var errs [devices]error
		together(devices, func(i int) {
			if errs[i] = e.tryRevokeUser(u.ID, own[i].ID, reasons()[i%len(reasons())]); errs[i] == nil {
				rows[i], errs[i] = e.tryRead(own[(i+1)%devices].ID)
			}
		})
		if err := errors.Join(errs[:]...); err != nil {
			e.Fatalf("%d concurrent RevokeUserSessions: %v; want nil for all", devices, err)
		}
		for _, row := range rows {
			if row.RevokedAt.IsZero() {
				e.Fatal("ReadSession after RevokeUserSessions of all but another session returned: RevokedAt is zero")
			}
			e.unchanged(row, "RevokeUserSessions beside the one that revoked it")
		}
	}
}
