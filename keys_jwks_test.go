package auth_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// jwkSet is a key set as a client reads it.
type jwkSet struct {
	Keys []map[string]string `json:"keys"`
}

// getJWKS asks for the key set.
func getJWKS(t *testing.T, h http.Handler, path string, headers ...string) reply {
	t.Helper()
	return direct(t, h, newRequest(t, http.MethodGet, path, "", headers...))
}

// The set holds the public part of every access key, those that only verify too, and
// nothing of the HMAC keys among them.
func TestJWKS(t *testing.T) {
	all := signers(t)
	w := onMemory(t, func(c *auth.Config) {
		c.Tokens.AccessKeys = []auth.Key{
			auth.SignerKey(all["ES256"]), auth.HMACKey([]byte(accessSecret)), auth.SignerKey(all["EdDSA"]), auth.SignerKey(all["RS256"]),
		}
	})
	got := getJWKS(t, w.Handler("/api"), "/api/jwks.json")
	assert.Equal(t, http.StatusOK, got.status)
	assert.Equal(t, "application/jwk-set+json", got.header.Get("Content-Type"))
	assert.Equal(t, "public, max-age=300", got.header.Get("Cache-Control"))
	assert.Equal(t, string(w.JWKS()), got.body)
	set := decodeJSON[jwkSet](t, got.body)
	require.Len(t, set.Keys, 3)
	for i, want := range []struct{ alg, members string }{{"ES256", "alg crv kid kty use x y"}, {"EdDSA", "alg crv kid kty use x"}, {"RS256", "alg e kid kty n use"}} {
		key := set.Keys[i]
		assert.Equal(t, want.alg, key["alg"])
		assert.Equal(t, "sig", key["use"])
		assert.Len(t, key, len(strings.Fields(want.members)))
		for name := range strings.FieldsSeq(want.members) {
			assert.NotEmpty(t, key[name], name)
		}
	}
	assertNoSecrets(t, got.body, append(secretsOf(accessSecret), keyID(accessSecret)))

	w.signUp(t, ann)
	header := decodeJSON[map[string]string](t, segmentOf(t, w.logIn(t, ann).AccessToken, 0))
	assert.Equal(t, map[string]string{"alg": "ES256", "kid": set.Keys[0]["kid"], "typ": "at+jwt"}, header)
}

func TestJWKSOfHMACKeysIsEmpty(t *testing.T) {
	w := onMemory(t)
	assert.Equal(t, `{"keys":[]}`, string(w.JWKS()))
	assert.Equal(t, `{"keys":[]}`, getJWKS(t, w.Handler(""), "/jwks.json").body)
}

func TestJWKSIsACopy(t *testing.T) {
	w := onMemory(t, signedBy(ed25519Signer(0)))
	want := string(w.JWKS())
	clear(w.JWKS())
	assert.Equal(t, want, string(w.JWKS()))
}

// Caches ask whether their copy is still the one (RFC 9110, section 13.1.2).
func TestJWKSIsCached(t *testing.T) {
	w := onMemory(t, signedBy(ed25519Signer(0)))
	h := w.Handler("")
	tag := getJWKS(t, h, "/jwks.json").header.Get("ETag")
	require.Regexp(t, `^"[\w-]{22}"$`, tag)
	for _, same := range []string{tag, "W/" + tag, `"x", ` + tag, tag + `,"x"`, "*"} {
		got := getJWKS(t, h, "/jwks.json", "If-None-Match", same)
		assert.Equal(t, http.StatusNotModified, got.status, same)
		assert.Empty(t, got.body)
		assert.Equal(t, tag, got.header.Get("ETag"))
		assert.Equal(t, "public, max-age=300", got.header.Get("Cache-Control"))
		assert.Empty(t, got.header.Get("Content-Type"))
	}
	for _, other := range []string{"", `"x"`, strings.Trim(tag, `"`), tag[:22], "W/*"} {
		assert.Equal(t, http.StatusOK, getJWKS(t, h, "/jwks.json", "If-None-Match", other).status, other)
	}
	assert.Equal(t, tag, getJWKS(t, w.another(t, signedBy(ed25519Signer(0))).Handler(""), "/jwks.json").header.Get("ETag"), "every instance's is the same")
	changed := w.another(t, signedBy(ed25519Signer(0), ed25519Signer(1))).Handler("")
	assert.Equal(t, http.StatusOK, getJWKS(t, changed, "/jwks.json", "If-None-Match", tag).status, "another set")

	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	res, err := http.DefaultTransport.RoundTrip(newRequest(t, http.MethodGet, s.URL+"/jwks.json", "", "If-None-Match", tag))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	assert.Equal(t, http.StatusNotModified, res.StatusCode, "over the network")
}

// Whoever asks gets the keys: without a token, with a bad one, from another origin, and
// in the tutorial mode.
func TestJWKSIsPublic(t *testing.T) {
	for name, edit := range map[string]func(*auth.Config){
		"plain": func(*auth.Config) {}, "cookies": withCookies, "tutorial": func(c *auth.Config) { c.InsecureTutorialMode = true },
	} {
		w := onMemory(t, signedBy(ed25519Signer(0)), edit)
		for _, headers := range [][]string{nil, {"Authorization", "Bearer x"}, {"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, {"Cookie", "__Host-auth-access=x"}} {
			got := getJWKS(t, w.Handler(""), "/jwks.json", headers...)
			assert.Equal(t, http.StatusOK, got.status, name)
			assert.True(t, json.Valid([]byte(got.body)))
			assertNoCookies(t, got)
		}
	}
}
