package auth

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"

	"github.com/golang-jwt/jwt/v5"

	"github.com/ostiary/auth/internal/token"
)

// minHMACKey is the least length of an HMAC key in bytes: that of the hash (RFC 7518,
// section 3.2).
const minHMACKey = 32

// maxZeros is how many zeros a random key of minHMACKey bytes may end in by chance.
const maxZeros = 4

// publishedSecrets are what the Node tutorial prints in its .env, so that everybody has
// them.
var publishedSecrets = [...]string{ //nolint:gochecknoglobals // a table of constants
	"avSjekkd4526Dkeo586Dhjdsf52ba",
	"j82dDJKE3643LIEJ253DjEL35223dHek52ed",
}

// Key signs tokens. The zero Key is none: New refuses it. A Key redacts itself when it
// is printed or logged, also as a field of another value.
type Key struct {
	// A function, since fmt prints the unexported fields of whatever holds a Key without
	// calling Format, and shows nothing of a function but where it lies.
	codec func() (token.Key, error)
}

// HMACKey is a key for HS256. The secret is random, at least 32 bytes of it, and known
// to nobody but the instances of this service; it is copied.
func HMACKey(secret []byte) Key {
	secret = slices.Clone(secret)
	return Key{func() (token.Key, error) { return hmacKey(secret), checkSecret(secret) }}
}

// SignerKey is a key for access tokens alone whose public part is published at /jwks.json,
// so that other services can check tokens and cannot make them. The signer holds its
// private part: a key in memory, a KMS, an HSM. What the algorithm is follows from the
// signer's public part:
//
//   - Ed25519: EdDSA, an [crypto/ed25519.PrivateKey] for instance;
//   - ECDSA on P-256: ES256;
//   - RSA of 2,048 to 8,192 bits with an exponent of at least 65,537: RS256.
//
// New refuses any other. The signer must be safe for concurrent use. It signs at every
// login and refresh, once each, and knows nothing of their deadlines: one that goes over a
// network sets its own. While it fails, or returns what its public part does not verify,
// both fail with an error that Is ErrUnavailable, and a later try finds everything as it
// was; tokens that were given are still accepted.
//
// An ES256 signature has a second form that everybody can make of the first: what
// identifies such a token is its claim jti, [Claims.ID], not its text.
func SignerKey(s crypto.Signer) Key {
	return Key{sync.OnceValues(func() (token.Key, error) { return token.SignerKey(s) })}
}

// codecKey is the key for the codec, and what is wrong with it, without a part of it.
func (k Key) codecKey() (token.Key, error) {
	if k.codec == nil {
		return hmacKey(nil), checkSecret(nil)
	}
	return k.codec()
}

// bytes is the secret of an HMAC key, nil for any other.
func (k Key) bytes() []byte {
	key, _ := k.codecKey()
	secret, _ := key.Private.([]byte)
	return secret
}

// Format writes no part of the key, whatever the verb.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "auth.Key{REDACTED}") }

// LogValue holds no part of the key.
func (Key) LogValue() slog.Value { return slog.StringValue("REDACTED") }

// equal compares the keys' IDs. Those of HMAC keys are equal where HMAC takes the one
// secret for the other; those of signers, where their public parts are equal.
func (k Key) equal(other Key) bool {
	one, _ := k.codecKey()
	two, _ := other.codecKey()
	return one.ID == two.ID && one.ID != ""
}

// checkSecret says what is wrong with the secret of an HMAC key.
func checkSecret(secret []byte) error {
	// HMAC pads a key with zeros itself, so that those at its end make no other key
	// (RFC 2104, section 2).
	effective := bytes.TrimRight(secret, "\x00")
	for _, s := range publishedSecrets {
		if string(effective) == s {
			return errors.New("is a secret that the tutorial published: make a random one")
		}
	}
	if n := len(secret); n < minHMACKey {
		return fmt.Errorf("has %d bytes, fewer than %d: make a random one", n, minHMACKey)
	}
	if n := len(effective); n < minHMACKey-maxZeros {
		return fmt.Errorf("has %d bytes and then zeros alone: make a random one", n)
	}
	return nil
}

// hmacKey is the codec's key of a secret. Its ID is made by HMAC from a label, since the
// thumbprint of a secret (RFC 7638, section 7) would tell a guess of it from the secret.
func hmacKey(secret []byte) token.Key {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("github.com/ostiary/auth key id"))
	return token.Key{
		ID:      base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:8]),
		Method:  jwt.SigningMethodHS256,
		Private: secret,
		Public:  secret,
	}
}

// codecKeys are the keys of one list. name is the option's, for the errors.
func codecKeys(name string, keys []Key) ([]token.Key, error) {
	if len(keys) == 0 {
		return nil, fmt.Errorf("auth: Config.Tokens.%s is empty: it needs a random key of %d bytes at least", name, minHMACKey)
	}
	var problems []error
	out := make([]token.Key, len(keys))
	for i, k := range keys {
		var err error
		if out[i], err = k.codecKey(); err != nil {
			problems = append(problems, fmt.Errorf("auth: Config.Tokens.%s[%d] %w", name, i, err))
		}
		for j, other := range keys[:i] {
			if k.equal(other) {
				problems = append(problems, fmt.Errorf("auth: Config.Tokens.%s[%d] equals [%d]", name, i, j))
			}
		}
	}
	return out, errors.Join(problems...)
}

// checkRefreshKeys refuses signers: nobody but this service reads refresh tokens, so that
// a public key would serve nobody, and every refresh would wait for two signatures.
func checkRefreshKeys(keys []Key) error {
	var problems []error
	for i, k := range keys {
		if key, err := k.codecKey(); err == nil && key.Method.Alg() != jwt.SigningMethodHS256.Alg() {
			problems = append(problems, fmt.Errorf("auth: Config.Tokens.RefreshKeys[%d] is a SignerKey: refresh tokens take HMACKey alone", i))
		}
	}
	return errors.Join(problems...)
}
