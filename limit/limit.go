// Package limit bounds how often something may be tried.
package limit

import (
	"context"
	"time"
)

// Bucket is how much of a budget there is: it holds Size at most, begins full, and one
// comes back every Every, so that Size may be taken at once after a quiet time of
// Size·Every, and one each Every for as long as that goes on.
type Bucket struct {
	Size  int           // at least 1
	Every time.Duration // at least a microsecond
}

// Limiter keeps budgets, each under a key. It is safe for concurrent use.
type Limiter interface {
	// Take takes n from the budget of the key, in one step: if it holds n, they are taken
	// and the answer is 0, else nothing is, and the answer is how long, with no other call,
	// until it will hold them. Of concurrent calls, also of several processes where the
	// Limiter is theirs, no more succeed than the budget has. The same key comes with the
	// same Bucket always.
	//
	// A negative n gives back what was taken, never more than makes the budget full, and is
	// answered 0. n = 0 looks whether there is one to take, as far as this process knows
	// without asking anybody; it takes nothing and returns no error.
	//
	// An error says that the budget could not be asked, and nothing is known of it. A
	// Limiter whose budgets are shared keeps a count of its own beside them, and returns the
	// error for what that count allowed alone.
	Take(ctx context.Context, key string, b Bucket, n int) (wait time.Duration, err error)
}
