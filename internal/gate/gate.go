// Package gate bounds how many do something costly at once, and who waits for it.
package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// places is how many may wait, share how many of them may be one client's, and kept how
	// many of them only a known device may take.
	places = 128
	share  = places / 4
	kept   = 4

	// patience is how long one waits at most.
	patience = 10 * time.Second
)

// ErrBusy says that there is no place to wait in, or that the wait was too long.
var ErrBusy = errors.New("gate: busy")

// Gate lets a fixed number in at once. Up to 128 more wait, in a queue for each client: what
// gets free goes to the clients in turn, so that nobody waits for all that another one sent.
// It is safe for concurrent use, and starts no goroutines.
type Gate struct {
	mu      sync.Mutex
	free    int                // how many more may come in; above 0 only if nobody waits
	waiting int                // in all queues
	queues  map[string]*client // the clients that have somebody waiting
	turns   [2][]*client       // the same, other clients and known devices, each in turn
	last    int                // whose turn it was last: an index of turns
}

// Claim says who asks to come in.
type Claim struct {
	Client string // whom to be fair to; all who name none are one client
	Known  bool   // a device that is known, which may take the places that are kept for it
}

// client is a client that has somebody waiting.
type client struct {
	name  string
	turns int       // where its turn comes: an index of Gate.turns
	queue []*waiter // first come, first served
}

type waiter struct {
	in chan struct{} // closed once it is in
}

// New returns a Gate that lets running in at once, or one where running is below that.
func New(running int) *Gate {
	return &Gate{free: max(running, 1), queues: make(map[string]*client)}
}

// Enter returns as soon as the caller is in, which it is until it calls leave; later calls of
// leave do nothing. Whoever finds no room waits for at most 10 seconds.
//
// The error Is [ErrBusy] if the wait was too long, or could not begin: 128 wait, or 124 and
// the claim is of no known device, or 32 of the same client. It Is the context's error, with
// the place free again at once, if the context ended first; also where that met with being
// let in.
func (g *Gate) Enter(ctx context.Context, c Claim) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("gate: %w", err)
	}
	w, err := g.join(c)
	switch {
	case err != nil:
		return nil, err
	case w == nil:
		return g.leave(), nil
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-w.in:
	case <-ctx.Done():
	case <-timer.C:
	}

	waits := g.withdraw(c.Client, w)
	if err := ctx.Err(); err != nil {
		if !waits {
			g.release()
		}
		return nil, fmt.Errorf("gate: %w", err)
	}
	if waits {
		return nil, fmt.Errorf("%w: waited for %v", ErrBusy, patience)
	}
	return g.leave(), nil
}

// TryEnter is Enter for whoever would rather not wait: ok is false, and leave nil, unless
// there is room and nobody waits.
func (g *Gate) TryEnter() (leave func(), ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.free == 0 {
		return nil, false
	}
	g.free--
	return g.leave(), true
}

// join lets the claim in, for which it returns nil, or makes it wait.
func (g *Gate) join(c Claim) (*waiter, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.free > 0 {
		g.free--
		return nil, nil //nolint:nilnil // it need not wait
	}
	room := places
	if !c.Known {
		room -= kept
	}
	if g.waiting >= room {
		return nil, fmt.Errorf("%w: %d wait", ErrBusy, g.waiting)
	}
	cl := g.queues[c.Client]
	switch {
	case cl == nil:
		cl = &client{name: c.Client}
		if c.Known {
			cl.turns = 1
		}
		g.queues[c.Client] = cl
		g.turns[cl.turns] = append(g.turns[cl.turns], cl)
	case len(cl.queue) >= share:
		return nil, fmt.Errorf("%w: %d of one client wait", ErrBusy, share)
	}
	w := &waiter{in: make(chan struct{})}
	cl.queue = append(cl.queue, w)
	g.waiting++
	return w, nil
}

// leave returns what makes room for the next one, once.
func (g *Gate) leave() func() { return sync.OnceFunc(g.release) }

// release lets in the first one of the client whose turn it is, and moves that client
// behind all the others. Known devices and other clients take turns, too.
func (g *Gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.waiting == 0 {
		g.free++
		return
	}
	g.last = 1 - g.last
	if len(g.turns[g.last]) == 0 {
		g.last = 1 - g.last
	}
	turns := &g.turns[g.last]
	cl := (*turns)[0]
	*turns = slices.Delete(*turns, 0, 1)
	w := cl.queue[0]
	g.remove(cl, 0)
	if len(cl.queue) > 0 {
		*turns = append(*turns, cl)
	}
	close(w.in)
}

// withdraw takes w out of the client's queue, and reports whether it was still there: if it
// was not, it is in.
func (g *Gate) withdraw(name string, w *waiter) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	cl := g.queues[name]
	if cl == nil {
		return false
	}
	i := slices.Index(cl.queue, w)
	if i < 0 {
		return false
	}
	g.remove(cl, i)
	if len(cl.queue) == 0 {
		turns := &g.turns[cl.turns]
		turn := slices.Index(*turns, cl)
		*turns = slices.Delete(*turns, turn, turn+1)
	}
	return true
}

// remove takes the i-th out of the client's queue, and forgets a client that has nobody
// waiting; its turn is the caller's matter.
func (g *Gate) remove(cl *client, i int) {
	cl.queue = slices.Delete(cl.queue, i, i+1)
	g.waiting--
	if len(cl.queue) == 0 {
		delete(g.queues, cl.name)
	}
}
