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

// meter counts the runs of bcrypt and argon2id. It is safe for concurrent use.
type meter struct {
	mu    sync.Mutex
	costs []int
	runs  []passhash.Argon2id
}

// hasher returns a Hasher whose work the meter counts.
func (m *meter) hasher(cost int, a passhash.Argon2id) passhash.Hasher {
	return passhash.Hasher{Cost: cost, Argon2id: a, OnHash: m.add, OnArgon2id: m.addArgon2id}
}

func (m *meter) add(cost int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.costs = append(m.costs, cost)
}

func (m *meter) addArgon2id(a passhash.Argon2id) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.runs = append(m.runs, a)
}

// sum is the work of all runs, in rounds of bcrypt's key schedule.
func (m *meter) sum() int {
	total := 0
	for _, cost := range m.costs {
		total += 1 << cost
	}
	return total
}

func workOf(configured int, stored, password string) int {
	work := &meter{}
	_, _ = passhash.Hasher{Cost: configured, OnHash: work.add}.Verify(stored, password)
	return work.sum()
}

// ASVS: 6.3.8.
func TestRefusalsTakeTheWorkOfAnUnknownUser(t *testing.T) {
	const configured = 7
	long := strings.Repeat("p", 80)
	unknown := &meter{}
	passhash.Hasher{Cost: configured, OnHash: unknown.add}.Unknown("wrong")
	require.Equal(t, []int{configured}, unknown.costs)

	for cost := 4; cost <= configured; cost++ {
		plain := bcryptOf(t, "password", cost)
		for _, stored := range []string{plain, mustHash(t, passhash.Hasher{Cost: cost}, long), markTutorial + plain} {
			for _, wrong := range []string{"wrong", "", "password\x00", long + "q", strings.Repeat("p", 1<<20)} {
				work := &meter{}
				ok, err := passhash.Hasher{Cost: configured, OnHash: work.add}.Verify(stored, wrong)
				require.NoError(t, err)
				require.False(t, ok)
				assert.Equal(t, unknown.sum(), work.sum(), "cost %d: %.90q", cost, wrong)
			}
		}
		assert.Equal(t, 1<<cost, workOf(configured, plain, "password"), "a right password is compared once")
	}
	for _, stored := range []string{"", "malformed", "$2a$31$" + bcryptOf(t, "password", 4)[7:]} {
		assert.Equal(t, unknown.sum(), workOf(configured, stored, "password"), stored)
	}
}

func TestRefusalAtAHigherStoredCostIsOneCompare(t *testing.T) {
	for _, password := range []string{"password", "wrong"} {
		work := &meter{}
		_, err := passhash.Hasher{Cost: 4, OnHash: work.add}.Verify(bcryptOf(t, "password", 6), password)
		require.NoError(t, err)
		assert.Equal(t, []int{6}, work.costs)
	}
}

func TestHashAndRehashAreCounted(t *testing.T) {
	work := &meter{}
	h := passhash.Hasher{Cost: 5, OnHash: work.add}
	mustHash(t, h, "password")
	mustHash(t, h, strings.Repeat("p", 80))
	_, err := h.Rehash(bcryptOf(t, "password", 4), "password")
	require.NoError(t, err)
	assert.Equal(t, []int{5, 5, 5}, work.costs)
}

// What stands in for a user's hash is one that bcrypt works on, not one it refuses.
func TestDummyIsWellFormed(t *testing.T) {
	for cost := passhash.MinCost; cost <= passhash.MaxStoredCost; cost++ {
		dummy := passhash.Dummy(cost)
		require.Len(t, dummy, 60)
		got, err := passhash.Cost(dummy)
		require.NoError(t, err)
		assert.Equal(t, cost, got)
		if cost < 7 {
			err = bcrypt.CompareHashAndPassword([]byte(dummy), []byte("password"))
			require.ErrorIs(t, err, bcrypt.ErrMismatchedHashAndPassword, cost)
		}
	}
}
