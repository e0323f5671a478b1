package auth

import (
	"github.com/golang-jwt/jwt/v5"

	"github.com/ostiary/auth/internal/token"
)

// OnHash has f called with the cost of each run of bcrypt, before it.
func (a *Authenticator) OnHash(f func(cost int)) { a.hasher.OnHash = f }

// OnSign has f called before each signature; its error is the signer's.
func (a *Authenticator) OnSign(f func() error) error {
	for _, c := range []struct {
		codec     **token.Codec
		name, typ string
		keys      []Key
	}{
		{&a.codecs.access, "AccessKeys", token.AccessType, a.cfg.Tokens.AccessKeys},
		{&a.codecs.refresh, "RefreshKeys", refreshType, a.cfg.Tokens.RefreshKeys},
	} {
		keys, err := codecKeys(c.name, c.keys)
		if err != nil {
			return err
		}
		for i := range keys {
			keys[i].Method = signer{keys[i].Method, f}
		}
		if *c.codec, err = token.New(c.typ, keys); err != nil {
			return err
		}
	}
	return nil
}

// signer is a method whose signatures may fail.
type signer struct {
	jwt.SigningMethod

	before func() error
}

func (s signer) Sign(text string, key any) ([]byte, error) {
	if err := s.before(); err != nil {
		return nil, err
	}
	return s.SigningMethod.Sign(text, key)
}

// SecretDoubt says why an HMAC key's secret is hardly random.
func SecretDoubt(secret []byte) string { return secretDoubt(secret) }

// HashConcurrency is how many passwords are hashed at once.
func (a *Authenticator) HashConcurrency() int { return a.cfg.HashConcurrency }
