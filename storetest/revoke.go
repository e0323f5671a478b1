package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/ostiary/auth"
)

func revokeCases() []testCase {
	return []testCase{
		{"RevokeSession/ReadBack", revokeReadBack},
		{"RevokeSession/FirstStays", revokeFirstStays},
		{"RevokeSession/OtherUser", revokeOtherUser},
		{"RevokeSession/OtherSessions", revokeOtherSessions},
		{"RevokeSession/Unknown", revokeUnknown},
		{"RevokeSession/Race", revokeRace},
	}
}

func reasons() []string {
	return []string{
		auth.ReasonLogout, auth.ReasonLogoutAll, auth.ReasonRevoked, auth.ReasonReuse,
		auth.ReasonUserChanged, auth.ReasonPassword, auth.ReasonDisabled, auth.ReasonAll,
	}
}

func revokeReadBack(e *env) {
	for i, reason := range reasons() {
		st := rotateAll(e, e.login(), i%3, 0)
		e.revoke(st.ID, st.UserID, reason)
		e.revokedSince(st, reason, "RevokeSession")
	}
}

func revokeFirstStays(e *env) {
	st := e.login()
	e.revoke(st.ID, st.UserID, auth.ReasonReuse)
	e.advance(time.Hour)
	st = e.read(st.ID)
	for _, reason := range reasons() {
		e.revoke(st.ID, st.UserID, reason)
		e.unchanged(st, "a second RevokeSession, reason "+reason)
	}
}

func revokeOtherUser(e *env) {
	st := e.login()
	for _, id := range append(lookAlikes(st.UserID), e.user().ID) {
		e.revoke(st.ID, id, auth.ReasonLogout)
		e.unchanged(st, fmt.Sprintf("RevokeSession for user %q, whose session it is not", id))
	}
}

func revokeOtherSessions(e *env) {
	u := e.user()
	own := e.begin(session(u.ID), u.AuthVersion)
	sibling := e.begin(session(u.ID), u.AuthVersion)
	strangers := e.login()
	e.revoke(own.ID, u.ID, auth.ReasonReuse)
	for _, st := range []auth.SessionState{sibling, strangers} {
		e.unchanged(st, "RevokeSession of another session")
		rotation().must(e, st)
	}
}

func revokeUnknown(e *env) {
	st := e.login()
	id := auth.SessionID(randomID())
	e.revoke(id, st.UserID, auth.ReasonLogout)
	if _, err := e.tryRead(id); !errors.Is(err, auth.ErrSessionNotFound) {
		e.Errorf("ReadSession after RevokeSession of a session that there is not: error %v; want ErrSessionNotFound", err)
	}
	e.unchanged(st, "RevokeSession of a session that there is not")
}

// revokeRace checks that whoever came first is first for all: once a call has returned,
// neither time nor reason change.
func revokeRace(e *env) {
	const racers = 20
	for range 5 {
		st := e.login()
		var rows [racers]auth.SessionState
		var errs [racers]error
		together(racers, func(i int) {
			if errs[i] = e.tryRevoke(st.ID, st.UserID, reasons()[i%len(reasons())]); errs[i] == nil {
				rows[i], errs[i] = e.tryRead(st.ID)
			}
		})
		if err := errors.Join(errs[:]...); err != nil {
			e.Fatalf("%d concurrent RevokeSession: %v; want nil for all", racers, err)
		}
		for _, row := range rows {
			if row.RevokedAt.IsZero() {
				e.Fatal("ReadSession after RevokeSession returned: RevokedAt is zero")
			}
			if d := difference(rows[0], row); d != "" {
				e.Fatalf("a session that was revoked for good changed afterwards: %s", d)
			}
		}
	}
}
