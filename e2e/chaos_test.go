//go:build chaos

package e2e_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/e2e/chaos"
	"github.com/ostiary/auth/e2e/instance"
	"github.com/ostiary/auth/internal/faultproxy"
	"github.com/ostiary/auth/internal/mysqltest"
)

var (
	seed     = flag.Uint64("chaos.seed", 0, "the seed of the chaos; 0 takes one by chance")
	duration = flag.Duration("chaos.duration", time.Minute, "how long each run of the chaos is")
)

const (
	grace = 5 * time.Second
	kills = 3
	back  = 2 * time.Second // the server is there again that long after each
)

// Two instances, their database, and every connection fail under load, and no promise is
// broken.
func TestChaos(t *testing.T) {
	t.Run("without limits", func(t *testing.T) { runChaos(t, false) })
	t.Run("with limits", func(t *testing.T) { runChaos(t, true) })
}

func runChaos(t *testing.T, limited bool) {
	t.Helper()
	o := chaos.Options{
		Duration: *duration, Grace: grace, Limited: limited, Seed: *seed,
		AtLeast: chaos.Minimums{chaos.GraceRetries: 1000, chaos.LostAcks: 50, chaos.Thefts: 20, chaos.Detected: 20},
	}
	if limited {
		o.AtLeast[chaos.Limited] = 1
	}
	if o.Seed == 0 {
		o.Seed = rand.Uint64()
	}
	t.Logf("-chaos.seed=%d", o.Seed)
	server := mysqltest.Private(t)
	dsn := server.DSN(t, "timeout=1s", "readTimeout=3s", "writeTimeout=3s")
	stage := newStage(t, dsn, o)

	var away []time.Duration // one goroutine's until Run returns
	random := rand.New(rand.NewPCG(o.Seed, 2))
	stage.target.Disturb = func(ctx context.Context) {
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() { stage.cutNowAndThen(ctx) })
		for range kills {
			if !sleep(ctx, o.Duration/(kills+1)) {
				return
			}
			outage := time.Duration(random.Int64N(int64(back / 4)))
			away = append(away, restart(t, server, outage)) //nolint:contextcheck // it takes none
		}
	}
	stage.target.Afterwards = func() error {
		restart(t, server, 0)
		return nil
	}
	report, err := chaos.Run(t.Context(), stage.target, o)
	t.Logf("%v%sthe server was away for %s", report, stage.counts(), away)
	require.NoError(t, err)
	require.NoError(t, report.Check(o.AtLeast))
	require.Positive(t, report.Count(chaos.Kept))
	require.Positive(t, report.Count(chaos.StayedEnded))
	require.Equal(t, report.Count(chaos.SignUps), report.Count(chaos.LogInsAfter))
	require.Len(t, away, kills)
	require.Less(t, slices.Max(away), back, "the server was back too late for a test")
}

// restart kills the server, starts it again after a while and returns how long it was
// away.
func restart(t *testing.T, server *mysqltest.Server, after time.Duration) time.Duration {
	t.Helper()
	killed := time.Now()
	server.Kill(t)
	time.Sleep(after) // an outage
	server.Restart(t)
	return time.Since(killed)
}

// stage is two instances, with proxies before them and between them and their database.
type stage struct {
	target    chaos.Target
	instances []*instance.Process
	inner     []*faultproxy.Proxy // to the database
	outer     []*faultproxy.Proxy // to the instances
}

func newStage(t *testing.T, dsn string, o chaos.Options) *stage {
	t.Helper()
	s := &stage{}
	commits := chaos.NewFaults(o.Seed, chaos.Odds{CutCommand: 10, CutReply: 40, Delay: 20, MaxDelay: 50 * time.Millisecond, MaxKeep: 400})
	requests := chaos.NewFaults(o.Seed+1, chaos.Odds{CutCommand: 10, CutReply: 40, Delay: 20, MaxDelay: 100 * time.Millisecond, MaxKeep: 1200})
	args := []string{"-grace", o.Grace.String()}
	if !o.Limited {
		args = append(args, "-no-limits")
	}
	start(t, dsn, "-migrate").Kill()
	for range 2 {
		inner, proxied := through(t, dsn, commits.Choose)
		p := start(t, proxied, args...)
		u, err := url.Parse(p.URL)
		require.NoError(t, err)
		outer := proxyTo(t, faultproxy.Plain, u.Host, requests.Choose)
		s.instances = append(s.instances, p)
		s.inner = append(s.inner, inner)
		s.outer = append(s.outer, outer)
		s.target.Instances = append(s.target.Instances, "http://"+outer.Addr())
	}
	s.target.Calm = func() error {
		commits.Stop()
		requests.Stop()
		for _, p := range slices.Concat(s.inner, s.outer) {
			p.Refuse(false)
		}
		return nil
	}
	s.target.LostAcks = func() int { return s.inner[0].Stats().LostAcks + s.inner[1].Stats().LostAcks }
	return s
}

// cutNowAndThen cuts every connection of one of the proxies from time to time, and has it
// refuse new ones for a moment.
func (s *stage) cutNowAndThen(ctx context.Context) {
	proxies := slices.Concat(s.inner, s.outer)
	for i := 0; sleep(ctx, 3*time.Second); i++ {
		p := proxies[i%len(proxies)]
		p.Refuse(true)
		p.CutAll()
		sleep(ctx, 200*time.Millisecond)
		p.Refuse(false)
	}
}

// counts lists what the proxies and the instances did.
func (s *stage) counts() string {
	var b strings.Builder
	for i, p := range s.instances {
		log := p.Log()
		fmt.Fprintf(&b, "instance %d: %d answers of 5xx, %d reuses, %d sessions whose rotations the store had lost\n", i,
			strings.Count(log, "a request failed"), strings.Count(log, "is revoked"), strings.Count(log, "recovered"))
		fmt.Fprintf(&b, "  before it: %+v\n  before its database: %+v\n", s.outer[i].Stats(), s.inner[i].Stats())
	}
	return b.String()
}

// sleep is false if ctx ends before d is over.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
