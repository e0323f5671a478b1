package chaos

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ostiary/auth/internal/faultproxy"
)

// Odds says how often, of a thousand commands, something happens to one.
type Odds struct {
	Delay      int
	CutCommand int
	CutReply   int

	MaxDelay time.Duration
	MaxKeep  int // the connection is cut before this byte of the command or reply
}

// Faults chooses faults at random for any number of proxies. It is safe for concurrent
// use.
type Faults struct {
	odds Odds
	off  atomic.Bool

	mu   sync.Mutex
	rand *rand.Rand
}

// NewFaults returns a source of faults that seed repeats, as far as the order of the
// commands does.
func NewFaults(seed uint64, odds Odds) *Faults {
	return &Faults{odds: odds, rand: rand.New(rand.NewPCG(seed, 0))} //nolint:gosec // a test's
}

// Stop ends the faults.
func (f *Faults) Stop() { f.off.Store(true) }

// Choose chooses for one command. Every other cut is within the first 12 bytes, where
// the acknowledgement of a change is.
func (f *Faults) Choose(faultproxy.Command) faultproxy.Fault {
	if f.off.Load() {
		return faultproxy.Fault{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var fault faultproxy.Fault
	if f.rand.IntN(1000) < f.odds.Delay {
		fault.Delay = time.Duration(f.rand.Int64N(int64(f.odds.MaxDelay)))
	}
	switch n := f.rand.IntN(1000); {
	case n < f.odds.CutCommand:
		fault.Cut = faultproxy.CutCommand
	case n < f.odds.CutCommand+f.odds.CutReply:
		fault.Cut = faultproxy.CutReply
	}
	fault.Keep = f.rand.IntN(f.odds.MaxKeep)
	if f.rand.IntN(2) == 0 {
		fault.Keep = f.rand.IntN(min(12, f.odds.MaxKeep))
	}
	return fault
}
