package auth_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// ring is a list of HMAC keys.
func ring(secrets ...string) []auth.Key {
	keys := make([]auth.Key, len(secrets))
	for i, s := range secrets {
		keys[i] = auth.HMACKey([]byte(s))
	}
	return keys
}

const newSecret = "a new secret of tests, 32 bytes and more"

// An old key gives way to a new one in three deploys: append, move to the front, remove.
// Meanwhile instances of two deploys run side by side, and each accepts the other's
// tokens and its own, old ones and new ones.
//
// ASVS: 11.2.2.
func TestKeyRotationInThreeDeploys(t *testing.T) {
	for kind, set := range map[string]func(secrets ...string) func(*auth.Config){
		"access": func(secrets ...string) func(*auth.Config) {
			return func(c *auth.Config) { c.Tokens.AccessKeys = ring(secrets...) }
		},
		"refresh": func(secrets ...string) func(*auth.Config) {
			return func(c *auth.Config) { c.Tokens.RefreshKeys = ring(secrets...) }
		},
	} {
		t.Run(kind, func(t *testing.T) {
			old := map[string]string{"access": accessSecret, "refresh": refreshSecret}[kind]
			w := onMemory(t)
			id := w.signUp(t, "ann@example.com")
			deploys := []*auth.Authenticator{
				w.another(t, set(old)),
				w.another(t, set(old, newSecret)),
				w.another(t, set(newSecret, old)),
				w.another(t, set(newSecret)),
			}
			for i := range len(deploys) - 1 {
				side := deploys[i : i+2]
				for _, mints := range side {
					for _, verifies := range side {
						assertAccepts(t, mints, verifies, id)
					}
				}
			}

			// Why not at once: who does not know the new key yet refuses its tokens. And a
			// key that was removed is gone.
			for _, refuses := range []struct{ mints, verifies *auth.Authenticator }{
				{deploys[2], deploys[0]}, {deploys[3], deploys[0]}, {deploys[0], deploys[3]}, {deploys[1], deploys[3]},
			} {
				tokens, err := refuses.mints.StartSession(t.Context(), id, auth.Client{})
				require.NoError(t, err)
				if kind == "access" {
					_, err = refuses.verifies.Verify(tokens.AccessToken)
				} else {
					_, err = refuses.verifies.Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
				}
				require.ErrorIs(t, err, auth.ErrTokenSignature)
			}
		})
	}
}

// assertAccepts has one instance start a session and another use its tokens.
func assertAccepts(t *testing.T, mints, verifies *auth.Authenticator, id auth.UserID) {
	t.Helper()
	tokens, err := mints.StartSession(t.Context(), id, auth.Client{})
	require.NoError(t, err)
	_, err = verifies.Verify(tokens.AccessToken)
	require.NoError(t, err)
	next, err := verifies.Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
	require.NoError(t, err)
	_, err = mints.Verify(next.AccessToken)
	require.NoError(t, err)
	_, err = mints.Refresh(t.Context(), next.RefreshToken, auth.Client{})
	require.NoError(t, err)
}

// The first key signs, wherever the others stand.
func TestTheFirstKeySigns(t *testing.T) {
	w := onMemory(t)
	id := w.signUp(t, "ann@example.com")
	third := "a third secret of tests, 32 bytes and more"
	for _, secrets := range [][]string{{newSecret, accessSecret, third}, {newSecret, third, accessSecret}, {third, newSecret}, {accessSecret}} {
		a := w.another(t, func(c *auth.Config) { c.Tokens.AccessKeys = ring(secrets...) })
		tokens, err := a.StartSession(t.Context(), id, auth.Client{})
		require.NoError(t, err)
		payload := segmentOf(t, tokens.AccessToken, 1)
		assert.Equal(t, jws(secrets[0], headerOf(secrets[0], "at+jwt"), payload), tokens.AccessToken)
		for _, s := range secrets {
			_, err := a.Verify(jws(s, headerOf(s, "at+jwt"), payload))
			require.NoError(t, err)
			_, err = a.Verify(jws(secrets[0], headerOf(s, "at+jwt"), payload))
			assert.Equal(t, s != secrets[0], err != nil, "the header names the key")
		}
	}
}

// A session outlives its keys: whose refresh tokens no key verifies any more logs in
// again, and the session of another key's token goes on.
//
// ASVS: 9.1.3.
func TestTokensOfRemovedKeys(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, "ann@example.com")
		tokens := w.logIn(t, "ann@example.com")
		removed := w.another(t, func(c *auth.Config) {
			c.Tokens.AccessKeys, c.Tokens.RefreshKeys = ring(newSecret), ring("another "+newSecret)
		})
		before := w.row(t, tokens.SessionID)
		_, err := removed.Verify(tokens.AccessToken)
		require.ErrorIs(t, err, auth.ErrTokenSignature)
		_, err = removed.Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
		require.ErrorIs(t, err, auth.ErrTokenSignature)
		require.ErrorIs(t, removed.Logout(t.Context(), tokens.RefreshToken), auth.ErrTokenSignature)
		assert.Equal(t, before, w.row(t, tokens.SessionID))
		_, err = w.Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
		require.NoError(t, err)
	})
}
