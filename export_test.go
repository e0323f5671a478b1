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
		codec **token.Codec
		typ   string
		keys  []Key
	}{
		{&a.codecs.access, accessType, a.cfg.Tokens.AccessKeys},
		{&a.codecs.refresh, refreshType, a.cfg.Tokens.RefreshKeys},
	} {
		keys := make([]token.Key, len(c.keys))
		for i, k := range c.keys {
			keys[i] = k.codecKey()
			keys[i].Method = signer{keys[i].Method, f}
		}
		codec, err := token.New(c.typ, keys)
		if err != nil {
			return err
		}
		*c.codec = codec
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
