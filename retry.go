package auth

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	// storeTries is how often an operation of a store is tried in all.
	storeTries = 3

	// storeDeadline is how long the store's work for one step of a call may take where the
	// call's context has no deadline of its own.
	storeDeadline = 10 * time.Second

	// revokeDeadline is how long a revocation may take that was decided; the call's
	// context does not count for it.
	revokeDeadline = 5 * time.Second

	// retryPause is the longest pause before the first repeat; it doubles with each.
	retryPause = 20 * time.Millisecond
)

// withStoreDeadline bounds ctx by storeDeadline if it has no deadline.
func withStoreDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, storeDeadline)
}

// retry calls op, which is idempotent, until it returns something that is not
// ErrUnavailable, storeTries times at most, with a random pause between. It returns op's
// last error.
func retry(ctx context.Context, op func() error) error {
	for try := 1; ; try++ {
		err := op()
		if !errors.Is(err, ErrUnavailable) || try == storeTries {
			return err
		}
		if !pause(ctx, try) {
			return err
		}
	}
}

// readStore is retry for a read, under the store's deadline. It returns op's last result.
func readStore[T any](ctx context.Context, op func(context.Context) (T, error)) (T, error) {
	ctx, cancel := withStoreDeadline(ctx)
	defer cancel()
	var result T
	err := retry(ctx, func() (err error) {
		result, err = op(ctx)
		return err
	})
	return result, err
}

// decided is retry for what ends sessions and was decided: its own deadline bounds it, not
// the end of ctx.
func decided(ctx context.Context, op func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeDeadline)
	defer cancel()
	return retry(ctx, func() error { return op(ctx) })
}

// revocation is decided for a revocation: that it could not be done Is ErrUnavailable,
// whatever the cause.
func revocation(ctx context.Context, op func(context.Context) error) error {
	if err := decided(ctx, op); err != nil {
		return fmt.Errorf("%w: revoke: %w", ErrUnavailable, err)
	}
	return nil
}

// pause waits at random for up to retryPause · 2^(try-1). It is false if ctx ended before.
func pause(ctx context.Context, try int) bool {
	return wait(ctx, rand.N(retryPause<<(try-1))) //nolint:gosec // jitter is no secret
}

// wait is false if ctx ended before d had passed.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
