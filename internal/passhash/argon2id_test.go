package passhash_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/passhash"
)

const markArgonTutorial = "argon2id-tutorial:"

// tiny are parameters that are quick.
func tiny() passhash.Argon2id { return passhash.Argon2id{Memory: 64, Time: 2, Threads: 1} }

func quickArgon2id() passhash.Hasher { return passhash.Hasher{Cost: 4, Argon2id: tiny()} }

// What the command of argon2's reference implementation wrote, as
// printf %s PASSWORD | argon2 SALT -id -t TIME -k MEMORY -p THREADS -l LENGTH -e
func TestArgon2idOfTheReference(t *testing.T) {
	for stored, password := range map[string]string{
		"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$yrdGtGIZk/3JHsUHh5gLQUqQppLwvGjf4Z+cJbPLqew": "password",
		"$argon2id$v=19$m=512,t=3,p=4$MDEyMzQ1Njc4OWFiY2RlZg$YaZaFmUyzAO9DiNTzXszENwl0NcMARX1BJ5SU5U4ZBo": "päßword",
		"$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$qDxiF+zRD3wjuXaZy5fWvA":                                  strings.Repeat("p", 100),
		"$argon2id$v=19$m=64,t=1,p=2$c2FsdHNhbHRzYWx0c2FsdHNhbHRzYWx0c2FsdHNhbHRzYWx0c2FsdHNhbHRzYWx0" +
			"$xvVyBlzxWtvEylbbiF370cS8UveZQiSt+FEwcXNRDHsgMPBXlqKJcVYUyPIJsy74BdnJtW5bkxcUAZTfvE2dyw": strings.Repeat("p", 100),
	} {
		for _, h := range []passhash.Hasher{quick(), quickArgon2id()} {
			assertVerdict(t, h, stored, password, true)
			assertVerdict(t, h, stored, password+"x", false)
			assertVerdict(t, h, stored, password[1:], false)
			assertVerdict(t, h, stored[:len(stored)-4]+"AAAA", password, false)
		}
		cost, err := passhash.Cost(stored)
		require.NoError(t, err)
		assert.Zero(t, cost)
		_, err = passhash.MarkTutorial(stored)
		require.ErrorIs(t, err, passhash.ErrMalformed)
	}
}

func TestArgon2idHash(t *testing.T) {
	h := passhash.Hasher{Argon2id: passhash.Argon2id{Memory: 128, Time: 3, Threads: 2}} // no Cost is asked for
	for _, password := range []string{
		"x", "pass word", strings.Repeat("p", 72), strings.Repeat("p", 73), strings.Repeat("😀", 64), strings.Repeat("p", 1024), "\xff\xfe",
	} {
		stored := mustHash(t, h, password)
		assert.Regexp(t, `^\$argon2id\$v=19\$m=128,t=3,p=2\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$`, stored)
		assertVerdict(t, h, stored, password, true)
		assertVerdict(t, quick(), stored, password, true)
		assert.NotEqual(t, stored, mustHash(t, h, password), "salted")
		for _, wrong := range []string{"", password + " ", " " + password, password + "\x00", strings.ToUpper(password) + "!", password[1:]} {
			assertVerdict(t, h, stored, wrong, false)
		}
	}
	long := strings.Repeat("p", 1024)
	assertVerdict(t, h, mustHash(t, h, long), long+"p", false)
	assertVerdict(t, h, mustHash(t, h, long), long[:72], false)
	assertVerdict(t, h, mustHash(t, h, long), long[:1023]+"q", false)
}

func TestArgon2idHashRefuses(t *testing.T) {
	work := &meter{}
	for _, password := range []string{"", "\x00", "pass\x00word", strings.Repeat("p", 1025)} {
		_, err := work.hasher(4, tiny()).Hash(password)
		require.Error(t, err)
	}
	for _, bad := range []passhash.Argon2id{
		{Memory: 64, Time: 2},
		{Memory: 64, Threads: 1},
		{Time: 1, Threads: 1},
		{Memory: 7, Time: 1, Threads: 1},
		{Memory: 15, Time: 1, Threads: 2},
		{Memory: 256<<10 + 1, Time: 1, Threads: 1},
		{Memory: 1024, Time: 17, Threads: 1},
		{Memory: 1024, Time: 1, Threads: 17},
		{Memory: 1<<32 - 1, Time: 1<<32 - 1, Threads: 255},
	} {
		require.Error(t, bad.Check(true), bad)
		require.Error(t, bad.Check(false), bad)
		h := work.hasher(4, bad)
		_, err := h.Hash("password")
		require.Error(t, err, bad)
		_, err = h.Rehash(mustHash(t, quick(), "password"), "password")
		require.Error(t, err, bad)
		require.NotPanics(t, func() { h.Unknown("password") }, bad)
		assert.False(t, h.NeedsRehash("malformed"), bad)
	}
	assert.Empty(t, work.runs)
	require.Error(t, passhash.Argon2id{}.Check(true))
}

// The least that OWASP's Password Storage Cheat Sheet names, and what lies just below.
//
// ASVS: 11.4.2.
func TestArgon2idCheck(t *testing.T) {
	for _, c := range []struct {
		memory, time uint32
		threads      uint8
		ok           bool
	}{
		{47104, 1, 1, true},
		{47103, 1, 1, false},
		{19456, 2, 1, true},
		{19455, 2, 1, false},
		{12288, 3, 1, true},
		{12287, 3, 1, false},
		{9216, 4, 1, true},
		{9215, 4, 1, false},
		{7168, 5, 1, true},
		{7167, 5, 1, false},
		{7167, 16, 1, false},
		{7168, 16, 1, true},
		{65536, 3, 4, true}, // RFC 9106's second recommendation
		{262144, 16, 16, true},
		{8, 1, 1, false},
	} {
		a := passhash.Argon2id{Memory: c.memory, Time: c.time, Threads: c.threads}
		assert.Equal(t, c.ok, a.Check(false) == nil, "%+v", a)
		require.NoError(t, a.Check(true), "%+v", a)
	}
	for _, c := range []struct {
		a    passhash.Argon2id
		says string
	}{
		{passhash.Argon2id{Memory: 19456, Time: 2}, "0 threads"},
		{passhash.Argon2id{Memory: 19456, Threads: 1}, "time 0"},
		{passhash.Argon2id{Memory: 1 << 30, Time: 2, Threads: 1}, "1073741824 KiB of memory"},
		{passhash.Argon2id{Memory: 4096, Time: 3, Threads: 1}, "too little memory or time"},
	} {
		assert.ErrorContains(t, c.a.Check(false), c.says)
	}
}

func TestArgon2idMalformed(t *testing.T) {
	const salt, tag = "c29tZXNhbHRzb21lc2FsdA", "yrdGtGIZk/3JHsUHh5gLQUqQppLwvGjf4Z+cJbPLqew"
	text := func(head, salt, tag string) string { return head + "$" + salt + "$" + tag }
	good := text("$argon2id$v=19$m=64,t=2,p=1", salt, tag)
	_, err := passhash.Cost(good)
	require.NoError(t, err)
	for name, stored := range map[string]string{
		"no version":               text("$argon2id$m=64,t=2,p=1", salt, tag),
		"version 16":               text("$argon2id$v=16$m=64,t=2,p=1", salt, tag),
		"argon2i":                  text("$argon2i$v=19$m=64,t=2,p=1", salt, tag),
		"argon2d":                  text("$argon2d$v=19$m=64,t=2,p=1", salt, tag),
		"upper case":               text("$ARGON2ID$v=19$m=64,t=2,p=1", salt, tag),
		"other order":              text("$argon2id$v=19$t=2,m=64,p=1", salt, tag),
		"a key id":                 text("$argon2id$v=19$m=64,t=2,p=1,keyid=AA", salt, tag),
		"a leading zero":           text("$argon2id$v=19$m=064,t=2,p=1", salt, tag),
		"a sign":                   text("$argon2id$v=19$m=+64,t=2,p=1", salt, tag),
		"a space":                  text("$argon2id$v=19$m=64, t=2,p=1", salt, tag),
		"time 0":                   text("$argon2id$v=19$m=64,t=0,p=1", salt, tag),
		"threads 0":                text("$argon2id$v=19$m=64,t=1,p=0", salt, tag),
		"memory 7":                 text("$argon2id$v=19$m=7,t=2,p=1", salt, tag),
		"memory 15 for 2":          text("$argon2id$v=19$m=15,t=2,p=2", salt, tag),
		"memory over 256 MiB":      text("$argon2id$v=19$m=262145,t=1,p=1", salt, tag),
		"memory of 4 TiB":          text("$argon2id$v=19$m=4294967295,t=1,p=1", salt, tag),
		"memory past 64 bits":      text("$argon2id$v=19$m=99999999999999999999,t=1,p=1", salt, tag),
		"time 17":                  text("$argon2id$v=19$m=64,t=17,p=1", salt, tag),
		"time 1000000":             text("$argon2id$v=19$m=64,t=1000000,p=1", salt, tag),
		"threads 17":               text("$argon2id$v=19$m=262144,t=1,p=17", salt, tag),
		"threads 257":              text("$argon2id$v=19$m=262144,t=1,p=257", salt, tag),
		"no tag":                   "$argon2id$v=19$m=64,t=2,p=1$" + salt,
		"an empty tag":             text("$argon2id$v=19$m=64,t=2,p=1", salt, ""),
		"an empty salt":            text("$argon2id$v=19$m=64,t=2,p=1", "", tag),
		"a short salt":             text("$argon2id$v=19$m=64,t=2,p=1", "c2FsdHNhbA", tag),
		"a long salt":              text("$argon2id$v=19$m=64,t=2,p=1", strings.Repeat("A", 87), tag),
		"a short tag":              text("$argon2id$v=19$m=64,t=2,p=1", salt, strings.Repeat("A", 20)),
		"a long tag":               text("$argon2id$v=19$m=64,t=2,p=1", salt, strings.Repeat("A", 87)),
		"padding":                  good + "=",
		"URL base64":               text("$argon2id$v=19$m=64,t=2,p=1", salt, "yrdGtGIZk_3JHsUHh5gLQUqQppLwvGjf4Z-cJbPLqew"),
		"loose bits of the salt":   text("$argon2id$v=19$m=64,t=2,p=1", salt[:21]+"B", tag),
		"loose bits of the tag":    text("$argon2id$v=19$m=64,t=2,p=1", salt, tag[:42]+"x"),
		"salt of no base64 length": text("$argon2id$v=19$m=64,t=2,p=1", strings.Repeat("A", 13), tag),
		"tag of no base64 length":  text("$argon2id$v=19$m=64,t=2,p=1", salt, strings.Repeat("A", 41)),
		"a newline behind":         good + "\n",
		"a newline inside":         text("$argon2id$v=19$m=64,t=2,p=1", salt, tag[:20]+"\n"+tag[20:]),
		"a space in front":         " " + good,
		"more behind":              good + "$x",
		"Django's":                 "argon2" + good,
		"marker of a tutorial's":   markTutorial + good,
		"marker of SHA-384":        markSHA384 + good,
		"marker twice":             markArgonTutorial + markArgonTutorial + good,
		"marker and bcrypt":        markArgonTutorial + bcryptOf(t, "password", 4),
		"marker alone":             markArgonTutorial,
		"1 MB":                     "$argon2id$v=19$m=64,t=2,p=1$" + strings.Repeat("A", 1<<20),
	} {
		work := &meter{}
		h := work.hasher(4, tiny())
		ok, err := h.Verify(stored, "password")
		require.ErrorIs(t, err, passhash.ErrMalformed, name)
		assert.False(t, ok, name)
		assert.Equal(t, []int{4}, work.costs, name)
		assert.Equal(t, []passhash.Argon2id{tiny()}, work.runs, name)
		assert.NotContains(t, err.Error(), "$", name)
		assert.False(t, h.NeedsRehash(stored), name)
		_, err = h.Rehash(stored, "password")
		require.ErrorIs(t, err, passhash.ErrMalformed, name)
		_, err = passhash.Cost(stored)
		require.ErrorIs(t, err, passhash.ErrMalformed, name)
	}
}

func TestArgon2idNeedsRehash(t *testing.T) {
	const rest = "$c29tZXNhbHRzb21lc2FsdA$yrdGtGIZk/3JHsUHh5gLQUqQppLwvGjf4Z+cJbPLqew"
	h := passhash.Hasher{Cost: 5, Argon2id: passhash.Argon2id{Memory: 128, Time: 2, Threads: 2}}
	for head, want := range map[string]bool{
		"m=128,t=2,p=2":  false,
		"m=127,t=2,p=2":  true,
		"m=128,t=1,p=2":  true,
		"m=4096,t=1,p=2": true,
		"m=64,t=16,p=2":  true,
		"m=128,t=2,p=1":  true,
		"m=128,t=2,p=3":  true,
		"m=129,t=3,p=2":  false,
	} {
		for _, mark := range []string{"", markArgonTutorial} {
			stored := mark + "$argon2id$v=19$" + head + rest
			assert.Equal(t, want, h.NeedsRehash(stored), stored)
			assert.True(t, passhash.Hasher{Cost: 4}.NeedsRehash(stored), "back to bcrypt")
		}
	}
	for _, stored := range []string{bcryptOf(t, "password", 4), bcryptOf(t, "password", 6)} {
		for _, mark := range []string{"", markSHA384, markTutorial} {
			assert.True(t, h.NeedsRehash(mark+stored))
		}
	}
	assert.False(t, h.NeedsRehash(""))
}

// Each form, moved there and back: what matched before matches after, and nothing else.
//
// ASVS: 11.2.2.
func TestRehashFromOneFunctionToTheOther(t *testing.T) {
	long := strings.Repeat("p", 80)
	for name, c := range map[string]struct {
		stored             string
		typed              string
		right, wrong       []string
		argonMark, oldMark string
	}{
		"plain": {
			stored: bcryptOf(t, " pass ", 4), typed: " pass ",
			right: []string{" pass "}, wrong: []string{"pass", " pass", " pass \x00"},
		},
		"SHA-384": {
			stored: mustHash(t, quick(), long), typed: long,
			right: []string{long}, wrong: []string{long[:72], long[:79], long + " ", long + "p"}, oldMark: markSHA384,
		},
		"tutorial": {
			stored: mark(t, bcryptOf(t, long[:72], 4)), typed: "  " + long + "\u00A0",
			right: []string{long, long[:72], long[:72] + "another tail", "\n" + long + "\n", long[:72] + strings.Repeat("q", 952)},
			wrong: []string{long[:71], long[:71] + "q", "q" + long, long[:72] + strings.Repeat("q", 953), long + "\x00", "", "  "},

			argonMark: markArgonTutorial, oldMark: markTutorial,
		},
		"tutorial, spaced": {
			stored: mark(t, bcryptOf(t, "spaced out", 4)), typed: "  spaced out  ",
			right: []string{"spaced out", " spaced out", "spaced out\uFEFF"}, wrong: []string{"spaced", "spaced  out", "spaced out\u0085"},

			argonMark: markArgonTutorial, oldMark: markTutorial,
		},
	} {
		t.Run(name, func(t *testing.T) {
			stored := c.stored
			same := func() {
				t.Helper()
				for _, h := range []passhash.Hasher{quick(), quickArgon2id()} {
					for _, password := range c.right {
						assertVerdict(t, h, stored, password, true)
					}
					for _, password := range c.wrong {
						assertVerdict(t, h, stored, password, false)
					}
				}
			}
			step := func(h passhash.Hasher, prefix string) {
				t.Helper()
				require.True(t, h.NeedsRehash(stored))
				next, err := h.Rehash(stored, c.typed)
				require.NoError(t, err)
				require.True(t, strings.HasPrefix(next, prefix), next)
				assert.False(t, h.NeedsRehash(next))
				stored = next
				same()
			}
			same()
			step(quickArgon2id(), c.argonMark+"$argon2id$v=19$m=64,t=2,p=1$")
			step(passhash.Hasher{Cost: 4, Argon2id: passhash.Argon2id{Memory: 128, Time: 3, Threads: 1}}, c.argonMark+"$argon2id$v=19$m=128,t=3,p=1$")
			step(quick(), c.oldMark+"$2a$04$")
		})
	}
}

func TestRehashOfArgon2idRefuses(t *testing.T) {
	stored := mustHash(t, quickArgon2id(), "password")
	for _, password := range []string{"", "pass\x00word", strings.Repeat("p", 1025)} {
		for _, h := range []passhash.Hasher{quick(), quickArgon2id()} {
			_, err := h.Rehash(stored, password)
			require.Error(t, err)
		}
	}
}
