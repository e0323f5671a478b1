package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"

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
	secret func() []byte
}

// HMACKey is a key for HS256. The secret is random, at least 32 bytes of it, and known
// to nobody but the instances of this service; it is copied.
func HMACKey(secret []byte) Key {
	secret = slices.Clone(secret)
	return Key{func() []byte { return secret }}
}

// bytes is the secret, nil for the zero Key.
func (k Key) bytes() []byte {
	if k.secret == nil {
		return nil
	}
	return k.secret()
}

// Format writes no part of the key, whatever the verb.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "auth.Key{REDACTED}") }

// LogValue holds no part of the key.
func (Key) LogValue() slog.Value { return slog.StringValue("REDACTED") }

// effective is the part of the secret that counts: HMAC pads a key with zeros itself, so
// that zeros at its end make no other key (RFC 2104, section 2).
func (k Key) effective() []byte { return bytes.TrimRight(k.bytes(), "\x00") }

func (k Key) equal(other Key) bool {
	return subtle.ConstantTimeCompare(k.effective(), other.effective()) == 1
}

// check says what is wrong with the key, without a part of it.
func (k Key) check() error {
	for _, s := range publishedSecrets {
		if k.equal(HMACKey([]byte(s))) {
			return errors.New("is a secret that the tutorial published: make a random one")
		}
	}
	if n := len(k.bytes()); n < minHMACKey {
		return fmt.Errorf("has %d bytes, fewer than %d: make a random one", n, minHMACKey)
	}
	if n := len(k.effective()); n < minHMACKey-maxZeros {
		return fmt.Errorf("has %d bytes and then zeros alone: make a random one", n)
	}
	return nil
}

// codecKey is the key for the codec. Its ID is made by HMAC from a label, since the
// thumbprint of a secret (RFC 7638, section 7) would tell a guess of it from the secret.
func (k Key) codecKey() token.Key {
	mac := hmac.New(sha256.New, k.bytes())
	mac.Write([]byte("github.com/ostiary/auth key id"))
	return token.Key{
		ID:      base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:8]),
		Method:  jwt.SigningMethodHS256,
		Private: k.bytes(),
		Public:  k.bytes(),
	}
}

// newCodec makes the codec for one type of token. name is the option's, for the errors.
func newCodec(name, typ string, keys []Key) (*token.Codec, error) {
	if len(keys) == 0 {
		return nil, fmt.Errorf("auth: Config.Tokens.%s is empty: it needs a random key of %d bytes at least", name, minHMACKey)
	}
	var problems []error
	codecKeys := make([]token.Key, len(keys))
	for i, k := range keys {
		if err := k.check(); err != nil {
			problems = append(problems, fmt.Errorf("auth: Config.Tokens.%s[%d] %w", name, i, err))
		}
		for j, other := range keys[:i] {
			if k.equal(other) {
				problems = append(problems, fmt.Errorf("auth: Config.Tokens.%s[%d] equals [%d]", name, i, j))
			}
		}
		codecKeys[i] = k.codecKey()
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	codec, err := token.New(typ, codecKeys)
	if err != nil {
		return nil, fmt.Errorf("auth: Config.Tokens.%s: %w", name, err)
	}
	return codec, nil
}
