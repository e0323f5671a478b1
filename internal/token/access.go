package token

import (
	"encoding/base64"
	"errors"
	"strings"
	"time"
)

// AccessType is the type of access tokens (RFC 9068, section 2.1).
const AccessType = "at+jwt"

// AccessNames are the names of an access token's claims that are ours: those of RFC 7519,
// section 4.1, and those that stand beside them.
var AccessNames = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "auth_time"} //nolint:gochecknoglobals // a table of constants

var (
	// ErrExpired says that a token's exp, and the leeway after it, have passed.
	ErrExpired = errors.New("token: expired")

	// ErrNotYet says that a token's nbf is later than the leeway allows.
	ErrNotYet = errors.New("token: not valid yet")
)

// AccessClaims is what a valid access token says. Its instants are whole seconds.
type AccessClaims struct {
	Subject   string
	SessionID [16]byte
	ID        string // jti
	IssuedAt  time.Time
	ExpiresAt time.Time
	AuthTime  time.Time
	Payload   string // all claims as they were signed
}

// AccessRules is what an access token must say.
type AccessRules struct {
	Issuer   string        // iss
	Audience string        // aud, which is one text
	Leeway   time.Duration // by how much clocks may differ
}

// VerifyAccess returns the claims of an access token that Verify accepts, that says what
// the rules want and whose times allow it now. Every claim of ours must be there, by its
// exact name and once, but nbf. The error is Verify's, ErrMalformed for claims that are
// missing, malformed or another issuer's or audience's, ErrNotYet or ErrExpired.
func (c *Codec) VerifyAccess(text string, rules AccessRules, now time.Time) (AccessClaims, error) {
	payload, err := c.Verify(text)
	if err != nil {
		return AccessClaims{}, err
	}
	r, err := ReadClaims(payload, AccessNames...)
	if err != nil {
		return AccessClaims{}, err
	}
	claims := AccessClaims{
		Subject:   r.Subject(),
		SessionID: r.SessionID(),
		ID:        r.Text("jti"),
		IssuedAt:  r.Instant("iat"),
		ExpiresAt: r.Instant("exp"),
		AuthTime:  r.Instant("auth_time"),
		Payload:   string(payload),
	}
	notBefore := now
	if r.Has("nbf") {
		notBefore = r.Instant("nbf")
	}
	if r.Text("iss") != rules.Issuer || r.Text("aud") != rules.Audience || !r.OK() {
		return AccessClaims{}, ErrMalformed
	}
	if now.Add(rules.Leeway).Before(notBefore) {
		return AccessClaims{}, ErrNotYet
	}
	if !now.Before(claims.ExpiresAt.Add(rules.Leeway)) {
		return AccessClaims{}, ErrExpired
	}
	return claims, nil
}

// Knows says whether the token's header is that of one of the keys.
func (c *Codec) Knows(text string) bool {
	header, _, _ := strings.Cut(text, ".")
	_, ok := c.keys[header]
	return ok
}

// MayBePublic says whether the text has the form of a token of the type typ whose header
// some public key would have, though it may be one that no Codec knows. Any text can be
// made to have it; other texts need no key to be refused.
func MayBePublic(text, typ string) bool {
	if len(text) > MaxSize {
		return false
	}
	segment, _, _, ok := split(text)
	if !ok {
		return false
	}
	header, err := decode(segment)
	if err != nil {
		return false
	}
	for _, alg := range [...]string{"EdDSA", "ES256", "RS256"} {
		kid, ok := strings.CutPrefix(string(header), `{"alg":"`+alg+`","kid":"`)
		if !ok {
			continue
		}
		kid, ok = strings.CutSuffix(kid, `","typ":"`+typ+`"}`)
		return ok && isBase64URL(kid) && len(kid) == base64.RawURLEncoding.EncodedLen(thumbprintSize)
	}
	return false
}
