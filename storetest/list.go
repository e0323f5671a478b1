package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ostiary/auth"
)

func listCases() []testCase {
	return []testCase{
		{"SessionsByUser/ReadBack", listReadBack},
		{"SessionsByUser/Limit", listLimit},
		{"SessionsByUser/Live", listLive},
		{"SessionsByUser/OtherUser", listOtherUser},
		{"SessionsByUser/UserChanged", listUserChanged},
		{"SessionsByUser/Copy", listCopy},
		{"SessionsByUser/Acknowledged", func(e *env) { readAcknowledged(e, "SessionsByUser", e.tryListed) }},
	}
}

func (e *env) tryList(user auth.UserID, at time.Time, limit int) ([]auth.SessionState, error) {
	return retried(func() ([]auth.SessionState, error) {
		return e.stores.Refresh.SessionsByUser(e.Context(), user, at, limit)
	})
}

func (e *env) list(user auth.UserID, at time.Time, limit int) []auth.SessionState {
	e.Helper()
	all, err := e.tryList(user, at, limit)
	if err != nil {
		e.Fatalf("SessionsByUser(%q, %v, %d): %v; want nil, whatever the user", user, at, limit, err)
	}
	return all
}

// tryListed is the session as its user's list has it.
func (e *env) tryListed(st auth.SessionState) (auth.SessionState, error) {
	all, err := e.tryList(st.UserID, now(), 10)
	for _, listed := range all {
		if listed.ID == st.ID {
			return listed, nil
		}
	}
	return auth.SessionState{}, errors.Join(err, errors.New("the session is not in the list"))
}

// lists checks that the user's list is of these sessions, in this order, as they are.
func (e *env) lists(want []auth.SessionState, user auth.UserID, at time.Time, limit int, what string) {
	e.Helper()
	got := e.list(user, at, limit)
	ids := func(all []auth.SessionState) (ids []auth.SessionID) {
		for _, st := range all {
			ids = append(ids, st.ID)
		}
		return ids
	}
	if !slices.Equal(ids(want), ids(got)) {
		e.Errorf("SessionsByUser(%q, %v, limit %d) returned %v; want %v: %s", user, at, limit, ids(got), ids(want), what)
		return
	}
	for _, st := range got {
		row := e.read(st.ID)
		if d := difference(row, st); d != "" {
			e.Errorf("SessionsByUser and SessionByID of one row differ: %s", d)
		}
		if d := row.ReadAt.Sub(st.ReadAt); d < -time.Second || d > realTime {
			e.Errorf("SessionsByUser and then SessionByID have ReadAt %v and %v; want the store's clock at the read", st.ReadAt, row.ReadAt)
		}
	}
}

// apart are n sessions of the user's, begun a minute apart, the newest first.
func (e *env) apart(u auth.UserRecord, n int) []auth.SessionState {
	e.Helper()
	var all []auth.SessionState
	for range n {
		all = append(all, e.begin(session(u.ID), u.AuthVersion))
		e.advance(time.Minute)
	}
	slices.Reverse(all)
	return e.reread(all)
}

func listReadBack(e *env) {
	u := e.user()
	e.lists(nil, u.ID, now(), 10, "the user never logged in")
	all := e.apart(u, 4)
	for i, st := range all { // the oldest is used most, and last, and expires last
		all[i] = rotateAll(e, st, i, 0)
	}
	e.lists(all, u.ID, now(), 10, "all of the user's, the newest first")
}

func listLimit(e *env) {
	u := e.user()
	all := e.apart(u, 5)
	for limit := 1; limit <= len(all); limit++ {
		e.lists(all[:limit], u.ID, now(), limit, "the newest, at most limit of them")
	}
	e.revoke(all[0].ID, u.ID, auth.ReasonLogout)
	e.lists(all[1:3], u.ID, now(), 2, "what is revoked does not count")
}

func listLive(e *env) {
	u := e.user()
	all := e.apart(u, 3)
	end := all[1].ExpiresAt
	r := rotation().of(e, all[1])
	r.ExpiresAt = end
	if !rotation().do(e, r) {
		e.Fatal("RotateSession of a live session: false; want true")
	}
	for _, i := range []int{0, 2} {
		r = rotation().of(e, all[i])
		r.ExpiresAt = end.Add(time.Hour)
		if !rotation().do(e, r) {
			e.Fatal("RotateSession of a live session: false; want true")
		}
	}
	e.lists(all, u.ID, end.Add(-time.Microsecond), 10, "all expire after now")
	others := []auth.SessionState{all[0], all[2]}
	for _, at := range []time.Time{end, end.In(time.FixedZone("", -9*3600)), end.Add(time.Microsecond), end.Add(time.Second)} {
		e.lists(others, u.ID, at, 10, fmt.Sprintf("one expires at %v, which is not after now", end))
	}
	e.lists(nil, u.ID, end.AddDate(1, 0, 0), 10, "all have expired")
	e.revoke(all[0].ID, u.ID, auth.ReasonReuse)
	e.lists(all[1:], u.ID, now(), 10, "one is revoked")
	e.revokeUser(u.ID, all[2].ID, auth.ReasonLogoutAll)
	e.lists(all[2:], u.ID, now(), 10, "all but one are revoked")
}

func listOtherUser(e *env) {
	st := e.login()
	for _, id := range append(lookAlikes(st.UserID), e.user().ID) {
		e.lists(nil, id, now(), 10, fmt.Sprintf("the only session is user %q's", st.UserID))
	}
	e.lists([]auth.SessionState{st}, st.UserID, now(), 10, "the only session is this user's")
}

// listUserChanged has a session whose row does not say that it is over.
func listUserChanged(e *env) {
	u := e.user()
	old := e.begin(session(u.ID), u.AuthVersion)
	e.bump(u.ID)
	e.advance(time.Minute)
	newer := e.begin(session(u.ID), e.userByID(u.ID).AuthVersion)
	want := []auth.SessionState{newer, e.read(old.ID)}
	if !want[1].RevokedAt.IsZero() {
		want = want[:1]
	}
	e.lists(want, u.ID, now(), 10, "the user's that are not revoked, each with its own UserCurrent")
}

func listCopy(e *env) {
	st := rotateAll(e, e.login(), 2, 0)
	st.Retired = slices.Clone(st.Retired)
	all := e.list(st.UserID, now(), 10)
	if len(all) != 1 {
		e.Fatalf("SessionsByUser returned %d sessions; want 1", len(all))
	}
	e.remembers(all[0], 2, "two rotations")
	all[0].Retired[0], all[0].Retired[1] = now(), now()
	e.unchanged(st, "writing to a slice that SessionsByUser returned")
}
