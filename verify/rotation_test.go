package verify_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/token"
)

// While the issuer's two instances get a new key in three deploys, with the waits of
// docs/keys.md between, a service accepts every token that has not expired, whichever of
// the two gave it out and whichever it has the keys from.
func TestServicesDuringARotation(t *testing.T) {
	const (
		accessTTL = 20 * time.Minute
		leeway    = 30 * time.Second
		step      = 2 * time.Minute
		copies    = 10 * time.Minute // of the key set, in the service and before it
	)
	old, next := key(t, 1), key(t, 2)
	inBubble(t, func(t *testing.T, w *world) {
		t.Helper()
		instances := [2][]token.Key{{old}, {old}}
		asked := 0
		w.does(func(rw http.ResponseWriter, _ *http.Request) { // a load balancer takes turns
			asked++
			rw.Header().Set("Cache-Control", "public, max-age=300")
			_, _ = rw.Write(token.JWKS(instances[asked%2]))
		})
		mint := func(k token.Key) string {
			now := w.clock.Now()
			return sign(t, k, fmt.Sprintf(`{"iss":"auth","aud":"auth","sub":"42","iat":%[1]d,"exp":%[2]d,"jti":"a","sid":"0123456789abcdef0123456789abcdef","auth_time":%[1]d}`,
				now.Unix(), now.Add(accessTTL).Unix()))
		}
		type given struct {
			text    string
			expires time.Time
		}
		var tokens []given
		pass := func(d time.Duration) {
			for ; d > 0; d -= step {
				now := w.clock.Now()
				for _, list := range instances {
					tokens = append(tokens, given{mint(list[0]), now.Add(accessTTL + leeway)})
				}
				for _, g := range tokens {
					if now.Before(g.expires) {
						_, err := w.Verify(t.Context(), g.text)
						require.NoError(t, err, "after %s", now.Sub(time.Unix(start, 0)))
					}
				}
				w.clock.add(min(d, step))
			}
		}
		pass(step)
		for _, deploy := range []struct {
			list []token.Key
			wait time.Duration
		}{{[]token.Key{old, next}, copies}, {[]token.Key{next, old}, accessTTL + leeway}, {[]token.Key{next}, copies}} {
			for i := range instances {
				instances[i] = deploy.list
				pass(step)
			}
			pass(deploy.wait)
		}
		w.refuses(t, mint(old))
		w.accepts(t, mint(next))
	}, old)
}
