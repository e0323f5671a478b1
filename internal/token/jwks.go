package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"math/big"
	"slices"

	"github.com/ostiary/auth/internal/strictjson"
)

// JWKS is the set of the keys' public parts (RFC 7517, section 5), in their order. HMAC
// keys have none: of those alone the set is empty.
func JWKS(keys []Key) []byte {
	type publicKey struct {
		jwk

		Kid string `json:"kid"`
		Alg string `json:"alg"`
		Use string `json:"use"`
	}
	set := struct {
		Keys []publicKey `json:"keys"`
	}{[]publicKey{}}
	for _, k := range keys {
		if method, members, err := describe(k.Public); err == nil {
			set.Keys = append(set.Keys, publicKey{members, k.ID, method.Alg(), "sig"})
		}
	}
	b, _ := json.Marshal(set) // strings always encode
	return b
}

// ErrJWKS says that the text is no JSON Web Key Set.
var ErrJWKS = errors.New("token: not a JSON Web Key Set")

// ParseJWKS returns those keys of a set that can verify our tokens, each once; they may be
// none. It skips what RFC 7517, section 5, wants skipped: keys of other types, secrets and
// private keys, keys for something else than to verify signatures by their type's one
// algorithm (sections 4.2 to 4.4), and keys that PublicKey refuses. It reads no kid: a
// key's ID is its thumbprint, so that no two keys have one, whatever the set says. The
// error is ErrJWKS.
func ParseJWKS(data []byte) ([]Key, error) {
	if _, err := strictjson.Parse(data, "keys"); err != nil { // no name stands twice, at any depth
		return nil, ErrJWKS
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil || set.Keys == nil {
		return nil, ErrJWKS
	}
	var keys []Key
	for _, text := range set.Keys {
		k, ok := parseJWK(text)
		if ok && !slices.ContainsFunc(keys, func(other Key) bool { return other.ID == k.ID }) {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

func parseJWK(text []byte) (Key, bool) {
	object, err := strictjson.Parse(text, "kty", "crv", "x", "y", "n", "e", "alg", "use", "d", "key_ops")
	if err != nil || object.Has("d") || object.Has("key_ops") && !mayVerify(text) {
		return Key{}, false
	}
	k, err := PublicKey(publicPart(object))
	if err != nil || !isOrAbsent(object, "alg", k.Method.Alg()) || !isOrAbsent(object, "use", "sig") {
		return Key{}, false
	}
	return k, true
}

// mayVerify says whether key_ops has the operation (RFC 7517, section 4.3). That no name
// stands in the text twice, nor in another case, is known already.
func mayVerify(text []byte) bool {
	var key struct {
		Ops []string `json:"key_ops"`
	}
	return json.Unmarshal(text, &key) == nil && slices.Contains(key.Ops, "verify")
}

func isOrAbsent(o strictjson.Object, name, want string) bool {
	s, _ := o.String(name)
	return s == want || !o.Has(name)
}

// publicPart is the key, or nil if it is none.
func publicPart(o strictjson.Object) crypto.PublicKey {
	kty, _ := o.String("kty")
	crv, _ := o.String("crv")
	switch {
	case kty == "OKP" && crv == "Ed25519":
		return ed25519.PublicKey(octets(o, "x"))
	case kty == "EC" && crv == "P-256":
		x, y := octets(o, "x"), octets(o, "y")
		if len(x) != coordinate || len(y) != coordinate {
			return nil
		}
		k, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
		if err != nil {
			return nil
		}
		return k
	case kty == "RSA":
		n, e := octets(o, "n"), octets(o, "e")
		if len(n) == 0 || n[0] == 0 || len(e) == 0 || e[0] == 0 || len(e) > 4 { // RFC 7518, section 2: as few as will do
			return nil
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	default:
		return nil
	}
}

// octets are a member's bytes, nil if it is not base64url in its canonical form.
func octets(o strictjson.Object, name string) []byte {
	s, _ := o.String(name)
	b, err := decode(s)
	if err != nil || !isBase64URL(s) {
		return nil
	}
	return b
}
