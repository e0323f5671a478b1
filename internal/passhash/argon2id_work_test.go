package passhash_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/passhash"
)

// Whatever is stored, while users move from one function to the other, a refusal is one
// run of argon2id as configured and the whole of bcrypt's share.
func TestRefusalsTakeTheWorkOfBothFunctions(t *testing.T) {
	const cost = 5
	a := passhash.Argon2id{Memory: 256, Time: 2, Threads: 1}
	long := strings.Repeat("p", 80)
	unknown := &meter{}
	unknown.hasher(cost, a).Unknown("wrong")
	require.Equal(t, []int{cost}, unknown.costs)
	require.Equal(t, []passhash.Argon2id{a}, unknown.runs)

	same := passhash.Hasher{Cost: cost, Argon2id: a}
	tutorial, err := same.Rehash(mark(t, bcryptOf(t, "password", 4)), "password")
	require.NoError(t, err)
	stored := []string{
		"", "malformed", "$2a$31$" + bcryptOf(t, "password", 4)[7:], "$argon2id$v=19$m=4194304,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
		mustHash(t, same, "password"), mustHash(t, same, long), tutorial,
	}
	for c := 4; c <= cost; c++ {
		plain := bcryptOf(t, "password", c)
		stored = append(stored, plain, markTutorial+plain, mustHash(t, passhash.Hasher{Cost: c}, long))
	}
	for _, text := range stored {
		for _, wrong := range []string{"wrong", "password\x00", long + "q", strings.Repeat("p", 1<<20)} {
			work := &meter{}
			ok, _ := work.hasher(cost, a).Verify(text, wrong)
			require.False(t, ok)
			assert.Equal(t, unknown.sum(), work.sum(), "%.90q", text)
			assert.Equal(t, unknown.runs, work.runs, "%.90q", text)
		}
	}
}

// A right password is compared once, by its own function.
func TestRightPasswordsAreComparedOnce(t *testing.T) {
	a := tiny()
	work := &meter{}
	ok, err := work.hasher(5, a).Verify(bcryptOf(t, "password", 4), "password")
	require.NoError(t, err)
	require.True(t, ok)
	assert.Equal(t, []int{4}, work.costs)
	assert.Empty(t, work.runs)

	for _, configured := range []passhash.Argon2id{a, {Memory: 512, Time: 3, Threads: 1}, {}} {
		work = &meter{}
		ok, err = work.hasher(5, configured).Verify(mustHash(t, quickArgon2id(), "password"), "password")
		require.NoError(t, err)
		require.True(t, ok)
		assert.Empty(t, work.costs)
		assert.Equal(t, []passhash.Argon2id{a}, work.runs)
	}
}

// A hash of less work than configured is made up for; one of more takes its own alone.
func TestRefusalsOfOtherParameters(t *testing.T) {
	configured := passhash.Argon2id{Memory: 1000, Time: 3, Threads: 2}
	for _, c := range []struct {
		stored passhash.Argon2id
		runs   []passhash.Argon2id
	}{
		{configured, []passhash.Argon2id{configured}},
		{passhash.Argon2id{Memory: 500, Time: 3, Threads: 2}, []passhash.Argon2id{{Memory: 500, Time: 3, Threads: 2}, {Memory: 500, Time: 3, Threads: 2}}},
		{passhash.Argon2id{Memory: 1000, Time: 1, Threads: 1}, []passhash.Argon2id{{Memory: 1000, Time: 1, Threads: 1}, {Memory: 667, Time: 3, Threads: 2}}},
		{passhash.Argon2id{Memory: 999, Time: 3, Threads: 2}, []passhash.Argon2id{{Memory: 999, Time: 3, Threads: 2}, {Memory: 16, Time: 3, Threads: 2}}},
		{passhash.Argon2id{Memory: 3000, Time: 1, Threads: 1}, []passhash.Argon2id{{Memory: 3000, Time: 1, Threads: 1}}},
		{passhash.Argon2id{Memory: 1000, Time: 4, Threads: 2}, []passhash.Argon2id{{Memory: 1000, Time: 4, Threads: 2}}},
	} {
		work := &meter{}
		ok, err := work.hasher(5, configured).Verify(mustHash(t, passhash.Hasher{Argon2id: c.stored}, "password"), "wrong")
		require.NoError(t, err)
		require.False(t, ok)
		assert.Equal(t, []int{5}, work.costs)
		assert.Equal(t, c.runs, work.runs)
	}
}

// Back on bcrypt, a refused argon2id hash takes its own work more.
func TestRefusalsOfArgon2idWhereItIsOff(t *testing.T) {
	work := &meter{}
	_, err := work.hasher(5, passhash.Argon2id{}).Verify(mustHash(t, quickArgon2id(), "password"), "wrong")
	require.NoError(t, err)
	assert.Equal(t, []int{5}, work.costs)
	assert.Equal(t, []passhash.Argon2id{tiny()}, work.runs)
}

func TestArgon2idHashAndRehashAreCounted(t *testing.T) {
	work := &meter{}
	h := work.hasher(5, tiny())
	stored := mustHash(t, h, "password")
	_, err := h.Rehash(stored, "password")
	require.NoError(t, err)
	_, err = h.Rehash(bcryptOf(t, "password", 4), "password")
	require.NoError(t, err)
	assert.Empty(t, work.costs)
	assert.Equal(t, []passhash.Argon2id{tiny(), tiny(), tiny()}, work.runs)
}

func FuzzVerifyArgon2id(f *testing.F) {
	plain, err := quickArgon2id().Hash("password")
	require.NoError(f, err)
	bcrypt, err := quick().Hash("password")
	require.NoError(f, err)
	for stored, password := range map[string]string{
		plain:                     "password",
		markArgonTutorial + plain: " password\u00A0",
		markTutorial + plain:      "password",
		bcrypt:                    "password",
		"$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA":                            "p",
		"$argon2id$v=19$m=262144,t=16,p=16$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA":                     "p",
		"$argon2id$v=19$m=128,t=2,p=16$" + strings.Repeat("A", 86) + "$" + strings.Repeat("A", 86): "p",
		"$argon2id$v=19$m=64,t=2,p=1$":                                                             strings.Repeat("p", 1025),
		plain + "=":                                                                                "\x00",
		strings.Replace(plain, "m=64", "m=064", 1):                                                 "password",
	} {
		f.Add(stored, password)
	}
	f.Fuzz(func(t *testing.T, stored, password string) {
		const costly = 4096 // KiB passes
		h := quickArgon2id()
		a, err := passhash.Params(stored)
		if err != nil {
			require.ErrorIs(t, err, passhash.ErrMalformed)
		}
		cost, _ := passhash.Cost(stored)
		if cost > 5 || a.Memory*a.Time > costly {
			return // well formed, and slow to compare
		}
		assert.True(t, err != nil || len(stored) <= 255)
		work := &meter{}
		ok, verr := work.hasher(h.Cost, h.Argon2id).Verify(stored, password)
		if stored != "" {
			assert.Equal(t, err, verr)
		}
		if ok {
			again, err := h.Rehash(stored, password)
			require.NoError(t, err)
			assertVerdict(t, h, again, password, true)
			assertVerdict(t, quick(), again, password, true)
			return
		}
		assert.GreaterOrEqual(t, work.sum(), 1<<h.Cost)
		assert.NotEmpty(t, work.runs)
		if err != nil {
			return
		}
		made, err := h.Hash(password)
		bad := password == "" || len(password) > passhash.MaxPassword || strings.Contains(password, "\x00")
		assert.Equal(t, bad, err != nil)
		if err == nil {
			assertVerdict(t, h, made, password, true)
			assertVerdict(t, h, made, password+"x", false)
		}
	})
}
