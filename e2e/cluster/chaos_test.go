//go:build cluster

package cluster_test

import (
	"context"
	"flag"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/e2e/chaos"
	"github.com/ostiary/auth/e2e/instance"
	"github.com/ostiary/auth/internal/faultproxy"
)

var (
	seed     = flag.Uint64("chaos.seed", 0, "the seed of the chaos; 0 takes one by chance")
	duration = flag.Duration("chaos.duration", time.Minute, "how long each run of the chaos is")
)

// Instances, each at another node, and every connection fail under load, and a node is
// lost in the middle: no promise is broken. The node is back for the last look.
func TestChaos(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cluster) {
		o := chaos.Options{Duration: *duration, Grace: 5 * time.Second, Users: 6, Seed: *seed}
		o.AtLeast = chaos.Minimums{chaos.GraceRetries: 1000, chaos.LostAcks: 50, chaos.Thefts: 20, chaos.Detected: 20}
		if o.Seed == 0 {
			o.Seed = rand.Uint64()
		}
		t.Logf("-chaos.seed=%d", o.Seed)
		s := newStage(t, c, o)
		const victim, heir = 1, 2
		s.target.Disturb = func(ctx context.Context) {
			var wg sync.WaitGroup
			defer wg.Wait()
			wg.Go(func() { s.cutNowAndThen(ctx) })
			if !sleep(ctx, o.Duration/2) {
				return
			}
			s.inner[victim].Retarget("tcp", addressOf(c, heir))
			s.inner[victim].CutAll()
			assert.NoError(t, c.kind.lose(context.WithoutCancel(ctx), c, victim))
		}
		s.target.Afterwards = func() error {
			c.rejoin(t, victim)
			s.inner[victim].Retarget("tcp", addressOf(c, victim))
			s.inner[victim].CutAll()
			return nil
		}
		report, err := chaos.Run(t.Context(), s.target, o)
		t.Logf("%v%s", report, s.counts())
		require.NoError(t, err)
		require.NoError(t, report.Check(o.AtLeast))
		require.Positive(t, report.Count(chaos.Kept))
		require.Positive(t, report.Count(chaos.StayedEnded))
		require.Equal(t, report.Count(chaos.SignUps), report.Count(chaos.LogInsAfter))
	})
}

// faults are the lines of an instance's log that tell of a failure other than an outage,
// of which there are many.
func faults(log string) string {
	var lines []string
	for line := range strings.SplitSeq(log, "\n") {
		if strings.Contains(line, "level=ERROR") && !strings.Contains(line, auth.ErrUnavailable.Error()) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

func addressOf(c *cluster, i int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(c.nodes[i].Port))
}

// stage is an instance for each node, with proxies before it and between the two.
type stage struct {
	target       chaos.Target
	instances    []*instance.Process
	inner, outer []*faultproxy.Proxy
}

func newStage(t *testing.T, c *cluster, o chaos.Options) *stage {
	t.Helper()
	w := on(t, c)
	program, err := instance.Build(t.TempDir())
	require.NoError(t, err)
	s := &stage{}
	commits := chaos.NewFaults(o.Seed, chaos.Odds{CutCommand: 5, CutReply: 30, Delay: 20, MaxDelay: 50 * time.Millisecond, MaxKeep: 400})
	requests := chaos.NewFaults(o.Seed+1, chaos.Odds{CutCommand: 10, CutReply: 40, Delay: 20, MaxDelay: 100 * time.Millisecond, MaxKeep: 1200})
	for i, n := range c.nodes {
		cfg := n.Config()
		inner := proxyTo(t, faultproxy.MySQL, cfg.Addr, commits.Choose)
		cfg.Addr, cfg.DBName = inner.Addr(), w.database
		cfg.Timeout, cfg.ReadTimeout, cfg.WriteTimeout = time.Second, 3*time.Second, 3*time.Second
		p, err := instance.Start(program, "-dsn", cfg.FormatDSN(), "-grace", o.Grace.String(), "-no-limits")
		require.NoError(t, err)
		t.Cleanup(func() {
			p.Kill()
			assert.NotContains(t, p.Log(), "panic")
			if t.Failed() {
				t.Logf("instance %d wrote:\n%s", i+1, faults(p.Log()))
			}
		})
		u, err := url.Parse(p.URL)
		require.NoError(t, err)
		outer := proxyTo(t, faultproxy.Plain, u.Host, requests.Choose)
		s.instances, s.inner, s.outer = append(s.instances, p), append(s.inner, inner), append(s.outer, outer)
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
	s.target.LostAcks = func() (n int) {
		for _, p := range s.inner {
			n += p.Stats().LostAcks
		}
		return n
	}
	return s
}

func proxyTo(t *testing.T, protocol faultproxy.Protocol, address string, choose func(faultproxy.Command) faultproxy.Fault) *faultproxy.Proxy {
	t.Helper()
	p, err := faultproxy.New(protocol, "tcp", address, choose)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
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

// counts lists what the instances say they did.
func (s *stage) counts() string {
	var b strings.Builder
	for i, p := range s.instances {
		log := p.Log()
		b.WriteString("instance " + strconv.Itoa(i+1))
		for _, what := range []string{"recovered", "is revoked", "a request failed"} {
			b.WriteString(", " + what + ": " + strconv.Itoa(strings.Count(log, what)))
		}
		b.WriteString("\n")
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
