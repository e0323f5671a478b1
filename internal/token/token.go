// Package token is the codec of the library's JSON Web Tokens (RFC 7519) in JWS compact
// form (RFC 7515). It knows every header that it can meet, because it made them all: an
// encoded header segment is looked up byte for byte, and names the method and the key.
// So alg, kid, jku, crit or zip in a foreign header never mean anything.
package token

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// MaxSize is the length in bytes of the longest token that Verify looks at.
const MaxSize = 8 << 10

var (
	// ErrMalformed says that the text is no JWS in compact form of at most MaxSize bytes.
	ErrMalformed = errors.New("token: malformed")

	// ErrSignature says that no key of the Codec made the token.
	ErrSignature = errors.New("token: invalid signature")
)

// Key signs tokens and verifies what it signed.
type Key struct {
	ID      string            // the header's kid
	Method  jwt.SigningMethod // the header's alg
	Private any               // what Method signs with; nil: nothing does
	Public  any               // what Method verifies with
}

// Codec signs and verifies tokens of one type. It is safe for concurrent use. It holds
// its keys by pointers, of which fmt shows the addresses alone.
type Codec struct {
	header string // of new tokens, encoded
	signer *Key
	keys   map[string]*Key // by encoded header
}

// New returns a Codec for tokens of the type typ, the header's typ. The first key signs,
// all of them verify. Two keys of one ID and method are an error, and so is none.
func New(typ string, keys []Key) (*Codec, error) {
	if len(keys) == 0 {
		return nil, errors.New("token: no keys")
	}
	c := &Codec{keys: make(map[string]*Key, len(keys))}
	for i, k := range keys {
		header, err := encodeHeader(typ, k)
		if err != nil {
			return nil, err
		}
		if _, ok := c.keys[header]; ok {
			return nil, fmt.Errorf("token: key %d stands there twice", i+1)
		}
		c.keys[header] = &k
		if i == 0 {
			c.header, c.signer = header, &k
		}
	}
	return c, nil
}

func encodeHeader(typ string, k Key) (string, error) {
	header, err := json.Marshal(struct {
		Alg string `json:"alg"`
		Kid string `json:"kid"`
		Typ string `json:"typ"`
	}{k.Method.Alg(), k.ID, typ})
	if err != nil {
		return "", fmt.Errorf("token: header: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(header), nil
}

// Sign returns the token whose payload is claims, as they are. A token longer than MaxSize
// is an error, since Verify would refuse it.
func (c *Codec) Sign(claims []byte) (string, error) {
	signed := c.header + "." + base64.RawURLEncoding.EncodeToString(claims)
	signature, err := c.signer.Method.Sign(signed, c.signer.Private)
	if err != nil {
		return "", fmt.Errorf("token: sign: %w", err)
	}
	token := signed + "." + base64.RawURLEncoding.EncodeToString(signature)
	if len(token) > MaxSize {
		return "", fmt.Errorf("token: it would have %d bytes, more than %d", len(token), MaxSize)
	}
	return token, nil
}

// Verify returns the payload of a token that Sign could have made with one of the keys,
// else ErrMalformed or ErrSignature. Of the payload nothing is read before its signature
// is verified, and nothing at all here: its times and names are the caller's to check.
func (c *Codec) Verify(token string) ([]byte, error) {
	if len(token) > MaxSize {
		return nil, ErrMalformed
	}
	header, payload, signature, ok := split(token)
	if !ok {
		return nil, ErrMalformed
	}
	key, ok := c.keys[header]
	if !ok {
		return nil, ErrSignature
	}
	mac, err := decode(signature)
	if err != nil {
		return nil, ErrSignature
	}
	if key.Method.Verify(token[:len(header)+1+len(payload)], mac, key.Public) != nil {
		return nil, ErrSignature
	}
	claims, err := decode(payload)
	if err != nil {
		return nil, ErrMalformed
	}
	return claims, nil
}

// split cuts a token into its three segments, none of them empty, each of base64url's
// alphabet: Go's decoder would skip line breaks.
func split(token string) (header, payload, signature string, ok bool) {
	header, rest, _ := strings.Cut(token, ".")
	payload, signature, _ = strings.Cut(rest, ".")
	for _, segment := range [...]string{header, payload, signature} {
		if segment == "" || !isBase64URL(segment) {
			return "", "", "", false
		}
	}
	return header, payload, signature, true
}

func isBase64URL(s string) bool {
	for i := range len(s) {
		b := s[i]
		if ('A' > b || b > 'Z') && ('a' > b || b > 'z') && ('0' > b || b > '9') && b != '-' && b != '_' {
			return false
		}
	}
	return true
}

// decode is strict: of the variants of a last character only the canonical one passes.
func decode(segment string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(segment)
	if err != nil {
		return nil, fmt.Errorf("token: base64url: %w", err)
	}
	return b, nil
}
