package token

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// SignerKey returns the Key of a [crypto.Signer]: PublicKey of its public part, signing
// with the signer. The error is PublicKey's; a signer that is nil or whose Public panics,
// as that of a nil pointer in it does, is an error too.
//
// Each signature is verified before it is given out. So a signer that returns another
// key's signature, as a KMS does whose key was replaced, fails by itself and not at whoever
// gets the token; and a fault in its arithmetic does not leave the process, which would
// betray the key.
func SignerKey(s crypto.Signer) (k Key, err error) {
	if s == nil {
		return Key{}, errors.New("has no signer: it is nil")
	}
	defer func() {
		if p := recover(); p != nil {
			k, err = Key{}, fmt.Errorf("has a signer of the type %T whose Public panics", s)
		}
	}()
	k, err = PublicKey(s.Public())
	if err != nil {
		return Key{}, err
	}
	k.Method, k.Private = signerMethod{k.Method, k.Public}, s
	return k, nil
}

// ErrSigner says that a [crypto.Signer] failed, or returned what its key does not verify.
var ErrSigner = errors.New("token: signer")

// signerMethod is one of golang-jwt's methods that signs with a [crypto.Signer].
type signerMethod struct {
	jwt.SigningMethod

	public any
}

// Sign returns the signature in JWS's form, or an error that Is ErrSigner.
func (m signerMethod) Sign(text string, key any) ([]byte, error) {
	s, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%w: %w", ErrSigner, jwt.ErrInvalidKeyType)
	}
	message, hash := []byte(text), crypto.Hash(0)
	if m.SigningMethod != jwt.SigningMethod(jwt.SigningMethodEdDSA) {
		sum := sha256.Sum256(message)
		message, hash = sum[:], crypto.SHA256
	}
	signature, err := s.Sign(rand.Reader, message, hash)
	if err == nil && m.SigningMethod == jwt.SigningMethod(jwt.SigningMethodES256) {
		signature, err = fromDER(signature)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSigner, err)
	}
	if err := m.Verify(text, signature, m.public); err != nil {
		return nil, fmt.Errorf("%w: its signature is not its key's: %w", ErrSigner, err)
	}
	return signature, nil
}

var errDER = errors.New("its signature is no DER of two numbers below 2^256")

// fromDER turns an ECDSA signature as signers write it (RFC 3279, section 2.2.3) into that
// of JWS: both numbers in 32 bytes (RFC 7518, section 3.4).
func fromDER(der []byte) ([]byte, error) {
	input := cryptobyte.String(der)
	var (
		inner cryptobyte.String
		r, s  big.Int
	)
	if !input.ReadASN1(&inner, asn1.SEQUENCE) || !input.Empty() ||
		!inner.ReadASN1Integer(&r) || !inner.ReadASN1Integer(&s) || !inner.Empty() {
		return nil, errDER
	}
	out := make([]byte, 2*coordinate)
	for i, n := range []*big.Int{&r, &s} {
		if n.Sign() <= 0 || n.BitLen() > 8*coordinate {
			return nil, errDER
		}
		n.FillBytes(out[i*coordinate : (i+1)*coordinate])
	}
	return out, nil
}
