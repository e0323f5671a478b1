package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ostiary/auth"
)

func createCases() []testCase {
	return []testCase{
		{"CreateSession/ReadBack", createReadBack},
		{"CreateSession/Instants", createInstants},
		{"CreateSession/Client", createClient},
		{"CreateSession/IDs", createIDs},
		{"CreateSession/UserIDs", createUserIDTexts},
		{"CreateSession/UserUnknown", createUserUnknown},
		{"CreateSession/AuthVersion", createAuthVersion},
		{"CreateSession/UserChanged", createUserChanged},
		{"CreateSession/UserDeleted", createUserDeleted},
		{"CreateSession/Repeated", createRepeated},
		{"CreateSession/Race", createRace},
	}
}

func createReadBack(e *env) {
	u := e.user()
	s := session(u.ID)
	s.CreatedAt = now().Add(-time.Hour)
	st := e.begin(s, u.AuthVersion)
	e.aged("CreatedAt of a session made just now (Session.CreatedAt is ignored)", st.CreatedAt, st, 0)
	want := auth.SessionState{Session: s, AuthVersion: u.AuthVersion, Generation: 1, UserCurrent: e.stores.SharedUsers}
	want.CreatedAt = st.CreatedAt
	if d := difference(want, st); d != "" {
		e.Errorf("ReadSession of what CreateSession stored: %s", d)
	}
}

// instants that a store must keep, or cut, but never round up.
func instants() []time.Time {
	day := time.Date(2036, time.December, 31, 23, 59, 59, 0, time.UTC)
	return []time.Time{
		now(),
		now().Add(time.Microsecond),
		now().Add(999999 * time.Microsecond),
		now().Add(123456789 * time.Nanosecond),
		now().Add(time.Nanosecond),
		day.Add(999999 * time.Microsecond),
		day.Add(999999900 * time.Nanosecond),
		day.Add(999999999 * time.Nanosecond),
		now().In(time.FixedZone("", 9*3600)),
		now().Add(1500 * time.Nanosecond).In(time.FixedZone("", -(3*3600 + 1800))),
		time.Date(2036, time.February, 29, 12, 0, 0, 1000, time.UTC),
		time.Date(2036, time.March, 30, 1, 30, 0, 0, time.UTC), // an hour that daylight saving skips in Europe
	}
}

// kept reports an instant that was not kept to the microsecond, or was rounded up.
func kept(e *env, what string, want, got time.Time) {
	e.Helper()
	if lost := want.Sub(got); lost < 0 || lost >= time.Microsecond {
		e.Errorf("%s was given as %v and is %v; want the same instant, at most cut to the microsecond", what, want, got)
	}
}

func createInstants(e *env) {
	u := e.user()
	for _, at := range instants() {
		s := session(u.ID)
		s.AuthenticatedAt, s.ExpiresAt, s.MaxExpiresAt = at, at.Add(time.Hour), at.Add(2*time.Hour)
		st := e.begin(s, u.AuthVersion)
		kept(e, "AuthenticatedAt", s.AuthenticatedAt, st.AuthenticatedAt)
		kept(e, "ExpiresAt", s.ExpiresAt, st.ExpiresAt)
		kept(e, "MaxExpiresAt", s.MaxExpiresAt, st.MaxExpiresAt)
	}
}

// clients that a store must keep as they are.
func clients() []auth.Client {
	agents := []string{"", "curl/8", "Mozilla/5.0 (X11; Linux x86_64) \"quoted\" 'it''s' \\ %s", " spaces at both ends ", "Ünï 日本語 😀", strings.Repeat("😀", 255)}
	addrs := []netip.Addr{
		{},
		netip.MustParseAddr("0.0.0.0"), netip.MustParseAddr("203.0.113.255"), netip.MustParseAddr("::"),
		netip.MustParseAddr("2001:db8::20"), netip.MustParseAddr("::ffff:192.0.2.7"), netip.MustParseAddr("2020:2020:2020:2020:2020:2020:2020:2020"),
	}
	var all []auth.Client
	for i, addr := range addrs {
		all = append(all, auth.Client{IP: addr, UserAgent: agents[i%len(agents)]})
	}
	return all
}

// sameClient reports a client that was not kept. An IPv4 address inside an IPv6 one may
// come back in its short form.
func sameClient(e *env, want, got auth.Client) {
	e.Helper()
	if got.IP != want.IP && got.IP != want.IP.Unmap() {
		e.Errorf("Client.IP was given as %q and is %q", want.IP, got.IP)
	}
	if got.UserAgent != want.UserAgent {
		e.Errorf("Client.UserAgent was given as %q and is %q", want.UserAgent, got.UserAgent)
	}
}

func createClient(e *env) {
	u := e.user()
	for _, c := range clients() {
		s := session(u.ID)
		s.Client = c
		sameClient(e, c, e.begin(s, u.AuthVersion).Client)
	}
	s := session(u.ID)
	s.Client.UserAgent = strings.Repeat("é", 254) + "😀😀😀"
	got := e.begin(s, u.AuthVersion).Client.UserAgent
	if !strings.HasPrefix(s.Client.UserAgent, got) || utf8.RuneCountInString(got) != 255 {
		e.Errorf("of a user agent of 257 code points %d were kept, %q; want the first 255", utf8.RuneCountInString(got), got)
	}
}

// createIDs has session IDs that padding, trimming or a collation would merge.
func createIDs(e *env) {
	u := e.user()
	seen := map[auth.SessionID]auth.SessionState{}
	for _, b := range []string{"\x00", " ", "a", "A", "\xff", "\xe9", "0"} {
		for _, last := range []string{"", " ", "\x00", "\t"} {
			id := auth.SessionID(bytes.Repeat([]byte(b), 16))
			copy(id[16-len(last):], last)
			if _, done := seen[id]; done {
				continue
			}
			if _, err := e.tryRead(id); !errors.Is(err, auth.ErrSessionNotFound) {
				e.Errorf("ReadSession(%v) before it is stored: error %v; want ErrSessionNotFound: IDs are compared byte for byte", id, err)
			}
			s := session(u.ID)
			s.ID = id
			seen[id] = e.begin(s, u.AuthVersion)
		}
	}
	for id, st := range seen {
		if st.ID != id {
			e.Errorf("ReadSession(%v) returned the session %v", id, st.ID)
		}
		e.unchanged(st, "other sessions")
	}
}

// createUserIDTexts has IDs of a host's own users.
func createUserIDTexts(e *env) {
	if e.stores.SharedUsers || e.stores.IntegerIDs {
		e.Log("storetest: left out, since it is for stores of sessions alone whose user IDs are any text")
		return
	}
	ids := []auth.UserID{
		"0198c7a2-5b1e-7cc3-98c4-dc0c0c07398f", "user", "User", "USER", "user ", " user", "usér", "use\u0301r",
		"1", "01", "1.0", "ß", "ss", "😀", "😁", auth.UserID(strings.Repeat("z", 64)), auth.UserID(strings.Repeat("😀", 16)),
	}
	for _, id := range ids {
		s := session(id)
		st := e.begin(s, 1)
		if st.UserID != id {
			e.Errorf("UserID was given as %q and is %q; want it byte for byte", id, st.UserID)
		}
		r := auth.Rotation{
			Session: s.ID, Generation: 1, Attempt: auth.AttemptID(randomID()),
			Now: now(), ExpiresAt: s.ExpiresAt, Client: s.Client, AuthVersion: 1, UserCreatedAt: st.CreatedAt,
		}
		for _, other := range ids {
			if r.UserID = other; other != id && rotation().do(e, r) {
				e.Errorf("RotateSession of user %q's session for user %q: rotated; UserID is compared byte for byte", id, other)
			}
		}
		if r.UserID = id; !rotation().do(e, r) {
			e.Errorf("RotateSession of user %q's session for that user: false; want true", id)
		}
	}
}

func createUserUnknown(e *env) {
	u := e.user()
	if !e.stores.SharedUsers {
		if st := e.begin(session(u.ID+"7"), u.AuthVersion); st.UserCurrent {
			e.Error("UserCurrent is true of a user whom there is not")
		}
		return
	}
	for _, id := range lookAlikes(u.ID) {
		refused(e, session(id), u.AuthVersion, fmt.Sprintf("there is no user %q", id))
	}
}

func createAuthVersion(e *env) {
	u := e.user()
	for _, version := range []int64{u.AuthVersion - 1, u.AuthVersion + 1, u.AuthVersion + 1<<40} {
		if e.stores.SharedUsers {
			refused(e, session(u.ID), version, "the user's AuthVersion is another")
		} else if st := e.begin(session(u.ID), version); st.AuthVersion != version {
			e.Errorf("AuthVersion was given as %d and is %d", version, st.AuthVersion)
		}
	}
}

func createUserChanged(e *env) {
	if e.hostsUsers() {
		return
	}
	u := e.user()
	e.bump(u.ID)
	refused(e, session(u.ID), u.AuthVersion, "the user changed since the password was checked")
	if st := e.begin(session(u.ID), e.userByID(u.ID).AuthVersion); !st.UserCurrent {
		e.Error("UserCurrent is false for a session begun at the user's AuthVersion")
	}
}

func createUserDeleted(e *env) {
	if e.hostsUsers() {
		return
	}
	u := e.user()
	e.remove(u.ID)
	refused(e, session(u.ID), u.AuthVersion, "the user is deleted")
}

// refused checks that the session is not stored.
func refused(e *env, s auth.Session, version int64, why string) {
	e.Helper()
	if err := e.create(s, version); !errors.Is(err, auth.ErrUserChanged) {
		e.Errorf("CreateSession at version %d, where %s: error %v; want ErrUserChanged", version, why, err)
	}
	if _, err := e.tryRead(s.ID); !errors.Is(err, auth.ErrSessionNotFound) {
		e.Errorf("ReadSession after CreateSession where %s: error %v; want ErrSessionNotFound, nothing is stored", why, err)
	}
}

func createRepeated(e *env) {
	u := e.user()
	s := session(u.ID)
	st := e.begin(s, u.AuthVersion)
	again := func(after string) {
		e.Helper()
		e.advance(time.Minute)
		st = e.read(s.ID)
		if err := e.create(s, u.AuthVersion); err != nil {
			e.Errorf("CreateSession again with the same arguments, %s: %v; want nil, an earlier try stored it", after, err)
		}
		e.unchanged(st, "a second CreateSession "+after)
	}
	again("after the first")
	rotation().must(e, st)
	again("after a rotation")
	e.revoke(s.ID, u.ID, auth.ReasonLogout)
	again("after a revocation")
}

func createRace(e *env) {
	const racers = 20
	u := e.user()
	for range 5 {
		s := session(u.ID)
		var errs [racers]error
		together(racers, func(i int) { errs[i] = e.create(s, u.AuthVersion) })
		if err := errors.Join(errs[:]...); err != nil {
			e.Errorf("CreateSession with the same arguments, %d at once: %v; want nil for all", racers, err)
		}
		if st := e.read(s.ID); st.Generation != 1 || !st.RevokedAt.IsZero() {
			e.Errorf("the session has generation %d, revoked %v; want 1 and never", st.Generation, st.RevokedAt)
		}
	}
}
