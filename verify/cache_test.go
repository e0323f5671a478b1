package verify_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
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

// Keys are fetched when they are first needed, and kept for as long as the answer says, but
// for a minute at least and an hour at most.
func TestKeysAreKept(t *testing.T) {
	k := key(t, 1)
	for cacheControl, want := range map[string]time.Duration{
		"":                             5 * time.Minute,
		"public":                       5 * time.Minute,
		"public, max-age=300":          5 * time.Minute,
		"max-age=120":                  2 * time.Minute,
		"MAX-AGE=120":                  2 * time.Minute,
		`max-age="120"`:                2 * time.Minute,
		"max-age=59":                   time.Minute,
		"max-age=0":                    time.Minute,
		"max-age=-5":                   time.Minute,
		"max-age=x":                    time.Minute,
		"no-store":                     time.Minute,
		"no-cache, max-age=300":        time.Minute,
		"max-age=300, no-store":        time.Minute,
		"max-age=3601":                 time.Hour,
		"max-age=31536000":             time.Hour,
		"max-age=99999999999999999999": time.Hour,
		"s-maxage=600":                 5 * time.Minute,
	} {
		t.Run(cacheControl, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				t.Helper()
				w.serves(string(token.JWKS([]token.Key{k})), cacheControl)
				w.hasAsked(t, 0)
				text := sign(t, k, strings.Replace(payload, "1800001200", "1800009999", 1))
				w.accepts(t, text)
				w.accepts(t, text)
				w.clock.add(want - 1)
				w.accepts(t, text)
				w.hasAsked(t, 1)
				w.clock.add(1)
				w.accepts(t, text)
				w.hasAsked(t, 2)
			})
		})
	}
}

func TestKeysThatACacheKeptBefore(t *testing.T) {
	k := key(t, 1)
	inBubble(t, func(t *testing.T, w *world) {
		t.Helper()
		w.does(func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Cache-Control", "max-age=300")
			rw.Header().Set("Age", "200")
			_, _ = rw.Write(token.JWKS([]token.Key{k}))
		})
		w.accepts(t, sign(t, k, payload))
		w.clock.add(100*time.Second - 1)
		w.accepts(t, sign(t, k, payload))
		w.hasAsked(t, 1)
		w.clock.add(1)
		w.accepts(t, sign(t, k, payload))
		w.hasAsked(t, 2)
	}, k)
}

// Once the issuer is asked again, its new keys are known and those that it removed are not.
func TestKeysChange(t *testing.T) {
	one, two := key(t, 1), key(t, 2)
	inBubble(t, func(t *testing.T, w *world) {
		t.Helper()
		w.accepts(t, sign(t, one, payload))
		w.publish(two)
		w.clock.add(5 * time.Minute)
		w.accepts(t, sign(t, one, payload)) // the old keys while the new ones are fetched
		w.hasAsked(t, 2)
		w.refuses(t, sign(t, one, payload))
		w.accepts(t, sign(t, two, payload))
		w.hasAsked(t, 2)
	}, one)
}

// Many who need keys at once share one fetch.
func TestOneFetchAtATime(t *testing.T) {
	k := key(t, 1)
	inBubble(t, func(t *testing.T, w *world) {
		t.Helper()
		release := make(chan struct{})
		w.does(func(rw http.ResponseWriter, _ *http.Request) {
			<-release
			_, _ = rw.Write(token.JWKS([]token.Key{k}))
		})
		text, unknown := sign(t, k, payload), sign(t, key(t, 2), payload)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				_, err := w.Verify(t.Context(), text)
				assert.NoError(t, err)
			})
			wg.Go(func() {
				_, err := w.Verify(t.Context(), unknown)
				assert.ErrorIs(t, err, verify.ErrInvalidToken)
			})
		}
		w.hasAsked(t, 1)
		close(release)
		wg.Wait()
		w.hasAsked(t, 1)
	}, k)
}

// Whoever waits does so until its own context ends, and its end ends nobody else's fetch.
func TestWaitingEndsWithTheContext(t *testing.T) {
	k := key(t, 1)
	inBubble(t, func(t *testing.T, w *world) {
		t.Helper()
		release := make(chan struct{})
		w.does(func(rw http.ResponseWriter, _ *http.Request) {
			<-release
			_, _ = rw.Write(token.JWKS([]token.Key{k}))
		})
		text := sign(t, k, payload)
		first, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := w.Verify(first, text)
			done <- err
		}()
		w.hasAsked(t, 1)
		late, cancelLate := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancelLate()
		_, err := w.Verify(late, text)
		require.ErrorIs(t, err, verify.ErrKeysUnavailable)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		cancel()
		err = <-done
		require.ErrorIs(t, err, verify.ErrKeysUnavailable)
		require.ErrorIs(t, err, context.Canceled)
		close(release)
		w.accepts(t, text)
		w.hasAsked(t, 1)
	}, k)
}

// A service that starts while the issuer is down cannot judge tokens yet; it asks every 5
// seconds at most.
func TestNoKeysYet(t *testing.T) {
	k := key(t, 1)
	inBubble(t, func(t *testing.T, w *world) {
		t.Helper()
		w.fails()
		text := sign(t, k, payload)
		for i := range int32(4) {
			for range 20 {
				w.cannot(t, text)
			}
			w.hasAsked(t, 1+i)
			w.clock.add(5 * time.Second)
		}
		w.publish(k)
		w.accepts(t, text)
		assert.Contains(t, w.log.String(), "the issuer answers with 500")
		assert.NotContains(t, w.log.String(), text[:20])
		assert.Equal(t, 4, strings.Count(w.log.String(), "\n"), "one line for a fetch, not for a request")
	}, k)
}

// A key that is not known has the keys fetched, once a minute: a flood of forged tokens
// reaches the issuer no more often than that.
func TestUnknownKeysAreLookedForOnceAMinute(t *testing.T) {
	one, two := key(t, 1), key(t, 2)
	inBubble(t, func(t *testing.T, w *world) {
		t.Helper()
		w.accepts(t, sign(t, one, payload))
		for i := range byte(100) {
			w.refuses(t, sign(t, key(t, 100+i), payload))
		}
		w.hasAsked(t, 1)
		w.publish(one, two)
		w.clock.add(time.Minute - 1)
		w.refuses(t, sign(t, two, payload))
		w.hasAsked(t, 1)
		w.clock.add(1)
		w.accepts(t, sign(t, two, payload)) // it waits for the fetch
		w.hasAsked(t, 2)
		for i := range byte(100) {
			w.refuses(t, sign(t, key(t, 100+i), payload))
		}
		w.hasAsked(t, 2)
		w.fails()
		w.clock.add(time.Minute)
		for i := range byte(100) {
			w.refuses(t, sign(t, key(t, 100+i), payload)) // the keys that are there are new enough to say so
		}
		w.accepts(t, sign(t, two, payload))
		w.hasAsked(t, 3)
	}, one)
}

// An answer that brings no key changes nothing.
func TestAnswersWithoutKeys(t *testing.T) {
	k := key(t, 1)
	good := string(token.JWKS([]token.Key{k}))
	answers := map[string]http.HandlerFunc{
		"404": http.NotFound,
		"204": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"203": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNonAuthoritativeInfo)
			_, _ = io.WriteString(w, good)
		},
		"an error with keys": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, good)
		},
		"a cut answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, good)
		},
		"hung up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	}
	for name, set := range map[string]string{
		"nothing": "", "HTML": "<html>", "no set": "{}", "an empty set": `{"keys":[]}`, "a secret": `{"keys":[{"kty":"oct","k":"AAAA"}]}`, "twice": `{"keys":[],` + good[1:],
		"too long": strings.Repeat(" ", 64<<10) + good, "by a byte": good + strings.Repeat(" ", 64<<10+1-len(good)), "endless": strings.Repeat(" ", 1<<20),
	} {
		answers[name] = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, set) }
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, k)
			text := sign(t, k, payload)
			w.does(answer)
			w.cannot(t, text)
			w.clock.add(5 * time.Second)
			w.publish(k)
			w.accepts(t, text)
			w.does(answer)
			w.clock.add(5 * time.Minute)
			w.accepts(t, text)
			settles(t, func() bool { return strings.Count(w.log.String(), "could not be fetched") == 2 })
			w.accepts(t, text)
		})
	}
	w := newWorld(t)
	w.cannot(t, sign(t, k, payload))
	assert.Contains(t, w.log.String(), "the issuer's set has no key for our tokens", "as where it signs with HMAC")
	w = newWorld(t, k)
	w.serves(good+strings.Repeat(" ", 64<<10-len(good)), "")
	w.accepts(t, sign(t, k, payload)) // 64 KiB are not too long
}

// A redirect is followed on the issuer's own host alone: whoever could have it point
// elsewhere could make tokens.
//
// ASVS: 15.3.2.
func TestRedirects(t *testing.T) {
	k, forged := key(t, 1), key(t, 2)
	evil := newIssuer(t, forged)
	for name, test := range map[string]struct {
		to func(*issuer) string
		ok bool
	}{
		"same host":      {func(i *issuer) string { return i.url + "?there" }, true},
		"a path":         {func(*issuer) string { return "/jwks.json?there" }, true},
		"another host":   {func(*issuer) string { return evil.url }, false},
		"another name":   {func(i *issuer) string { return strings.Replace(i.url, "127.0.0.1", "localhost", 1) + "?there" }, false},
		"another scheme": {func(i *issuer) string { return strings.Replace(i.url, "http:", "https:", 1) + "?there" }, false},
		"a loop":         {func(i *issuer) string { return i.url }, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, k)
			to := test.to(w.issuer)
			w.does(func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.RawQuery == "there" {
					_, _ = rw.Write(token.JWKS([]token.Key{k}))
					return
				}
				http.Redirect(rw, r, to, http.StatusFound)
			})
			w.Verifier = w.another(t, func(c *verify.Config) { // whatever the client thinks of it
				c.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}
			})
			if test.ok {
				w.accepts(t, sign(t, k, payload))
			} else {
				w.cannot(t, sign(t, forged, payload))
			}
			assert.LessOrEqual(t, w.asked.Load(), int32(5))
		})
	}
	assert.Zero(t, evil.asked.Load())

	w := newWorld(t)
	w.Verifier = w.another(t, func(c *verify.Config) {
		c.JWKSURL = "https://app.example.com/jwks.json"
		c.Client = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			rec := httptest.NewRecorder()
			if r.URL.Scheme == "https" {
				http.Redirect(rec, r, "http://app.example.com/jwks.json", http.StatusFound)
			} else {
				_, _ = rec.Write(token.JWKS([]token.Key{forged}))
			}
			return rec.Result(), nil
		})}
	})
	w.cannot(t, sign(t, forged, payload)) // from https to http
}

// The log says why a fetch failed, without the URL: its query may be a secret.
func TestTheLogHoldsNoURL(t *testing.T) {
	w := newWorld(t)
	w.Verifier = w.another(t, func(c *verify.Config) { c.JWKSURL = "http://127.0.0.1:1/jwks?secret" })
	_, err := w.Verify(t.Context(), sign(t, key(t, 1), payload))
	require.ErrorIs(t, err, verify.ErrKeysUnavailable)
	assert.NotContains(t, err.Error()+w.log.String(), "secret")
	assert.Contains(t, w.log.String(), "connection refused")
}

// A client that panics has failed; the process goes on, and so does the Verifier.
func TestClientsThatPanic(t *testing.T) {
	k := key(t, 1)
	w := newWorld(t, k)
	bad := true
	w.Verifier = w.another(t, func(c *verify.Config) {
		c.Client = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			if bad {
				panic("a fault of the host's")
			}
			return http.DefaultTransport.RoundTrip(r)
		})}
	})
	w.cannot(t, sign(t, k, payload))
	bad = false
	w.clock.add(5 * time.Second)
	w.accepts(t, sign(t, k, payload))
}

// A fetch takes 5 seconds at most, whatever the client's own limit, and leaves no goroutine.
func TestFetchesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		v, err := verify.New(verify.Config{JWKSURL: "https://app.example.com/jwks.json", Client: &http.Client{
			Transport: transport(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}),
		}})
		require.NoError(t, err)
		begin := time.Now()
		_, err = v.Verify(t.Context(), sign(t, key(t, 1), payload))
		require.ErrorIs(t, err, verify.ErrKeysUnavailable)
		assert.Equal(t, 5*time.Second, time.Since(begin))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = v.Verify(ctx, sign(t, key(t, 1), payload))
		require.ErrorIs(t, err, verify.ErrKeysUnavailable)
		assert.Equal(t, time.Second, time.Since(begin)-5*time.Second)
		time.Sleep(4 * time.Second)
	}) // it fails if a goroutine is left
}

// A clock that was ahead when the keys were fetched, and was put back, keeps none for longer.
func TestClocksThatArePutBack(t *testing.T) {
	k := key(t, 1)
	inBubble(t, func(t *testing.T, w *world) {
		t.Helper()
		w.clock.add(365 * 24 * time.Hour)
		w.refuses(t, sign(t, k, payload)) // expired by that clock
		w.clock.add(-365 * 24 * time.Hour)
		w.accepts(t, sign(t, k, payload))
		w.hasAsked(t, 2)
		w.accepts(t, sign(t, k, payload))
		w.hasAsked(t, 2)
	}, k)
}

func TestVerifierIsSafeForConcurrentUse(t *testing.T) {
	one, two := key(t, 1), key(t, 2)
	w := newWorld(t, one, two)
	texts := []string{sign(t, one, payload), sign(t, two, payload)}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 50 {
				if i == 0 && n%10 == 0 {
					w.clock.add(time.Minute)
					w.publish(two, one)
				}
				_, err := w.Verify(t.Context(), texts[n%2])
				assert.NoError(t, err)
			}
		})
	}
	wg.Wait()
}
