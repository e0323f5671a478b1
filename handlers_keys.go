package auth

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// jwksMaxAge is how many seconds a key set may be cached: the deploys that replace a key
// must be farther apart than that, or a verifier meets tokens of a key that it does not
// know yet.
const jwksMaxAge = 300

// JWKS returns the public parts of the access keys, a JSON Web Key Set (RFC 7517), as
// GET /jwks.json does. HMAC keys have none: of those alone the set is {"keys":[]}.
func (a *Authenticator) JWKS() []byte { return slices.Clone(a.codecs.jwks) }

// handleJWKS answers as RFC 7517, section 8.5, names the type, and lets caches keep the
// answer: the keys are public, and every service asks for them.
func (a *Authenticator) handleJWKS(w http.ResponseWriter, r *http.Request) {
	sum := sha256.Sum256(a.codecs.jwks)
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
	h := w.Header()
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(jwksMaxAge))
	h.Set("ETag", tag)
	h.Set("X-Content-Type-Options", "nosniff")
	if matches(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", "application/jwk-set+json")
	h.Set("Content-Length", strconv.Itoa(len(a.codecs.jwks)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(a.codecs.jwks) // the client hung up: nobody is left to tell
}

// matches says whether If-None-Match names the tag, which holds no comma (RFC 9110,
// section 13.1.2).
func matches(values []string, tag string) bool {
	for _, value := range values {
		for candidate := range strings.SplitSeq(value, ",") {
			candidate = strings.TrimSpace(candidate)
			if candidate == "*" || strings.TrimPrefix(candidate, "W/") == tag {
				return true
			}
		}
	}
	return false
}
