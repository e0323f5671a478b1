package storetest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ostiary/auth"
)

func userCases() []testCase {
	return []testCase{
		{"CreateUser/ReadBack", createUserReadBack},
		{"CreateUser/CreatedAt", createUserCreatedAt},
		{"CreateUser/Taken", createUserTaken},
		{"CreateUser/KeysApart", createUserKeysApart},
		{"CreateUser/IDs", createUserIDs},
		{"CreateUser/IDNotReused", createUserIDNotReused},
		{"CreateUser/Race", createUserRace},
		{"UserByEmail/Unknown", userByEmailUnknown},
		{"UserByID/Unknown", userByIDUnknown},
		{"UserByID/Deleted", userByIDDeleted},
	}
}

func createUserReadBack(e *env) {
	domain := "@" + strings.Repeat("d", 60) + "." + strings.Repeat("e", 60) + ".test" // 127 bytes
	users := []auth.NewUser{
		{Name: "Ann", Email: "Ann@Example.test", EmailKey: "ann@example.test", PasswordHash: "$2a$./Aa"},
		{Name: `O'Neil & <b>"\'; -- %s \n &amp;`, Email: "o'neil+tag@example.test", EmailKey: "o'neil+tag@example.test", PasswordHash: `h\'"%`},
		{Name: "Zoë ❤ 日本語 שלום 😀 𝒜", Email: "Zoë@bücher.test", EmailKey: "zoë@xn--bcher-kva.test", PasswordHash: "marker:$2a$"},
		{Name: strings.Repeat("😀", 255), Email: strings.Repeat("É", 63) + "x" + domain, EmailKey: strings.Repeat("é", 63) + "x" + domain, PasswordHash: strings.Repeat("aB$", 85)},
		{Name: "No Password", Email: "none@example.test", EmailKey: "none@example.test"},
	}
	for _, u := range users {
		id, err := e.stores.Users.CreateUser(e.Context(), u)
		if err != nil {
			e.Errorf("CreateUser of name %q, key %q: %v; every text within the limits of NewUser must be stored", u.Name, u.EmailKey, err)
			continue
		}
		want := auth.UserRecord{
			User:     auth.User{ID: id, Name: u.Name, Email: u.Email},
			EmailKey: u.EmailKey, PasswordHash: u.PasswordHash, AuthVersion: 1,
		}
		byID := e.userByID(id)
		want.CreatedAt = byID.CreatedAt
		if d := userDifference(want, byID); d != "" {
			e.Errorf("UserByID of what CreateUser stored, byte for byte: %s", d)
		}
		byEmail, err := e.userByEmail(u.EmailKey)
		if err != nil {
			e.Errorf("UserByEmail(%q) after CreateUser: %v", u.EmailKey, err)
		} else if d := userDifference(want, byEmail); d != "" {
			e.Errorf("UserByEmail of what CreateUser stored, byte for byte: %s", d)
		}
	}
}

func createUserCreatedAt(e *env) {
	first := e.user()
	e.advance(time.Hour)
	second := e.user()
	first = e.userByID(first.ID)
	if d := second.CreatedAt.Sub(first.CreatedAt); d < time.Hour-time.Second || d > time.Hour+realTime {
		e.Errorf("two users made an hour apart by the store's clock have CreatedAt %v and %v", first.CreatedAt, second.CreatedAt)
	}
	st := e.begin(session(second.ID), second.AuthVersion)
	if d := st.CreatedAt.Sub(second.CreatedAt).Abs(); d > auth.CreationSlack {
		e.Errorf("a user and its session made right after have CreatedAt %v and %v: the clocks of Users and Refresh are %v apart, more than CreationSlack",
			second.CreatedAt, st.CreatedAt, d)
	}
}

func createUserTaken(e *env) {
	u := e.newUser()
	first := e.signUp(u)
	again := auth.NewUser{Name: "Somebody Else", Email: "Else@example.test", EmailKey: u.EmailKey, PasswordHash: "other"}
	for range 2 {
		if id, err := e.stores.Users.CreateUser(e.Context(), again); !errors.Is(err, auth.ErrEmailTaken) {
			e.Errorf("CreateUser of a key that another user has: ID %q, error %v; want ErrEmailTaken", id, err)
		}
	}
	if d := userDifference(first, e.userByID(first.ID)); d != "" {
		e.Errorf("the user that has the key was changed by a CreateUser that failed: %s", d)
	}
	wantUser(e, u.EmailKey, first.ID)

	twin := e.newUser()
	twin.Name, twin.Email = u.Name, u.Email
	if _, err := e.stores.Users.CreateUser(e.Context(), twin); err != nil {
		e.Errorf("CreateUser with a key of its own, but name and address as another user's: %v; EmailKey alone is unique", err)
	}
}

// createUserKeysApart has pairs that collations hold equal, or that padding or cutting
// would merge. That such keys do not occur is not the store's to know.
func createUserKeysApart(e *env) {
	long := strings.Repeat("k", 180)
	keys := []string{
		"straße@x.test", "strasse@x.test", "strase@x.test", "josé@x.test", "jose@x.test", "jose\u0301@x.test",
		"github@x.test", "gıthub@x.test", "ann@x.test", "Ann@x.test", "ANN@X.TEST", "ａnn@x.test", "ann＠x.test",
		"ann\u200b@x.test", "ann@x.test ", "ann@x.test  ", " ann@x.test", "ann@x.test\u00a0", "ann@x.test.",
		"😀@x.test", "😁@x.test", "ﬁsh@x.test", "fish@x.test", "a_b@x.test", "a%b@x.test", `a\b@x.test`, `a\\b@x.test`,
		"ς@x.test", "σ@x.test", "1@x.test", "01@x.test", long + "1@x.test", long + "2@x.test",
	}
	ids := map[string]auth.UserID{}
	for _, key := range keys {
		if _, err := e.userByEmail(key); !errors.Is(err, auth.ErrUserNotFound) {
			e.Errorf("UserByEmail(%q) before that user is created: error %v; want ErrUserNotFound: keys are compared byte for byte", key, err)
		}
		id, err := e.stores.Users.CreateUser(e.Context(), auth.NewUser{Name: "User", Email: key, EmailKey: key, PasswordHash: "h"})
		if err != nil {
			e.Errorf("CreateUser(%q): %v; no other user has this key, byte for byte", key, err)
			continue
		}
		ids[key] = id
	}
	for key, id := range ids {
		wantUser(e, key, id)
	}
}

func createUserIDs(e *env) {
	seen := map[auth.UserID]bool{}
	for range 20 {
		id := e.user().ID
		if seen[id] || id == "" || len(id) > 64 {
			e.Errorf("CreateUser returned ID %q; want 1 to 64 bytes that name no other user", id)
		}
		seen[id] = true
		if !e.stores.IntegerIDs {
			continue
		}
		if n, err := strconv.ParseInt(string(id), 10, 64); err != nil || n <= 0 || strconv.FormatInt(n, 10) != string(id) {
			e.Errorf("CreateUser returned ID %q; Stores.IntegerIDs says positive decimal numbers without leading zeros", id)
		}
	}
}

func createUserIDNotReused(e *env) {
	u := e.newUser()
	first := e.signUp(u)
	e.remove(first.ID)
	second, err := e.stores.Users.CreateUser(e.Context(), u)
	if err != nil {
		e.Fatalf("CreateUser with the key of a user that was deleted: %v", err)
	}
	if second == first.ID {
		e.Errorf("CreateUser gave the ID %q of a deleted user again; want one that never named another user", second)
	}
}

func createUserRace(e *env) {
	const racers = 50
	for round := range 3 {
		key := fmt.Sprintf("race-%d@example.test", round)
		var ids [racers]auth.UserID
		var errs [racers]error
		together(racers, func(i int) {
			ids[i], errs[i] = e.stores.Users.CreateUser(e.Context(), auth.NewUser{
				Name: fmt.Sprintf("Racer %d", i), Email: key, EmailKey: key, PasswordHash: "h",
			})
		})
		winner, winners := 0, 0
		for i, err := range errs {
			switch {
			case err == nil:
				winner = i
				winners++
			case !errors.Is(err, auth.ErrEmailTaken):
				e.Errorf("CreateUser racing with others for one key: %v; want ErrEmailTaken: a unique index decides, and a mere conflict is the store's to repeat", err)
			}
		}
		if winners != 1 {
			e.Fatalf("%d of %d concurrent CreateUser with one key succeeded; want exactly one", winners, racers)
		}
		wantUser(e, key, ids[winner])
		if name := e.userByID(ids[winner]).Name; name != fmt.Sprintf("Racer %d", winner) {
			e.Errorf("the user is %q; want what the one call stored that succeeded, Racer %d", name, winner)
		}
	}
}

func userByEmailUnknown(e *env) {
	u := e.user()
	for _, key := range []string{
		"", "%", "_", "nobody@example.test", u.EmailKey + " ", " " + u.EmailKey, strings.ToUpper(u.EmailKey), u.Email,
		u.EmailKey[:len(u.EmailKey)-1], u.EmailKey + "x", u.EmailKey + "' OR '1'='1", "' OR ''='", string(u.ID), strings.Repeat("x", 10000),
	} {
		if got, err := e.userByEmail(key); !errors.Is(err, auth.ErrUserNotFound) {
			e.Errorf("UserByEmail(%.80q): user %q, error %v; want ErrUserNotFound", key, got.ID, err)
		}
	}
}

func userByIDUnknown(e *env) {
	u := e.user()
	for _, id := range lookAlikes(u.ID) {
		if got, err := e.stores.Users.UserByID(e.Context(), id); !errors.Is(err, auth.ErrUserNotFound) {
			e.Errorf("UserByID(%q): user %q, error %v; want ErrUserNotFound: the only user there is has ID %q", id, got.ID, err, u.ID)
		}
	}
}

func userByIDDeleted(e *env) {
	u, other := e.user(), e.user()
	e.remove(u.ID)
	if _, err := e.stores.Users.UserByID(e.Context(), u.ID); !errors.Is(err, auth.ErrUserNotFound) {
		e.Errorf("UserByID of a deleted user: error %v; want ErrUserNotFound", err)
	}
	if _, err := e.userByEmail(u.EmailKey); !errors.Is(err, auth.ErrUserNotFound) {
		e.Errorf("UserByEmail of a deleted user: error %v; want ErrUserNotFound", err)
	}
	wantUser(e, other.EmailKey, other.ID)
}

// wantUser checks whose the key is.
func wantUser(e *env, key string, id auth.UserID) {
	e.Helper()
	if got, err := e.userByEmail(key); err != nil || got.ID != id {
		e.Errorf("UserByEmail(%q): user %q, error %v; want user %q, who has exactly this key", key, got.ID, err, id)
	}
}

// userDifference names the fields in which two reads of a user differ.
func userDifference(want, got auth.UserRecord) string {
	var d []string
	field := func(name, want, got string) {
		if want != got {
			d = append(d, fmt.Sprintf("%s is %q, want %q", name, got, want))
		}
	}
	field("ID", string(want.ID), string(got.ID))
	field("Name", want.Name, got.Name)
	field("Email", want.Email, got.Email)
	field("EmailKey", want.EmailKey, got.EmailKey)
	field("PasswordHash", want.PasswordHash, got.PasswordHash)
	field("AuthVersion", strconv.FormatInt(want.AuthVersion, 10), strconv.FormatInt(got.AuthVersion, 10))
	field("Disabled", strconv.FormatBool(want.Disabled), strconv.FormatBool(got.Disabled))
	if !want.CreatedAt.Equal(got.CreatedAt) {
		d = append(d, fmt.Sprintf("CreatedAt is %v, want %v", got.CreatedAt, want.CreatedAt))
	}
	return strings.Join(d, "; ")
}
