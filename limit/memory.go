package limit

import (
	"container/heap"
	"context"
	"crypto/sha256"
	"math"
	"sync"
	"time"
)

// maxKeys is how many budgets a Memory knows that are not full. They take some 8 MiB.
const maxKeys = 1 << 16

// Memory is a [Limiter] whose budgets are in the memory of this process. Take never
// returns an error, whatever its context. Use NewMemory.
//
// Of each budget it keeps the instant at which it will be full again, and nothing of one
// that is full: the generic cell rate algorithm (ITU-T I.371). A step back of its clock
// counts as no time.
//
// However many keys are tried, and however long they are, it knows 65,536 budgets at
// most. Of more, those are forgotten that are full soonest. Each of them has cost
// whoever tried it what the budget guards, in this module a password hash, and a budget
// is forgotten only if 65,536 others will be full later than it. So a flood of fresh keys
// makes it forget fresh keys, and not those that are at their limit.
type Memory struct {
	now func() time.Time

	mu    sync.Mutex
	said  time.Time // by now, at the last call
	clock time.Time // all the time that has passed by now, its steps back left out
	debts map[keyHash]*debt
	order soonest
}

// keyHash stands for a key. Nobody can find two keys with one hash, and all take the same
// room.
type keyHash [16]byte

// debt is a budget that is not full, or was not when it was last asked for.
type debt struct {
	key    keyHash
	fullAt time.Time
	at     int // in the order
}

// NewMemory returns a Memory whose budgets are all full. Nil for now is [time.Now].
func NewMemory(now func() time.Time) *Memory {
	if now == nil {
		now = time.Now //nolint:forbidigo // the process's own clock, monotonic, is the best there is
	}
	return &Memory{now: now, said: now(), debts: map[keyHash]*debt{}}
}

// Take implements Limiter.
func (m *Memory) Take(_ context.Context, key string, b Bucket, n int) (wait time.Duration, err error) {
	hash := hashOf(key)
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.tick()
	fullAt := m.fullAt(hash, now)
	switch {
	case n == 0:
		return b.until(fullAt, now, 1), nil
	case n > 0:
		if wait := b.until(fullAt, now, n); wait > 0 {
			return wait, nil
		}
	}
	m.set(hash, fullAt.Add(b.cost(n)))
	return 0, nil
}

// Refuse says that n, which Take has taken of the key, are not held by another count of
// the same budget before wait has passed. What that count holds replaces what this one
// held, so that Take refuses too until then.
func (m *Memory) Refuse(key string, b Bucket, n int, wait time.Duration) {
	hash := hashOf(key)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.set(hash, m.tick().Add(b.span()).Add(-b.cost(n)).Add(wait))
}

func hashOf(key string) keyHash {
	sum := sha256.Sum256([]byte(key))
	return keyHash(sum[:16])
}

// until is how long a budget that will be full at that instant does not hold n: as long as
// they would have it full later than an empty one is.
func (b Bucket) until(fullAt, now time.Time, n int) time.Duration {
	return max(0, fullAt.Add(b.cost(n)).Sub(now.Add(b.span())))
}

// cost is how long it takes until n come back: n·Every, or the longest Duration where
// that is longer.
func (b Bucket) cost(n int) time.Duration {
	every, many := max(b.Every, time.Microsecond), time.Duration(n)
	switch most := math.MaxInt64 / every; {
	case many > most:
		return math.MaxInt64
	case many < -most:
		return -math.MaxInt64
	}
	return many * every
}

// span is how long an empty budget takes until it is full.
func (b Bucket) span() time.Duration { return b.cost(max(b.Size, 1)) }

// tick returns the clock, and has to be called with the lock held.
func (m *Memory) tick() time.Time {
	said := m.now()
	m.clock = m.clock.Add(max(0, said.Sub(m.said)))
	m.said = said
	return m.clock
}

// fullAt is when the budget will be full, now if it is.
func (m *Memory) fullAt(hash keyHash, now time.Time) time.Time {
	if d := m.debts[hash]; d != nil && d.fullAt.After(now) {
		return d.fullAt
	}
	return now
}

// set keeps the instant at which the budget will be full. One that is full already is
// forgotten.
func (m *Memory) set(hash keyHash, fullAt time.Time) {
	d := m.debts[hash]
	switch isFull := !fullAt.After(m.clock); {
	case d == nil && isFull:
		return
	case d == nil:
		d = &debt{key: hash, fullAt: fullAt}
		m.debts[hash] = d
		heap.Push(&m.order, d)
	case isFull:
		delete(m.debts, hash)
		heap.Remove(&m.order, d.at)
	default:
		d.fullAt = fullAt
		heap.Fix(&m.order, d.at)
	}
	if len(m.order) > maxKeys {
		delete(m.debts, m.order[0].key)
		heap.Remove(&m.order, 0)
	}
}

// soonest is a heap of debts, the first to be full on top. It is a [heap.Interface].
type soonest []*debt

func (s *soonest) Len() int           { return len(*s) }
func (s *soonest) Less(i, j int) bool { return (*s)[i].fullAt.Before((*s)[j].fullAt) }

func (s *soonest) Swap(i, j int) {
	h := *s
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

func (s *soonest) Push(x any) {
	d := x.(*debt) //nolint:errcheck,forcetypeassert // nothing else is pushed
	d.at = len(*s)
	*s = append(*s, d)
}

func (s *soonest) Pop() any {
	last := len(*s) - 1
	d := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	return d
}
