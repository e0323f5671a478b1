//go:build cluster

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// device is a client with one session, who goes to the next node when one cannot answer.
type device struct {
	at        int
	tokens    auth.Tokens
	refreshed int
	refused   int           // answers of 503
	longest   time.Duration // without an answer
}

// patienceOfClients is how long a client waits for an answer.
const patienceOfClients = 2 * time.Second

// refresh goes from node to node until one answers. Any other answer than a success or
// 503 is an error.
func (d *device) refresh(ctx context.Context, w *world) error {
	begin := time.Now()
	for ctx.Err() == nil {
		callCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patienceOfClients)
		next, err := w.at[d.at].Refresh(callCtx, d.tokens.RefreshToken, auth.Client{})
		cancel()
		switch {
		case err == nil:
			d.tokens = next
			d.refreshed++
			d.longest = max(d.longest, time.Since(begin))
			return nil
		case !errors.Is(err, auth.ErrUnavailable):
			return fmt.Errorf("node %d after %v: %w", d.at+1, time.Since(begin), err)
		}
		d.refused++
		d.at = (d.at + 1) % size
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

// longGrace is longer than a group of MySQL's stands still when a member is killed, or
// takes to be told to go on without the majority: sometimes a minute and more.
func longGrace(cfg *auth.Config) { cfg.Tokens.Grace = 5 * time.Minute }

// devices logs n users in, at one node after the other that takes writes.
func (w *world) devices(t *testing.T, n int) []*device {
	t.Helper()
	nodes := w.writable(t)
	list := make([]*device, n)
	for i := range list {
		address := fmt.Sprintf("user%d@example.com", i)
		w.signUp(t, address)
		at := nodes[i%len(nodes)]
		list[i] = &device{at: at, tokens: w.at[at].logIn(t, address)}
	}
	return list
}

// run has the devices refresh, each as often as it can, until ctx ends.
func (w *world) run(ctx context.Context, t *testing.T, list []*device) *sync.WaitGroup {
	t.Helper()
	var wg sync.WaitGroup
	for i, d := range list {
		wg.Go(func() {
			for ctx.Err() == nil {
				if !assert.NoError(t, d.refresh(ctx, w), "device %d", i) {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	return &wg
}

// assertAllGoOn has every device refresh once at each of these nodes.
func (w *world) assertAllGoOn(t *testing.T, list []*device, nodes ...int) {
	t.Helper()
	for i, d := range list {
		for _, n := range nodes {
			next, err := w.at[n].Refresh(t.Context(), d.tokens.RefreshToken, auth.Client{})
			require.NoError(t, err, "device %d, node %d", i, n+1)
			require.Equal(t, http.StatusOK, w.at[n].liveStatus(t.Context(), next.AccessToken))
			d.tokens = next
		}
	}
}

func (w *world) summary(t *testing.T, list []*device) {
	t.Helper()
	var refreshed, refused int
	var longest time.Duration
	for _, d := range list {
		refreshed += d.refreshed
		refused += d.refused
		longest = max(longest, d.longest)
	}
	t.Logf("%d devices: %d refreshes, %d answers of 503, the longest time without an answer %v", len(list), refreshed, refused, longest.Round(time.Millisecond))
}

// killedWhileTheyRefresh kills a node in the middle of the devices' refreshes, and has it
// come back: clients go on at the others, and nobody is logged out.
func (w *world) killedWhileTheyRefresh(t *testing.T, victim int) {
	t.Helper()
	list := w.devices(t, 9)
	out := w.at[0].logIn(t, "user0@example.com")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	wg := w.run(ctx, t, list)
	time.Sleep(time.Second)
	require.NoError(t, w.logOut(t, out, victim+1, victim))
	w.nodes[victim].Kill()
	killed := time.Now()
	survivors := slices.DeleteFunc([]int{0, 1, 2}, func(i int) bool { return i == victim })
	w.untilWritable(t, survivors)
	t.Logf("the others took writes again %v after node %d was killed", time.Since(killed).Round(time.Millisecond), victim+1)
	time.Sleep(2 * time.Second)
	w.rejoin(t, victim)
	time.Sleep(time.Second)
	cancel()
	wg.Wait()
	w.summary(t, list)
	w.assertAllGoOn(t, list, w.writable(t)...)
	for _, i := range w.writable(t) {
		_, err := w.at[i].Refresh(t.Context(), out.RefreshToken, auth.Client{})
		require.ErrorIs(t, err, auth.ErrSessionEnded, "node %d", i+1)
	}
}

// logOut logs out at the first of the nodes that can do so.
func (w *world) logOut(t *testing.T, tokens auth.Tokens, nodes ...int) error {
	t.Helper()
	var err error
	for _, i := range nodes {
		if err = w.at[i%size].Logout(t.Context(), tokens.RefreshToken); err == nil {
			break
		}
	}
	return err
}

// untilWritable waits until one of the nodes takes a write.
func (w *world) untilWritable(t *testing.T, nodes []int) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for n := 0; time.Now().Before(deadline); n++ {
		for _, i := range nodes {
			if w.takesWrites(t, i) {
				return
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	require.Fail(t, "no node takes writes again")
}

// writable are the nodes that take writes.
func (w *world) writable(t *testing.T) []int {
	t.Helper()
	return slices.DeleteFunc([]int{0, 1, 2}, func(i int) bool { return !w.takesWrites(t, i) })
}

var probes atomic.Int64

func (w *world) takesWrites(t *testing.T, i int) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	key := fmt.Sprintf("probe%d@example.com", probes.Add(1))
	_, err := w.at[i].stores.Users.CreateUser(ctx, auth.NewUser{Name: "Probe", Email: key, EmailKey: key})
	return err == nil
}

func TestInvariant09NodeKilled(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cluster) {
		for _, victim := range []int{1, 0} {
			t.Run(fmt.Sprintf("node %d", victim+1), func(t *testing.T) {
				on(t, c, longGrace).killedWhileTheyRefresh(t, victim)
			})
		}
	})
}

// Where one member is the primary, clients find the next one when it is killed.
func TestPrimaryKilledUnderLoad(t *testing.T) {
	on(t, onOnePrimary(t), longGrace).killedWhileTheyRefresh(t, 0)
}

// Two of three nodes are killed. The third says that it is unavailable and nothing else,
// until it is told to go on alone; then every session goes on, there and at the other
// nodes when they are back.
func TestQuorumLost(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cluster) {
		w := on(t, c, longGrace)
		list := w.devices(t, 9)
		out := w.at[0].logIn(t, "user0@example.com")
		require.NoError(t, w.logOut(t, out, 1, 0))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		wg := w.run(ctx, t, list)
		time.Sleep(500 * time.Millisecond)
		c.nodes[0].Kill()
		c.nodes[1].Kill()
		lost := time.Now()
		cancel()
		wg.Wait()

		const survivor = 2
		answers := map[string]int{}
		for time.Since(lost) < 8*time.Second {
			var asked sync.WaitGroup
			var mu sync.Mutex
			for _, d := range list {
				asked.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), patienceOfClients)
					defer cancel()
					tokens, err := w.at[survivor].Refresh(ctx, d.tokens.RefreshToken, auth.Client{})
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil:
						d.tokens = tokens
						answers["refreshed before the quorum was missed"]++
					case assert.ErrorIs(t, err, auth.ErrUnavailable):
						answers["refresh 503"]++
					}
				})
			}
			asked.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), patienceOfClients)
			_, err := w.at[survivor].Login(ctx, auth.LoginInput{Email: "user1@example.com", Password: password})
			if err != nil {
				assert.ErrorIs(t, err, auth.ErrUnavailable)
				answers["login 503"]++
			}
			status := w.at[survivor].liveStatus(ctx, list[1].tokens.AccessToken)
			cancel()
			answers[fmt.Sprintf("live %d", status)]++
			assert.Contains(t, []int{http.StatusOK, http.StatusServiceUnavailable}, status)
		}
		t.Logf("without a quorum: %v", answers)
		assert.Positive(t, answers["refresh 503"])

		w.regain(t, survivor)
		w.untilWritable(t, []int{survivor})
		t.Logf("the quorum was missed for %v", time.Since(lost).Round(time.Millisecond))
		w.assertAllGoOn(t, list, survivor)
		w.rejoin(t, 0, 1)
		w.assertAllGoOn(t, list, 0, 1, 2)
		for i, in := range w.at {
			_, err := in.Refresh(t.Context(), out.RefreshToken, auth.Client{})
			require.ErrorIs(t, err, auth.ErrSessionEnded, "node %d", i+1)
		}
	})
}
