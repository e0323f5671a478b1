package auth_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// keyKinds are two keys of each kind, the old one and the new one, with the list that they
// belong in.
func keyKinds() map[string]struct {
	set      func(*auth.Config, ...auth.Key)
	old, new auth.Key
} {
	access := func(c *auth.Config, keys ...auth.Key) { c.Tokens.AccessKeys = keys }
	refresh := func(c *auth.Config, keys ...auth.Key) { c.Tokens.RefreshKeys = keys }
	ed := func(seed byte) auth.Key { return auth.SignerKey(ed25519Signer(seed)) }
	return map[string]struct {
		set      func(*auth.Config, ...auth.Key)
		old, new auth.Key
	}{
		"access, HMAC":            {access, ring(accessSecret)[0], ring(newSecret)[0]},
		"access, Ed25519":         {access, ed(0), ed(1)},
		"access, HMAC to Ed25519": {access, ring(accessSecret)[0], ed(1)},
		"refresh, HMAC":           {refresh, ring(refreshSecret)[0], ring(newSecret)[0]},
	}
}

// Two instances behind a load balancer are deployed one after the other, three times:
// append, move to the front, remove. At every moment each token that has not expired is
// accepted by both, whoever gave it out and when, and no session ends.
//
// ASVS: 11.2.2.
func TestRotationOnTwoInstances(t *testing.T) {
	for name, kind := range keyKinds() {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, w *world) {
				id := w.signUp(t, ann)
				with := func(keys ...auth.Key) *auth.Authenticator {
					return w.another(t, func(c *auth.Config) { kind.set(c, keys...) })
				}
				instances := [2]*auth.Authenticator{with(kind.old), with(kind.old)}
				r := rotation{w: w, id: id}
				r.step(t, instances)
				for _, list := range [][]auth.Key{{kind.old, kind.new}, {kind.new, kind.old}, {kind.new}} {
					if len(list) == 1 { // the access tokens of the old key have expired by then
						w.advance(20*time.Minute + 30*time.Second)
						r.access = nil
					}
					for i := range instances {
						instances[i] = with(list...)
						r.step(t, instances)
					}
				}
			})
		})
	}
}

// rotation is what clients hold while keys are replaced.
type rotation struct {
	w        *world
	id       auth.UserID
	access   []string      // access tokens that were given out
	sessions []auth.Tokens // sessions at their current token
}

// step has every instance accept what there is, and give out more of it.
func (r *rotation) step(t *testing.T, instances [2]*auth.Authenticator) {
	t.Helper()
	r.w.advance(time.Minute + time.Second) // no retry within Grace, no limit
	for _, a := range instances {
		tokens, err := a.StartSession(t.Context(), r.id, auth.Client{})
		require.NoError(t, err)
		r.sessions = append(r.sessions, tokens)
		r.access = append(r.access, tokens.AccessToken)
	}
	for _, a := range instances {
		for _, token := range r.access {
			_, err := a.Verify(token)
			require.NoError(t, err)
		}
		for i := range r.sessions {
			next, err := a.Refresh(t.Context(), r.sessions[i].RefreshToken, auth.Client{})
			require.NoError(t, err)
			r.sessions[i] = next
			r.access = append(r.access, next.AccessToken)
		}
	}
}

// With one of the three deploys left out somebody is refused.
func TestRotationsThatSkipADeploy(t *testing.T) {
	for name, kind := range keyKinds() {
		t.Run(name, func(t *testing.T) {
			w := onMemory(t)
			id := w.signUp(t, ann)
			accepts := func(mints, verifies []auth.Key) bool {
				with := func(keys []auth.Key) *auth.Authenticator {
					return w.another(t, func(c *auth.Config) { kind.set(c, keys...) })
				}
				tokens, err := with(mints).StartSession(t.Context(), id, auth.Client{})
				require.NoError(t, err)
				_, errAccess := with(verifies).Verify(tokens.AccessToken)
				_, errRefresh := with(verifies).Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
				return errAccess == nil && errRefresh == nil
			}
			old, both, front, last := []auth.Key{kind.old}, []auth.Key{kind.old, kind.new}, []auth.Key{kind.new, kind.old}, []auth.Key{kind.new}
			assert.False(t, accepts(front, old), "without the first: an instance does not know the new key yet")
			assert.False(t, accepts(both, last), "without the second: the old key still signs when it is removed")
		})
	}
}
