package token_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"io"
	"math/big"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/token"
)

// What a signer returns is taken if it is an ECDSA signature in DER and its key's, as
// crypto/ecdsa says, and is not DER if another reader says so. Every process that fuzzes
// has the same key.
func FuzzECDSASignatures(f *testing.F) {
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), unbase64(f, "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"))
	require.NoError(f, err)
	id := signerKey(f, k).ID
	digest := sha256.Sum256([]byte(encode(`{"alg":"ES256","kid":"`+id+`","typ":"`+typ+`"}`) + "." + encode(claims)))
	good, err := k.Sign(rand.Reader, digest[:], crypto.SHA256)
	require.NoError(f, err)
	for _, der := range []string{
		string(good), string(good[:len(good)-1]), string(good) + "\x00", "", "junk",
		"\x30\x06\x02\x01\x01\x02\x01\x01", "\x30\x06\x02\x01\x00\x02\x01\x01", "\x30\x06\x02\x01\xff\x02\x01\x01", "\x30\x07\x02\x02\x00\x01\x02\x01\x01",
		"\x30\x81\x06\x02\x01\x01\x02\x01\x01", "\x30\x03\x02\x01\x01", "\x30\x09\x02\x01\x01\x02\x01\x01\x02\x01\x01", "\x31\x06\x02\x01\x01\x02\x01\x01",
		"\x30\x26\x02\x21\x01" + string(make([]byte, 32)) + "\x02\x01\x01", "\x30\x80\x02\x01\x01\x02\x01\x01\x00\x00",
	} {
		f.Add([]byte(der))
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		c := newCodec(t, typ, signerKey(t, kms{k, func(_ io.Reader, asked []byte, _ crypto.SignerOpts) ([]byte, error) {
			require.Equal(t, digest[:], asked)
			return der, nil
		}}))
		text, err := c.Sign([]byte(claims))
		if ecdsa.VerifyASN1(&k.PublicKey, digest[:], der) {
			require.NoError(t, err)
			_, err = c.Verify(text)
			require.NoError(t, err)
			return
		}
		require.ErrorIs(t, err, token.ErrSigner)
		assert.Empty(t, text)
		if isDER(der) {
			assert.ErrorContains(t, err, "not its key's")
		} else {
			assert.ErrorContains(t, err, "no DER of two numbers")
		}
	})
}

// isDER says whether encoding/asn1 reads two positive numbers of at most 32 bytes, and
// writes them in the same way.
func isDER(der []byte) bool {
	var s struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(der, &s)
	if err != nil || len(rest) > 0 || s.R.Sign() <= 0 || s.S.Sign() <= 0 || s.R.BitLen() > 256 || s.S.BitLen() > 256 {
		return false
	}
	again, err := asn1.Marshal(s)
	return err == nil && bytes.Equal(der, again)
}
