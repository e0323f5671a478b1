package storetest

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/ostiary/auth"
)

// guardCases are the cases that hold for rotation and recovery alike.
func guardCases(k kind) []testCase {
	cases := []struct {
		name string
		run  func(e *env, k kind)
	}{
		{"ReadBack", changeReadBack},
		{"Instants", changeInstants},
		{"Client", changeClient},
		{"AuthenticatedAt", changeAuthenticatedAt},
		{"Repeated", changeRepeated},
		{"OtherSessions", changeOtherSessions},
		{"SessionUnknown", guardSessionUnknown},
		{"OtherUser", guardOtherUser},
		{"Revoked", guardRevoked},
		{"Expired", guardExpired},
		{"AuthVersion", guardAuthVersion},
		{"UserDeleted", guardUserDeleted},
		{"UserCreatedLater", guardUserCreatedLater},
		{"Race", changeRace},
	}
	var all []testCase
	for _, c := range cases {
		all = append(all, testCase{k.name + "/" + c.name, func(e *env) {
			e.Helper()
			c.run(e, k)
		}})
	}
	return all
}

func changeReadBack(e *env, k kind) {
	st := e.login()
	for range 2 {
		r := k.of(e, st)
		if !k.do(e, r) {
			e.Fatalf("%s of a live session: false; want true", k.name)
		}
		got := e.read(st.ID)
		want := st
		want.Generation, want.RotatedBy, want.ExpiresAt, want.Client = r.Generation+1, r.Attempt, r.ExpiresAt, r.Client
		want.Retired = got.Retired // a case of its own
		if d := difference(want, got); d != "" {
			e.Errorf("after %s: %s", k.name, d)
		}
		st = got
	}
}

func changeInstants(e *env, k kind) {
	st := e.login()
	for _, at := range instants() {
		r := k.of(e, st)
		r.Now, r.ExpiresAt = now().AddDate(-1, 0, 0), at
		if !k.do(e, r) {
			e.Fatalf("%s a year before ExpiresAt: false; want true", k.name)
		}
		st = e.read(st.ID)
		kept(e, k.name+": ExpiresAt", at, st.ExpiresAt)
	}
}

func changeClient(e *env, k kind) {
	st := e.login()
	for _, c := range clients() {
		r := k.of(e, st)
		r.Client = c
		if !k.do(e, r) {
			e.Fatalf("%s of a live session, client %+v: false; want true", k.name, c)
		}
		st = e.read(st.ID)
		sameClient(e, c, st.Client)
	}
}

func changeAuthenticatedAt(e *env, k kind) {
	st := e.login()
	for _, at := range append(instants(), st.AuthenticatedAt.Add(-time.Hour)) {
		r := k.of(e, st)
		r.AuthenticatedAt = at
		if !k.do(e, r) {
			e.Fatalf("%s of a live session, AuthenticatedAt %v: false; want true", k.name, at)
		}
		st = e.read(st.ID)
		kept(e, k.name+": AuthenticatedAt", at, st.AuthenticatedAt)
	}
	r := k.of(e, st)
	r.AuthenticatedAt = now().Add(time.Minute)
	r.Now = st.ExpiresAt
	k.refuses(e, st, r, "the session has expired")
}

func changeRepeated(e *env, k kind) {
	st := e.login()
	r := k.of(e, st)
	if !k.do(e, r) {
		e.Fatalf("%s of a live session: false; want true", k.name)
	}
	e.advance(time.Minute)
	st = e.read(st.ID)
	if st.RotatedBy != r.Attempt {
		e.Errorf("RotatedBy is %x after %s; want the attempt's ID %x, so that it knows its own success", st.RotatedBy, k.name, r.Attempt)
	}
	k.refuses(e, st, r, "the same attempt succeeded before")
}

func changeOtherSessions(e *env, k kind) {
	u := e.user()
	own := e.begin(session(u.ID), u.AuthVersion)
	sibling := e.begin(session(u.ID), u.AuthVersion)
	strangers := e.login()
	k.must(e, own)
	e.unchanged(sibling, k.name+" of another session of the user's")
	e.unchanged(strangers, k.name+" of another user's session")
}

func guardSessionUnknown(e *env, k kind) {
	st := e.login()
	r := k.of(e, st)
	r.Session[15]++
	k.refuses(e, st, r, "there is no session with this ID")
	if _, err := e.tryRead(r.Session); !errors.Is(err, auth.ErrSessionNotFound) {
		e.Errorf("ReadSession after %s of a session that there is not: error %v; want ErrSessionNotFound", k.name, err)
	}
}

func guardOtherUser(e *env, k kind) {
	st := e.login()
	r := k.of(e, st)
	for _, id := range append(lookAlikes(st.UserID), e.user().ID) {
		r.UserID = id
		k.refuses(e, st, r, fmt.Sprintf("the session is user %q's, not %q's", st.UserID, id))
	}
}

func guardRevoked(e *env, k kind) {
	for _, reason := range reasons() {
		st := e.login()
		e.revoke(st.ID, st.UserID, reason)
		st = e.read(st.ID)
		k.refuses(e, st, k.of(e, st), "the session is revoked")
	}
}

func guardExpired(e *env, k kind) {
	st := e.login()
	end, zone := st.ExpiresAt, time.FixedZone("", -9*3600)
	for _, at := range []time.Time{end, end.In(zone), end.Add(time.Microsecond), end.Add(time.Second), end.AddDate(1, 0, 0)} {
		r := k.of(e, st)
		r.Now = at
		k.refuses(e, st, r, fmt.Sprintf("ExpiresAt %v does not lie after Now %v", end, at))
	}
	for _, at := range []time.Time{end.Add(-time.Second), end.Add(-time.Microsecond), end.Add(-100 * time.Nanosecond), end.Add(-time.Second).In(zone), end.AddDate(-1, 0, 0)} {
		r := k.of(e, st)
		r.Now, r.ExpiresAt = at, end
		if !k.do(e, r) {
			e.Errorf("%s at Now %v: false; want true, ExpiresAt %v lies after it", k.name, at, end)
		}
		st = e.read(st.ID)
	}
}

func guardAuthVersion(e *env, k kind) {
	st := e.login()
	if !e.stores.SharedUsers {
		for _, version := range []int64{0, st.AuthVersion - 1, st.AuthVersion + 1} {
			r := k.of(e, st)
			r.AuthVersion = version
			k.refuses(e, st, r, fmt.Sprintf("the session began at AuthVersion %d and the user's is %d", st.AuthVersion, version))
		}
		k.must(e, st)
		return
	}
	stranger := e.login()
	e.bump(st.UserID)
	if e.read(st.ID).UserCurrent {
		e.Error("UserCurrent is true although the user's AuthVersion is not the session's any more")
	}
	st = e.read(st.ID)
	k.refuses(e, st, k.of(e, st), "the user's AuthVersion is not the session's any more")
	e.unchanged(stranger, "a change of another user")
	k.must(e, stranger)
}

func guardUserDeleted(e *env, k kind) {
	if e.hostsUsers() {
		return
	}
	st, stranger := e.login(), e.login()
	e.remove(st.UserID)
	if k.do(e, k.of(e, st)) {
		e.Errorf("%s: true; want false, since the user is deleted", k.name)
	}
	if got, err := e.tryRead(st.ID); err == nil && (got.UserCurrent || got.Generation != st.Generation) {
		e.Errorf("the session of a deleted user has UserCurrent %v and generation %d; want false and %d", got.UserCurrent, got.Generation, st.Generation)
	} else if err != nil && !errors.Is(err, auth.ErrSessionNotFound) {
		e.Errorf("ReadSession of a deleted user's session: %v; want its row or ErrSessionNotFound", err)
	}
	e.unchanged(stranger, "the removal of another user")
	k.must(e, stranger)
}

// guardUserCreatedLater has a user whose row is younger than the session's: with its
// clock set back between the two, a store that holds both makes one itself.
func guardUserCreatedLater(e *env, k kind) {
	why := "the user was created more than CreationSlack after the session"
	if e.stores.SharedUsers {
		late := e.user()
		e.advance(-auth.CreationSlack - time.Minute)
		st := e.begin(session(late.ID), late.AuthVersion)
		if st.UserCurrent {
			e.Errorf("UserCurrent is true although %s", why)
		}
		k.refuses(e, st, k.of(e, st), why)

		soon := e.user()
		e.advance(time.Minute - auth.CreationSlack)
		st = e.begin(session(soon.ID), soon.AuthVersion)
		if !st.UserCurrent {
			e.Error("UserCurrent is false although the user was created less than CreationSlack after the session")
		}
		k.must(e, st)
		return
	}
	st := e.login()
	r := k.of(e, st)
	r.UserCreatedAt = st.CreatedAt.Add(auth.CreationSlack + time.Microsecond)
	k.refuses(e, st, r, why)
	r.UserCreatedAt = st.CreatedAt.Add(auth.CreationSlack)
	if !k.do(e, r) {
		e.Errorf("%s: false; want true, the user was created exactly CreationSlack after the session", k.name)
	}
}

func changeRace(e *env, k kind) {
	const racers = 50
	st := e.login()
	for range 5 {
		var attempts [racers]auth.Rotation
		for i := range attempts {
			attempts[i] = k.of(e, st)
			attempts[i].ExpiresAt = st.ExpiresAt.Add(time.Duration(i) * time.Minute)
			attempts[i].Client = auth.Client{IP: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), UserAgent: fmt.Sprintf("racer/%d", i)}
			attempts[i].AuthenticatedAt = now().Add(time.Duration(i+1) * time.Second)
		}
		var done [racers]bool
		var errs [racers]error
		together(racers, func(i int) { done[i], errs[i] = k.try(e, attempts[i]) })
		if err := errors.Join(errs[:]...); err != nil {
			e.Fatalf("%d concurrent %s of one generation: %v; want true once and false else", racers, k.name, err)
		}
		winner, winners := 0, 0
		for i, won := range done {
			if won {
				winner = i
				winners++
			}
		}
		if winners != 1 {
			e.Fatalf("%d of %d concurrent %s of one generation succeeded; want exactly one", winners, racers, k.name)
		}
		r, got := attempts[winner], e.read(st.ID)
		want := st
		want.Generation, want.RotatedBy, want.ExpiresAt, want.Client = r.Generation+1, r.Attempt, r.ExpiresAt, r.Client
		want.AuthenticatedAt, want.Retired = r.AuthenticatedAt, got.Retired
		if d := difference(want, got); d != "" {
			e.Errorf("the row after the race is not what the one winner made of it: %s", d)
		}
		if n := min(len(st.Retired)+1, auth.RetiredKept); k.ahead == 0 && len(got.Retired) != n {
			e.Errorf("Retired has %d entries after the race; want %d, one more for the one rotation", len(got.Retired), n)
		}
		st = got
	}
}
