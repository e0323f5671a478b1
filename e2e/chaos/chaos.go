// Package chaos lets users sign up, log in, refresh and log out on several instances of
// the library while those, the database and the network between fail, and tells from what
// the users sent and received alone whether each promise was kept: no user is logged out
// without cause, no token is doubled, a stolen token ends its session, and what was
// acknowledged is there afterwards.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Target is what is put under load.
type Target struct {
	// Instances are the URLs, without a slash at the end, of instances that share one
	// database or cluster. Users meet them in turn; Options.Users belong to each.
	Instances []string

	// Disturb injects faults of its own until ctx ends; it must return soon then. It runs
	// once, beside the users. Nil: none.
	Disturb func(ctx context.Context)

	// Calm ends every fault. It is called when the users' time is over; from then on
	// everything must work.
	Calm func() error

	// Afterwards is called before the last look at everything that was acknowledged: to
	// kill and restart what holds the data. Nil: nothing.
	Afterwards func() error

	// LostAcks counts the acknowledgements of commits that were lost on their way to an
	// instance. Nil: not counted.
	LostAcks func() int
}

// Options says how long and how hard. The zero value of a field is its default.
type Options struct {
	Duration time.Duration // of the load, without what comes after it. Default: 60 seconds
	AtLeast  Minimums      // the load goes on until these are met too, three times Duration at most. Default: none
	Grace    time.Duration // the instances' Tokens.Grace. Default: 5 seconds
	Limited  bool          // the instances have limits: 429 is an answer
	Users    int           // on each instance. Default: 8
	Seed     uint64        // of everything that is random here. Default: by chance
	Patience time.Duration // of a request. Default: 2 seconds, at most 2/5 of Grace
}

func (o Options) withDefaults() Options {
	if o.Duration == 0 {
		o.Duration = time.Minute
	}
	if o.Grace == 0 {
		o.Grace = 5 * time.Second
	}
	if o.Users == 0 {
		o.Users = 8
	}
	if o.Seed == 0 {
		o.Seed = rand.Uint64() //nolint:gosec // no secret
	}
	if o.Patience == 0 {
		o.Patience = 2 * time.Second
	}
	o.Patience = min(o.Patience, o.Grace*2/5)
	return o
}

// slack is how much longer than its client a request may live, and by how much a
// client's reckoning of Grace may be off.
func (o Options) slack() time.Duration { return o.Grace / 20 }

// calmLimit is how long the users may take, when all faults have ended, to finish what
// they had begun and to look at everything, beside some times of Grace.
const calmLimit = 30 * time.Second

// errNotCalm is Run's if the target does not answer although all faults have ended.
var errNotCalm = errors.New("chaos: all is calm, and not all is answered")

// Run puts the target under load and returns what it saw. The error is the target's, or
// ctx's end; whether the promises were kept says [Report.Check].
func Run(ctx context.Context, t Target, o Options) (*Report, error) {
	o = o.withDefaults()
	r := newReport(o)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var users []*user
	for i := range o.Users * len(t.Instances) {
		users = append(users, newUser(i, t, o, r))
	}
	load, stop := context.WithTimeout(ctx, 3*o.Duration)
	defer stop()
	var wg sync.WaitGroup
	if t.Disturb != nil {
		wg.Go(func() { t.Disturb(load) })
	}
	for _, u := range users {
		wg.Go(func() { u.live(ctx, load) })
	}
	for sleep(load, o.Duration) && !r.met(t, o.AtLeast) {
		o.Duration = time.Second // look again
	}
	stop()
	if err := call(t.Calm); err != nil {
		cancel(err)
		wg.Wait()
		return r, fmt.Errorf("chaos: calm: %w", err)
	}
	limit := time.AfterFunc(10*o.Grace+calmLimit, func() { cancel(errNotCalm) })
	defer limit.Stop()
	wg.Wait()
	each(users, func(u *user) { u.settle(ctx) })
	r.met(t, nil)
	if err := call(t.Afterwards); err != nil {
		return r, fmt.Errorf("chaos: afterwards: %w", err)
	}
	each(users, func(u *user) { u.inspect(ctx) })
	return r, context.Cause(ctx)
}

// met says whether the counts have reached the minimums by now.
func (r *Report) met(t Target, m Minimums) bool {
	if t.LostAcks != nil {
		r.set(LostAcks, t.LostAcks())
	}
	for name, n := range m {
		if r.Count(name) < n {
			return false
		}
	}
	return true
}

func call(hook func() error) error {
	if hook == nil {
		return nil
	}
	return hook()
}

func each(users []*user, f func(u *user)) {
	var wg sync.WaitGroup
	for _, u := range users {
		wg.Go(func() { f(u) })
	}
	wg.Wait()
}
