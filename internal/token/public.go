package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	"github.com/golang-jwt/jwt/v5"
)

// The bounds of RSA keys. Shorter ones are too weak (RFC 7518, section 3.3), longer ones
// take too long to verify; smaller exponents are refused by FIPS 186-5, section A.1.1.
const (
	minRSABits     = 2048
	maxRSABits     = 8192
	minRSAExponent = 1<<16 + 1
	maxRSAExponent = 1<<31 - 1
)

// thumbprintSize is the size in bytes of a thumbprint.
const thumbprintSize = sha256.Size

// coordinate is the size in bytes of P-256's field, and of its group.
const coordinate = 32

// PublicKey returns the Key that verifies what the holder of pub's private part signed.
// The algorithm follows from pub: EdDSA for an [ed25519.PublicKey], ES256 for an
// [*ecdsa.PublicKey] on P-256, RS256 for an [*rsa.PublicKey] of 2,048 to 8,192 bits. Its ID
// is the SHA-256 thumbprint of RFC 7638, so that nobody chooses it. The error says what is
// wrong with the key, as the rest of a sentence about it.
func PublicKey(pub crypto.PublicKey) (Key, error) {
	method, members, err := describe(pub)
	if err != nil {
		return Key{}, err
	}
	return Key{ID: members.thumbprint(), Method: method, Public: pub}, nil
}

// jwk is the required members of a public JSON Web Key (RFC 7518, section 6; RFC 8037,
// section 2), in the order of their names.
type jwk struct {
	Crv string `json:"crv,omitempty"`
	E   string `json:"e,omitempty"`
	Kty string `json:"kty"`
	N   string `json:"n,omitempty"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
}

// thumbprint is what RFC 7638, section 3, makes of the required members: they stand in the
// order of their names, and no character of theirs needs an escape.
func (j jwk) thumbprint() string {
	b, _ := json.Marshal(j) // strings always encode
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func describe(pub crypto.PublicKey) (jwt.SigningMethod, jwk, error) {
	encode := base64.RawURLEncoding.EncodeToString
	switch k := pub.(type) {
	case ed25519.PublicKey:
		if len(k) != ed25519.PublicKeySize {
			return nil, jwk{}, fmt.Errorf("is an Ed25519 key of %d bytes, not %d", len(k), ed25519.PublicKeySize)
		}
		return jwt.SigningMethodEdDSA, jwk{Kty: "OKP", Crv: "Ed25519", X: encode(k)}, nil
	case *ecdsa.PublicKey:
		if k == nil || k.Curve != elliptic.P256() {
			return nil, jwk{}, errors.New("is an ECDSA key on another curve than P-256")
		}
		point, err := k.Bytes() // 4, x, y (SEC 1, section 2.3.3)
		if err != nil {
			return nil, jwk{}, fmt.Errorf("is no point of P-256: %w", err)
		}
		x, y := point[1:1+coordinate], point[1+coordinate:]
		return jwt.SigningMethodES256, jwk{Kty: "EC", Crv: "P-256", X: encode(x), Y: encode(y)}, nil
	case *rsa.PublicKey:
		if err := checkRSA(k); err != nil {
			return nil, jwk{}, err
		}
		return jwt.SigningMethodRS256, jwk{Kty: "RSA", N: encode(k.N.Bytes()), E: encode(big.NewInt(int64(k.E)).Bytes())}, nil
	default:
		return nil, jwk{}, fmt.Errorf("is of the type %T: it must be an Ed25519 key, an ECDSA key on P-256 or an RSA key", pub)
	}
}

func checkRSA(k *rsa.PublicKey) error {
	if k == nil || k.N == nil || k.N.Sign() <= 0 || k.N.Bit(0) == 0 {
		return errors.New("is an RSA key without an odd modulus")
	}
	if bits := k.N.BitLen(); bits < minRSABits || bits > maxRSABits {
		return fmt.Errorf("is an RSA key of %d bits: it must have %d to %d", bits, minRSABits, maxRSABits)
	}
	if k.E < minRSAExponent || k.E > maxRSAExponent || k.E%2 == 0 {
		return fmt.Errorf("is an RSA key with the exponent %d: it must be odd, from %d to %d", k.E, minRSAExponent, maxRSAExponent)
	}
	return nil
}
