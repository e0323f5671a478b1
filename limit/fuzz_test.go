package limit_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/limit"
)

// model is one budget as one would keep it by hand: how much there is, in nanoseconds of
// refill.
type model struct {
	b    limit.Bucket
	have time.Duration
}

func (m *model) span() time.Duration { return time.Duration(m.b.Size) * m.b.Every }

func (m *model) pass(d time.Duration) {
	if d > 0 {
		m.have = min(m.span(), m.have+d)
	}
}

func (m *model) take(n int) time.Duration {
	need := time.Duration(n) * m.b.Every
	look := time.Duration(max(n, 1)) * m.b.Every
	if n >= 0 && look > m.have {
		return look - m.have
	}
	m.have = min(m.span(), m.have-need)
	return 0
}

func (m *model) refuse(n int, wait time.Duration) {
	m.have = min(m.span(), time.Duration(n)*m.b.Every-wait)
}

// FuzzMemory compares two budgets of a memory with a model. Of each three bytes the first
// says what is done, to which of them, the others how much.
func FuzzMemory(f *testing.F) {
	f.Add(uint8(3), uint32(1_000_000), []byte{0, 1, 0, 2, 1, 0, 4, 9, 9, 0, 3, 0})
	f.Add(uint8(5), uint32(60_000_000), []byte{1, 5, 0, 7, 200, 1, 3, 2, 0, 1, 2, 0, 9, 7, 7})
	f.Add(uint8(0), uint32(0), []byte{0, 1, 0, 6, 1, 3, 8, 255, 255, 0, 0, 0, 0, 255, 0})
	f.Fuzz(func(t *testing.T, size uint8, every uint32, ops []byte) {
		c := newClock()
		m := limit.NewMemory(c.Now)
		b := limit.Bucket{Size: int(size) + 1, Every: time.Duration(every)*time.Microsecond + time.Microsecond}
		models := [2]*model{}
		for i := range models {
			models[i] = &model{b: b}
			models[i].have = models[i].span()
		}
		for ops = ops[:min(len(ops), 300)]; len(ops) >= 3; ops = ops[3:] {
			which := int(ops[0]) % 2
			key, want := []string{"a", "b"}[which], models[which]
			amount := time.Duration(int(ops[1])<<8|int(ops[2])) * b.Every / 1000
			n := int(ops[1])
			switch ops[0] / 2 % 5 {
			case 0:
				assert.Equal(t, want.take(n), take(t, m, key, b, n))
			case 1:
				assert.Zero(t, take(t, m, key, b, -n-1))
				want.take(-n - 1)
			case 2:
				c.turn(amount)
				for _, w := range models {
					w.pass(amount)
				}
			case 3:
				c.turn(-amount)
			case 4:
				if n = n%b.Size + 1; want.take(n) == 0 {
					require.Zero(t, take(t, m, key, b, n))
					m.Refuse(key, b, n, amount)
					want.refuse(n, amount)
				}
			}
			for i, w := range models {
				got, _ := m.Take(t.Context(), []string{"a", "b"}[i], b, 0)
				if want := w.take(0); got != want {
					t.Fatalf("budget %d: a look says %v, not %v", i, got, want)
				}
			}
		}
	})
}

// FuzzMemoryExtremes has a memory answer whatever it is asked, and refuse what a budget
// can never hold.
func FuzzMemoryExtremes(f *testing.F) {
	f.Add(5, int64(time.Minute), 1, int64(time.Second), int64(0))
	f.Add(math.MaxInt, int64(math.MaxInt64), math.MaxInt, int64(math.MaxInt64), int64(math.MaxInt64))
	f.Add(math.MinInt, int64(math.MinInt64), math.MinInt, int64(math.MinInt64), int64(math.MinInt64))
	f.Add(0, int64(0), 2, int64(-1), int64(-1))
	f.Fuzz(func(t *testing.T, size int, every int64, n int, step, wait int64) {
		c := newClock()
		m := limit.NewMemory(c.Now)
		b := limit.Bucket{Size: size, Every: time.Duration(every)}
		for range 3 {
			got := take(t, m, "k", b, n)
			assert.GreaterOrEqual(t, got, time.Duration(0))
			if sane := every < int64(time.Hour) && n < 1_000_000; sane && n > max(size, 1) {
				assert.NotZero(t, got)
			}
			if n <= 0 {
				assert.Zero(t, got)
			}
			c.turn(time.Duration(step))
			m.Refuse("k", b, n, time.Duration(wait))
			assert.GreaterOrEqual(t, take(t, m, "k", b, 1), time.Duration(0))
			m = limit.NewMemory(c.Now)
		}
	})
}
