//go:build cluster

package cluster_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/ostiary/auth/limit"
)

// Of takes at all nodes at once no more succeed than the budget holds, and none fails: one
// that another node's comes in the way of is limited.
func TestLimiterOnAllNodes(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cluster) {
		w := on(t, c)
		b := limit.Bucket{Size: 5, Every: time.Hour}
		const rounds, racers = 20, 12
		var all, conflicts atomic.Int64
		for round := range rounds {
			var taken atomic.Int64
			var wg sync.WaitGroup
			for i := range racers {
				wg.Go(func() {
					for range 3 {
						wait, err := w.at[i%len(w.at)].stores.Limiter.Take(t.Context(), fmt.Sprint("key ", round), b, 1)
						assert.NoError(t, err)
						count := &taken
						if wait == time.Second {
							count = &conflicts
						}
						if wait == 0 || wait == time.Second {
							count.Add(1)
						}
					}
				})
			}
			wg.Wait()
			assert.LessOrEqual(t, taken.Load(), int64(b.Size))
			assert.Positive(t, taken.Load())
			all.Add(taken.Load())
		}
		t.Logf("%d taken of %d, %d conflicts or timeouts", all.Load(), rounds*b.Size, conflicts.Load())
	})
}
