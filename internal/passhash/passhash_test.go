package passhash_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/ostiary/auth/internal/passhash"
)

const (
	markSHA384   = "bcrypt-sha384:"
	markTutorial = "bcrypt-tutorial:"
)

func quick() passhash.Hasher { return passhash.Hasher{Cost: 4} }

// ASVS: 11.4.2.
func TestHashForms(t *testing.T) {
	for _, c := range []struct {
		password, prefix string
	}{
		{"x", "$2a$04$"},
		{"pass word", "$2a$04$"},
		{strings.Repeat("p", 72), "$2a$04$"},
		{strings.Repeat("é", 36), "$2a$04$"},
		{strings.Repeat("p", 73), markSHA384 + "$2a$04$"},
		{strings.Repeat("😀", 64), markSHA384 + "$2a$04$"},
		{strings.Repeat("p", 1024), markSHA384 + "$2a$04$"},
		{"\xff\xfe", "$2a$04$"},
	} {
		stored := mustHash(t, quick(), c.password)
		assert.True(t, strings.HasPrefix(stored, c.prefix), stored)
		assert.Regexp(t, `^[!-~]{60,76}$`, stored)
		assertVerdict(t, quick(), stored, c.password, true)
		assert.NotEqual(t, stored, mustHash(t, quick(), c.password), "salted")
	}
}

func TestHashRefuses(t *testing.T) {
	for name, password := range map[string]string{
		"empty":             "",
		"NUL":               "\x00",
		"NUL inside":        "pass\x00word",
		"NUL at the end":    "password\x00",
		"NUL after 72":      strings.Repeat("p", 80) + "\x00",
		"1025 bytes":        strings.Repeat("p", 1025),
		"1 MB":              strings.Repeat("p", 1<<20),
		"1025 bytes of NUL": strings.Repeat("\x00", 1025),
	} {
		work := &meter{}
		stored, err := passhash.Hasher{Cost: 4, OnHash: work.add}.Hash(password)
		require.Error(t, err, name)
		assert.Empty(t, stored, name)
		assert.Zero(t, work.sum(), name)
	}
}

func TestHashRefusesCosts(t *testing.T) {
	for _, cost := range []int{-1, 0, 3, 19, 31, 32, 1 << 40} {
		_, err := passhash.Hasher{Cost: cost}.Hash("password")
		require.Error(t, err, cost)
	}
	for _, cost := range []int{4, 5, 6} {
		got, err := passhash.Cost(mustHash(t, passhash.Hasher{Cost: cost}, "password"))
		require.NoError(t, err)
		assert.Equal(t, cost, got)
	}
}

// Whatever is not the password's exact bytes is another password.
//
// ASVS: 6.2.8.
func TestVerifyTakesEveryByte(t *testing.T) {
	h := quick()
	for _, n := range []int{1, 72, 73, 80, 1024} {
		password := strings.Repeat("p", n)
		stored := mustHash(t, h, password)
		assertVerdict(t, h, stored, password, true)
		for _, at := range []int{0, 35, 71, 72, 73, 79, n - 1} {
			if at < n {
				assertVerdict(t, h, stored, password[:at]+"q"+password[at+1:], false)
			}
		}
		for _, wrong := range []string{
			"", password[1:], password + "p", password + " ", " " + password, password + "\n", strings.ToUpper(password),
			password[:n-1] + "\x00", password + "\x00", password + "\x00" + password, password[:min(n-1, 72)],
		} {
			assertVerdict(t, h, stored, wrong, false)
		}
	}
}

func TestVerifyTakesBytesAsTheyAre(t *testing.T) {
	h := quick()
	for _, c := range [][2]string{
		{"  spaced out  ", "spaced out"},
		{"caf\u00E9", "cafe\u0301"},
		{"naïve café", "naive cafe"},
		{"\xff\xff", "\uFFFD\uFFFD"},
		{"\uFEFFpassword", "password"},
	} {
		for i, password := range c {
			stored := mustHash(t, h, password)
			assertVerdict(t, h, stored, password, true)
			assertVerdict(t, h, stored, c[1-i], false)
		}
	}
}

// A plain hash is bcrypt of at most 72 bytes: its prefix and a tail are no password,
// although bcrypt finds them equal, and they cost what any wrong password does.
//
// ASVS: 6.2.8.
func TestVerifyPlainRefusesTails(t *testing.T) {
	password := strings.Repeat("p", 72)
	stored := bcryptOf(t, password, 4)
	require.NoError(t, bcrypt.CompareHashAndPassword([]byte(stored), []byte(password+"tail")))
	for _, tail := range []string{"p", "tail", strings.Repeat("p", 952), "\x00", strings.Repeat("p", 1<<20)} {
		assertVerdict(t, quick(), stored, password+tail, false)
		assert.Equal(t, 1<<6, workOf(6, stored, password+tail))
	}
	assertVerdict(t, quick(), stored, password, true)

	stored = bcryptOf(t, "a", 4)
	require.NoError(t, bcrypt.CompareHashAndPassword([]byte(stored), []byte("a\x00a")))
	assertVerdict(t, quick(), stored, "a\x00a", false)

	require.NoError(t, bcrypt.CompareHashAndPassword([]byte(bcryptOf(t, "", 4)), nil))
	assertVerdict(t, quick(), bcryptOf(t, "", 4), "", false)
}

// The form of a hash alone decides how a password is compared with it.
func TestVerifyKeepsFormsApart(t *testing.T) {
	h := quick()
	long := strings.Repeat("p", 80)
	const digest = "+JNu0ewXzXOAyctjsVfweO/CjRLv+RB/3aZ1FpnbmRfPPsaGAR0utdWgraJ3TDAb" // base64 of long's SHA-384
	ofDigest := bcryptOf(t, digest, 4)
	assertVerdict(t, h, markSHA384+ofDigest, long, true)
	assertVerdict(t, h, markSHA384+ofDigest, digest, false)
	assertVerdict(t, h, ofDigest, long, false)
	assertVerdict(t, h, ofDigest, digest, true)
	assertVerdict(t, h, markTutorial+ofDigest, long, false)

	plain := mustHash(t, h, "password")
	assertVerdict(t, h, markSHA384+plain, "password", false)
	assertVerdict(t, h, markTutorial+plain, " password", true)
	assertVerdict(t, h, plain, " password", false)
}

func TestVerifyKnownHashes(t *testing.T) {
	h := quick()
	for _, prefix := range []string{"$2a$", "$2b$", "$2y$"} {
		stored := prefix + bcryptOf(t, "päßword", 4)[4:]
		assertVerdict(t, h, stored, "päßword", true)
		assertVerdict(t, h, stored, "päßwore", false)
	}
}

func TestVerifyEmptyAndMalformed(t *testing.T) {
	good := bcryptOf(t, "password", 4)
	for name, stored := range map[string]string{
		"text":                 "password",
		"marker alone":         markSHA384,
		"other marker":         "argon2:" + good,
		"marker in upper case": strings.ToUpper(markTutorial) + good,
		"two markers":          markTutorial + markTutorial + good,
		"both markers":         markSHA384 + markTutorial + good,
		"space in front":       " " + good,
		"newline behind":       good + "\n",
		"NUL behind":           good + "\x00",
		"short":                good[:59],
		"long":                 good + ".",
		"too short for bcrypt": good[:30],
		"no dollar":            "x" + good[1:],
		"version 2":            "$2$04$" + good[6:],
		"version 2x":           "$2x$" + good[4:],
		"version 3":            "$3a$" + good[4:],
		"other separator":      "$2a$04." + good[7:],
		"cost with a sign":     "$2a$+4$" + good[7:],
		"cost with a space":    "$2a$ 4$" + good[7:],
		"cost of one digit":    "$2a$4$" + good[7:] + ".",
		"cost of a colon":      "$2a$0:$" + good[7:],
		"cost 3":               "$2a$03$" + good[7:],
		"cost 19":              "$2a$19$" + good[7:],
		"cost 31":              "$2a$31$" + good[7:],
		"cost 99":              "$2a$99$" + good[7:],
		"marked, cost 31":      markTutorial + "$2a$31$" + good[7:],
		"foreign character":    good[:40] + "!" + good[41:],
		"NUL inside":           good[:40] + "\x00" + good[41:],
		"non-ASCII":            good[:40] + "é" + good[42:],
		"MD5 crypt":            "$1$deadbeef$0123456789abcdef",
		"1 MB":                 strings.Repeat("$2a$04$", 1<<20/7),
	} {
		work := &meter{}
		h := passhash.Hasher{Cost: 5, OnHash: work.add}
		ok, err := h.Verify(stored, "password")
		require.ErrorIs(t, err, passhash.ErrMalformed, name)
		assert.False(t, ok, name)
		assert.Equal(t, []int{5}, work.costs, name)
		assert.NotContains(t, err.Error(), "$2", name)

		assert.False(t, h.NeedsRehash(stored), name)
		_, err = h.Rehash(stored, "password")
		require.ErrorIs(t, err, passhash.ErrMalformed, name)
		_, err = passhash.Cost(stored)
		require.ErrorIs(t, err, passhash.ErrMalformed, name)
		_, err = passhash.MarkTutorial(stored)
		require.ErrorIs(t, err, passhash.ErrMalformed, name)
		assert.Equal(t, []int{5}, work.costs, name)
	}

	work := &meter{}
	ok, err := passhash.Hasher{Cost: 5, OnHash: work.add}.Verify("", "password")
	require.NoError(t, err)
	assert.False(t, ok)
	assert.Equal(t, []int{5}, work.costs)
	_, err = passhash.MarkTutorial("")
	require.ErrorIs(t, err, passhash.ErrMalformed)
	_, err = quick().Rehash("", "password")
	require.ErrorIs(t, err, passhash.ErrMalformed)
	assert.False(t, quick().NeedsRehash(""))
}

// The bounds of a stored cost. Costs are read, not run: 18 takes long.
func TestCost(t *testing.T) {
	rest := bcryptOf(t, "password", 4)[7:]
	for text, cost := range map[string]int{"04": 4, "09": 9, "10": 10, "12": 12, "18": 18} {
		for _, mark := range []string{"", markSHA384, markTutorial} {
			got, err := passhash.Cost(mark + "$2b$" + text + "$" + rest)
			require.NoError(t, err)
			assert.Equal(t, cost, got)
		}
	}
	assert.Equal(t, 4, passhash.MinCost)
	assert.Equal(t, 18, passhash.MaxStoredCost)
}

func TestNeedsRehash(t *testing.T) {
	stored := bcryptOf(t, "password", 5)
	for cost, want := range map[int]bool{4: false, 5: false, 6: true, 12: true} {
		h := passhash.Hasher{Cost: cost}
		assert.Equal(t, want, h.NeedsRehash(stored), cost)
		assert.Equal(t, want, h.NeedsRehash(markSHA384+stored), cost)
		assert.Equal(t, want, h.NeedsRehash(markTutorial+stored), cost)
	}
}

func TestRehashKeepsTheForm(t *testing.T) {
	h := passhash.Hasher{Cost: 5}
	for _, c := range []struct{ stored, mark, password string }{
		{bcryptOf(t, "password", 4), "", "password"},
		{"$2y$" + bcryptOf(t, "password", 4)[4:], "", "password"},
		{mustHash(t, quick(), strings.Repeat("p", 80)), markSHA384, strings.Repeat("p", 80)},
		{markTutorial + bcryptOf(t, "password", 4), markTutorial, " password\u00A0"},
	} {
		assertVerdict(t, h, c.stored, c.password, true)
		again, err := h.Rehash(c.stored, c.password)
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(again, c.mark+"$2a$05$"), again)
		assertVerdict(t, h, again, c.password, true)
		assert.False(t, h.NeedsRehash(again))
	}
}

func TestRehashRefuses(t *testing.T) {
	h, stored := quick(), bcryptOf(t, "password", 4)
	for _, password := range []string{"", "a\x00", strings.Repeat("p", 1025), strings.Repeat("p", 73)} {
		_, err := h.Rehash(stored, password)
		require.Error(t, err)
	}
	_, err := passhash.Hasher{Cost: 32}.Rehash(stored, "password")
	require.Error(t, err)
}

func TestHasherConcurrently(t *testing.T) {
	work := &meter{}
	h := passhash.Hasher{Cost: 4, OnHash: work.add}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			stored, err := h.Hash("password")
			assert.NoError(t, err)
			ok, err := h.Verify(stored, "password")
			assert.NoError(t, err)
			assert.True(t, ok)
			h.Unknown("password")
		})
	}
	wg.Wait()
	assert.Len(t, work.costs, 24)
}

func FuzzVerify(f *testing.F) {
	plain, err := quick().Hash("password")
	require.NoError(f, err)
	for stored, password := range map[string]string{
		"":                               "password",
		plain:                            "password",
		"$2y$" + plain[4:]:               "passwore",
		markSHA384 + plain:               strings.Repeat("é", 40),
		markTutorial + plain:             " password\u00A0",
		"$2a$05$" + plain[7:]:            "a\x00b",
		"$2a$18$" + plain[7:]:            "password",
		"$2a$31$" + plain[7:]:            "",
		plain[:59]:                       "\xff",
		plain[:20] + "\xff" + plain[21:]: strings.Repeat("p", 73),
		"$2a$0":                          "p",
		markTutorial:                     strings.Repeat("p", 1025),
		strings.Repeat("$", 60):          "   ",
	} {
		f.Add(stored, password)
	}
	f.Fuzz(func(t *testing.T, stored, password string) {
		const configured = 5
		cost, err := passhash.Cost(stored)
		if cost > configured || err == nil && cost == 0 {
			return // well formed, and slow to compare, or argon2id's
		}
		work := &meter{}
		h := passhash.Hasher{Cost: configured, OnHash: work.add}
		ok, verr := h.Verify(stored, password)
		if stored != "" {
			assert.Equal(t, err, verr)
		}
		if ok {
			require.NoError(t, err)
			assert.NotEmpty(t, password)
			assert.Equal(t, []int{cost}, work.costs)
			again, err := h.Rehash(stored, password)
			require.NoError(t, err)
			assertVerdict(t, h, again, password, true)
			return
		}
		assert.Equal(t, 1<<configured, work.sum())

		made, err := h.Hash(password)
		bad := password == "" || len(password) > passhash.MaxPassword || strings.Contains(password, "\x00")
		assert.Equal(t, bad, err != nil)
		if err == nil {
			assertVerdict(t, h, made, password, true)
			assertVerdict(t, h, made, password+"x", false)
			assertVerdict(t, h, made, password[1:], false)
		}
	})
}

func mustHash(t *testing.T, h passhash.Hasher, password string) string {
	t.Helper()
	stored, err := h.Hash(password)
	require.NoError(t, err)
	return stored
}

func bcryptOf(t *testing.T, password string, cost int) string {
	t.Helper()
	b, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	require.NoError(t, err)
	return string(b)
}

func assertVerdict(t *testing.T, h passhash.Hasher, stored, password string, want bool) {
	t.Helper()
	ok, err := h.Verify(stored, password)
	require.NoError(t, err)
	assert.Equal(t, want, ok, "%.80q against %s", password, stored)
}
