package verify

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/ostiary/auth/internal/token"
)

const (
	minMaxAge     = time.Minute
	maxMaxAge     = time.Hour
	defaultMaxAge = 5 * time.Minute // of an answer that names none

	maxStale     = 24 * time.Hour  // how old keys may be at all
	unknownEvery = time.Minute     // between fetches for an unknown key
	retryEvery   = 5 * time.Second // between fetches that fail
	fetchTimeout = 5 * time.Second // of one fetch
	failingFor   = time.Minute     // how long a fetch that failed is a reason not to wait for the next
)

// keyCache holds the issuer's keys.
type keyCache struct {
	url    string
	client *http.Client
	now    func() time.Time
	log    *slog.Logger

	mu      sync.Mutex
	codec   *token.Codec // nil: none yet
	fetched time.Time    // when codec was
	maxAge  time.Duration
	tried   time.Time     // when the last fetch began
	failure error         // why it failed, nil if it did not
	failed  time.Time     // when a fetch last did
	running chan struct{} // closed at the end of the fetch that is under way; nil: none is
}

// codecFor returns the keys to judge the token by: keys that have the one of its header or,
// if they are not older than their max-age, do not. It waits for a fetch, until ctx ends,
// where the keys that are there do not have it; and where they are as old as twice their
// max-age, since the issuer may have removed it, unless a fetch failed a moment ago. The
// error Is ErrKeysUnavailable.
func (c *keyCache) codecFor(ctx context.Context, text string) (*token.Codec, error) {
	codec, running, err := c.look(ctx, text)
	if running == nil {
		return codec, err
	}
	select {
	case <-running:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrKeysUnavailable, ctx.Err())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.judge(text)
}

// look is codecFor without the waiting: it starts a fetch if one is due, and returns the
// running one if that is to be waited for.
func (c *keyCache) look(ctx context.Context, text string) (*token.Codec, <-chan struct{}, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	codec, fresh := c.current()
	known := codec != nil && codec.Knows(text)
	if known && fresh {
		return codec, nil, nil
	}
	every := retryEvery
	if fresh {
		every = unknownEvery
	}
	wait := !known || c.now().Sub(c.fetched) >= 2*c.maxAge && c.now().Sub(c.failed) >= failingFor
	if since := c.now().Sub(c.tried); c.running == nil && (since < 0 || since >= every) {
		c.start(ctx)
	}
	if wait && c.running != nil {
		return nil, c.running, nil
	}
	codec, err := c.judge(text)
	return codec, nil, err
}

// current returns the keys, nil if there are none to use, and whether they are not older
// than their max-age. c.mu is held.
func (c *keyCache) current() (codec *token.Codec, fresh bool) {
	age := c.now().Sub(c.fetched)
	if age < 0 || age > maxStale { // a clock that was put back, too
		return nil, false
	}
	return c.codec, c.codec != nil && age < c.maxAge
}

// judge is codecFor by what is there. c.mu is held.
func (c *keyCache) judge(text string) (*token.Codec, error) {
	codec, fresh := c.current()
	if fresh || codec != nil && codec.Knows(text) {
		return codec, nil
	}
	if c.failure != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeysUnavailable, c.failure)
	}
	return nil, ErrKeysUnavailable
}

// start begins a fetch that the end of ctx does not end. c.mu is held.
func (c *keyCache) start(ctx context.Context) {
	c.tried = c.now()
	running := make(chan struct{})
	c.running = running
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	go func() {
		defer cancel()
		codec, maxAge, err := c.fetch(ctx)
		if err != nil {
			c.log.WarnContext(ctx, "verify: the issuer's keys could not be fetched", slog.Any("error", err))
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.failure = err; err == nil {
			c.codec, c.maxAge, c.fetched = codec, maxAge, c.now()
		} else {
			c.failed = c.now()
		}
		c.running = nil
		close(running)
	}()
}
