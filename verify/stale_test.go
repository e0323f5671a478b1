package verify_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/token"
	"github.com/ostiary/auth/verify"
)

// An issuer that is down costs nobody anything who comes with a key that is known, for a
// day. It is asked every 5 seconds at most.
func TestStaleKeysAreServed(t *testing.T) {
	one, two := key(t, 1), key(t, 2)
	inBubble(t, func(t *testing.T, w *world) {
		t.Helper()
		text := sign(t, one, strings.Replace(payload, "1800001200", "1800999999", 1))
		w.accepts(t, text)
		w.fails()
		w.clock.add(5 * time.Minute)
		for i := range int32(5) {
			for range 20 {
				w.accepts(t, text)
			}
			w.hasAsked(t, 2+i)
			w.cannot(t, sign(t, two, payload)) // it may be a new key's
			w.hasAsked(t, 2+i)
			w.clock.add(5*time.Second - 1)
			w.accepts(t, text)
			w.hasAsked(t, 2+i)
			w.clock.add(1)
		}
		w.refuses(t, text+"A") // by the old key, whose signature it is not
		w.clock.add(24*time.Hour - 5*time.Minute - 25*time.Second)
		w.accepts(t, text)
		w.clock.add(5 * time.Second)
		w.cannot(t, text)
		w.publish(one)
		w.clock.add(5 * time.Second)
		w.accepts(t, text)
	}, one)
}

// A stale key is served at once although the issuer hangs.
func TestStaleKeysDoNotWait(t *testing.T) {
	k := key(t, 1)
	inBubble(t, func(t *testing.T, w *world) {
		t.Helper()
		text := sign(t, k, payload)
		w.accepts(t, text)
		release := make(chan struct{})
		w.does(func(http.ResponseWriter, *http.Request) { <-release })
		defer close(release)
		w.clock.add(5 * time.Minute)
		w.accepts(t, text)
		w.accepts(t, text)
		w.hasAsked(t, 2)
		w.clock.add(time.Minute)
		w.accepts(t, text)
		w.hasAsked(t, 2) // not again while the first is under way
	}, k)
}

// Keys as old as twice their max-age wait for the next fetch: a service that had nothing to
// do meanwhile takes no token of a key that the issuer has removed.
func TestOldKeysWait(t *testing.T) {
	one, two := key(t, 1), key(t, 2)
	text := sign(t, one, strings.Replace(payload, "1800001200", "1800999999", 1))
	for age, refused := range map[time.Duration]bool{5 * time.Minute: false, 10*time.Minute - 1: false, 10 * time.Minute: true, 23 * time.Hour: true} {
		inBubble(t, func(t *testing.T, w *world) {
			t.Helper()
			w.accepts(t, text)
			w.publish(two)
			w.clock.add(age)
			if !refused {
				w.accepts(t, text)
				w.hasAsked(t, 2)
			}
			w.refuses(t, text)
			w.hasAsked(t, 2)
		}, one)
	}

	inBubble(t, func(t *testing.T, w *world) { // all of them, and where an earlier fetch failed too
		t.Helper()
		w.accepts(t, text)
		w.fails()
		w.clock.add(10 * time.Minute)
		w.accepts(t, text) // it has waited, and this is what there is
		release := make(chan struct{})
		w.does(func(rw http.ResponseWriter, _ *http.Request) {
			<-release
			_, _ = rw.Write(token.JWKS([]token.Key{two}))
		})
		w.clock.add(time.Minute)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				_, err := w.Verify(t.Context(), text)
				assert.ErrorIs(t, err, verify.ErrInvalidToken)
			})
		}
		w.hasAsked(t, 3)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := w.Verify(ctx, text)
		require.ErrorIs(t, err, verify.ErrKeysUnavailable)
		close(release)
		wg.Wait()
		w.hasAsked(t, 3)
	}, one)
}

// An issuer that hangs holds up the first ones, for 5 seconds, and nobody while it is asked
// again and again.
func TestIssuersThatHangHoldUpNobody(t *testing.T) {
	k := key(t, 1)
	inBubble(t, func(t *testing.T, w *world) {
		t.Helper()
		text := sign(t, k, strings.Replace(payload, "1800001200", "1800999999", 1))
		w.accepts(t, text)
		w.does(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		w.clock.add(10 * time.Minute)
		begin := time.Now()
		w.accepts(t, text)
		require.Equal(t, 5*time.Second, time.Since(begin))
		begin = time.Now()
		for i := range int32(100) {
			w.clock.add(5 * time.Second)
			w.accepts(t, text)
			w.hasAsked(t, 2+i+1)
			require.Equal(t, time.Duration(i)*5*time.Second, time.Since(begin))
			time.Sleep(5 * time.Second)
			synctest.Wait() // the fetch has failed
		}
	}, k)
}
