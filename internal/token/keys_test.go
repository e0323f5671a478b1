package token_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/token"
)

// Keys of RSA take long to make.
var (
	rsa2048 = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })
	p256    = sync.OnceValues(func() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) })
)

// signers are a signer for each algorithm.
func signers(tb testing.TB) map[string]crypto.Signer {
	tb.Helper()
	rsaKey, err := rsa2048()
	require.NoError(tb, err)
	ecKey, err := p256()
	require.NoError(tb, err)
	return map[string]crypto.Signer{"EdDSA": ed25519.NewKeyFromSeed(make([]byte, 32)), "ES256": ecKey, "RS256": rsaKey}
}

func signerKey(tb testing.TB, s crypto.Signer) token.Key {
	tb.Helper()
	k, err := token.SignerKey(s)
	require.NoError(tb, err)
	return k
}

func unbase64(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	require.NoError(tb, err)
	return b
}

// The key of RFC 7638, section 3.1.
const rfc7638N = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"

// The vectors of RFC 7638, section 3.1, of RFC 8037, appendices A.1 to A.3, and the key of
// RFC 7515, appendix A.3.
func TestPublicKeysOfTheRFCs(t *testing.T) {
	edKey := ed25519.NewKeyFromSeed(unbase64(t, "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"))
	ecKey, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), unbase64(t, "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"))
	require.NoError(t, err)
	ecJWK := `{"crv":"P-256","kty":"EC","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
	ecSum := sha256.Sum256([]byte(ecJWK))
	ecID := base64.RawURLEncoding.EncodeToString(ecSum[:])
	for _, test := range []struct {
		pub          crypto.PublicKey
		alg, id, jwk string
	}{
		{
			&rsa.PublicKey{N: new(big.Int).SetBytes(unbase64(t, rfc7638N)), E: 65537}, "RS256", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
			`{"e":"AQAB","kty":"RSA","n":"` + rfc7638N + `","kid":"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs","alg":"RS256","use":"sig"}`,
		},
		{
			edKey.Public(), "EdDSA", "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
			`{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k","alg":"EdDSA","use":"sig"}`,
		},
		{&ecKey.PublicKey, "ES256", ecID, ecJWK[:len(ecJWK)-1] + `,"kid":"` + ecID + `","alg":"ES256","use":"sig"}`},
	} {
		k, err := token.PublicKey(test.pub)
		require.NoError(t, err)
		assert.Equal(t, test.id, k.ID)
		assert.Equal(t, test.alg, k.Method.Alg())
		assert.Equal(t, test.pub, k.Public)
		assert.Nil(t, k.Private)
		assert.Equal(t, `{"keys":[`+test.jwk+`]}`, string(token.JWKS([]token.Key{k})))
	}
}

// The signature of RFC 8037, appendix A.4: Ed25519 is deterministic.
func TestSignatureOfRFC8037(t *testing.T) {
	key := signerKey(t, ed25519.NewKeyFromSeed(unbase64(t, "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")))
	signature, err := key.Method.Sign("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc", key.Private)
	require.NoError(t, err)
	assert.Equal(t, "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg", base64.RawURLEncoding.EncodeToString(signature))
}

// public is a signer that has a public part alone.
type public struct{ key crypto.PublicKey }

func (p public) Public() crypto.PublicKey { return p.key }

func (public) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("no private part")
}

// modulus is an odd number of n bits.
func modulus(n uint) *big.Int {
	m := new(big.Int).Lsh(big.NewInt(1), n-1)
	return m.SetBit(m, 0, 1)
}

// ASVS: 11.2.3, 11.6.1.
func TestSignerKeyRefuses(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	require.NoError(t, err)
	ecKey, err := p256()
	require.NoError(t, err)
	offCurve := &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)} //nolint:staticcheck // no other way to an invalid point
	var nilSigner *public
	for name, test := range map[string]struct {
		signer crypto.Signer
		want   string
	}{
		"nil":                    {nil, "has no signer: it is nil"},
		"nil pointer, EC":        {(*ecdsa.PrivateKey)(nil), "*ecdsa.PrivateKey whose Public panics"},
		"nil pointer, RSA":       {(*rsa.PrivateKey)(nil), "*rsa.PrivateKey whose Public panics"},
		"nil pointer":            {nilSigner, "*token_test.public whose Public panics"},
		"short Ed25519":          {ed25519.PrivateKey("short"), "ed25519.PrivateKey whose Public panics"},
		"nil Ed25519":            {ed25519.PrivateKey(nil), "ed25519.PrivateKey whose Public panics"},
		"short public Ed25519":   {public{ed25519.PublicKey("short")}, "Ed25519 key of 5 bytes, not 32"},
		"P-384":                  {p384, "another curve than P-256"},
		"P-224":                  {p224, "another curve than P-256"},
		"no curve":               {public{&ecdsa.PublicKey{}}, "another curve than P-256"},
		"nil EC":                 {public{(*ecdsa.PublicKey)(nil)}, "another curve than P-256"},
		"off the curve":          {public{offCurve}, "no point of P-256"},
		"RSA of 2,047 bits":      {public{&rsa.PublicKey{N: modulus(2047), E: 65537}}, "2047 bits: it must have 2048 to 8192"},
		"RSA of 1,024 bits":      {public{&rsa.PublicKey{N: modulus(1024), E: 65537}}, "1024 bits"},
		"RSA of 8,193 bits":      {public{&rsa.PublicKey{N: modulus(8193), E: 65537}}, "8193 bits"},
		"RSA, even modulus":      {public{&rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2047), E: 65537}}, "without an odd modulus"},
		"RSA, negative":          {public{&rsa.PublicKey{N: new(big.Int).Neg(modulus(2048)), E: 65537}}, "without an odd modulus"},
		"RSA, no modulus":        {public{&rsa.PublicKey{E: 65537}}, "without an odd modulus"},
		"nil RSA":                {public{(*rsa.PublicKey)(nil)}, "without an odd modulus"},
		"RSA, exponent 3":        {public{&rsa.PublicKey{N: modulus(2048), E: 3}}, "exponent 3"},
		"RSA, exponent 0":        {public{&rsa.PublicKey{N: modulus(2048)}}, "exponent 0"},
		"RSA, exponent -1":       {public{&rsa.PublicKey{N: modulus(2048), E: -1}}, "exponent -1"},
		"RSA, even exponent":     {public{&rsa.PublicKey{N: modulus(2048), E: 65538}}, "exponent 65538"},
		"RSA, exponent of 2^31":  {public{&rsa.PublicKey{N: modulus(2048), E: 1<<31 + 1}}, "exponent 2147483649"},
		"no public part":         {public{}, "of the type <nil>"},
		"a secret as public":     {public{[]byte("secret")}, "of the type []uint8"},
		"a private as public":    {public{ecKey}, "of the type *ecdsa.PrivateKey"},
		"EC without its pointer": {public{ecKey.PublicKey}, "of the type ecdsa.PublicKey"},
	} {
		t.Run(name, func(t *testing.T) {
			k, err := token.SignerKey(test.signer)
			require.ErrorContains(t, err, test.want)
			assert.Zero(t, k)
		})
	}
	for _, bits := range []uint{2048, 8192} {
		_, err := token.SignerKey(public{&rsa.PublicKey{N: modulus(bits), E: 1<<31 - 1}})
		require.NoError(t, err, "the bounds themselves")
	}
}

// golang-jwt reads what we sign, and we read what it signs with our header.
func TestSignersWorkWithGolangJWT(t *testing.T) {
	for alg, s := range signers(t) {
		t.Run(alg, func(t *testing.T) {
			key := signerKey(t, s)
			c := newCodec(t, typ, key)
			for range 20 { // an ECDSA signature has a short number now and then
				text := sign(t, c, claims)
				parsed, err := jwt.Parse(text, func(*jwt.Token) (any, error) { return s.Public(), nil }, jwt.WithValidMethods([]string{alg}))
				require.NoError(t, err)
				assert.Equal(t, jwt.MapClaims{"sub": "1"}, parsed.Claims)
				assert.Equal(t, map[string]any{"alg": alg, "kid": key.ID, "typ": typ}, parsed.Header)
				got, err := c.Verify(text)
				require.NoError(t, err)
				assert.Equal(t, claims, string(got))

				theirs := jwt.NewWithClaims(jwt.GetSigningMethod(alg), jwt.MapClaims{"sub": "1"})
				theirs.Header["kid"], theirs.Header["typ"] = key.ID, typ
				text, err = theirs.SignedString(s)
				require.NoError(t, err)
				got, err = c.Verify(text)
				require.NoError(t, err)
				assert.Equal(t, claims, string(got))
			}
		})
	}
}

// kms is a signer whose Sign is a function.
type kms struct {
	crypto.Signer

	sign func(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error)
}

func (k kms) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return k.sign(rand, digest, opts)
}

func TestWhatASignerIsGiven(t *testing.T) {
	for alg, s := range signers(t) {
		c := newCodec(t, typ, signerKey(t, kms{s, func(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			assert.NotNil(t, rand)
			if alg == "EdDSA" {
				assert.Equal(t, crypto.Hash(0), opts.HashFunc())
			} else {
				assert.Equal(t, crypto.SHA256, opts.HashFunc())
				assert.Len(t, digest, sha256.Size)
			}
			return s.Sign(rand, digest, opts)
		}}))
		_, err := c.Verify(sign(t, c, claims))
		require.NoError(t, err)
	}
}

// A signer's faults come out as its errors, and no bad signature comes out at all.
//
// ASVS: 11.2.5.
func TestSignersThatFail(t *testing.T) {
	fault := errors.New("no answer from the KMS")
	other := map[string]crypto.Signer{"EdDSA": ed25519.NewKeyFromSeed([]byte("another seed of thirty-two bytes"))}
	var err error
	other["ES256"], err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	other["RS256"], err = rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	for alg, s := range signers(t) {
		constant := func(b []byte) func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
			return func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return b, nil }
		}
		edited := func(edit func([]byte) []byte) func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
			return func(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
				b, err := s.Sign(rand, digest, opts)
				return edit(b), err
			}
		}
		for name, f := range map[string]func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error){
			"an error":      func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, fault },
			"nothing":       constant(nil),
			"junk":          constant([]byte("junk")),
			"zeros":         constant(make([]byte, 64)),
			"another key's": other[alg].Sign,
			"another message's": func(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
				digest = append([]byte{digest[0] ^ 1}, digest[1:]...)
				return s.Sign(rand, digest, opts)
			},
			"one byte more":   edited(func(b []byte) []byte { return append(b, 0) }),
			"one byte fewer":  edited(func(b []byte) []byte { return b[:len(b)-1] }),
			"one bit flipped": edited(func(b []byte) []byte { b[len(b)-1] ^= 1; return b }),
		} {
			_, err := newCodec(t, typ, signerKey(t, kms{s, f})).Sign([]byte(claims))
			require.ErrorIs(t, err, token.ErrSigner, "%s, %s", alg, name)
			assert.Equal(t, name == "an error", errors.Is(err, fault))
		}
	}
}

// What is not the DER of two positive numbers is no ECDSA signature, and one that is comes
// out in 64 bytes however small its numbers are.
func TestECDSASignaturesThatAreNotDER(t *testing.T) {
	ecKey, err := p256()
	require.NoError(t, err)
	for name, der := range map[string]string{
		"r of 0":           "\x30\x06\x02\x01\x00\x02\x01\x01",
		"s of 0":           "\x30\x06\x02\x01\x01\x02\x01\x00",
		"negative":         "\x30\x06\x02\x01\xff\x02\x01\x01",
		"not minimal":      "\x30\x07\x02\x02\x00\x01\x02\x01\x01",
		"long length":      "\x30\x81\x06\x02\x01\x01\x02\x01\x01",
		"one number":       "\x30\x03\x02\x01\x01",
		"three numbers":    "\x30\x09\x02\x01\x01\x02\x01\x01\x02\x01\x01",
		"trailing data":    "\x30\x06\x02\x01\x01\x02\x01\x01\x00",
		"of 264 bits":      "\x30\x26\x02\x21\x01" + string(make([]byte, 32)) + "\x02\x01\x01",
		"a set":            "\x31\x06\x02\x01\x01\x02\x01\x01",
		"JWS's own format": string(make([]byte, 31)) + "\x01" + string(make([]byte, 31)) + "\x01",
	} {
		c := newCodec(t, typ, signerKey(t, kms{ecKey, func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return []byte(der), nil }}))
		_, err := c.Sign([]byte(claims))
		require.ErrorContains(t, err, "no DER of two numbers", name)
	}
	c := newCodec(t, typ, signerKey(t, kms{ecKey, func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
		return []byte("\x30\x06\x02\x01\x01\x02\x01\x01"), nil
	}}))
	_, err = c.Sign([]byte(claims))
	require.ErrorContains(t, err, "not its key's", "well formed, and verified")
}

// A header names its algorithm and its key: neither another algorithm under the same ID nor
// a public key as the secret of an HMAC gets by (RFC 8725, section 3.1).
//
// ASVS: 9.1.2.
func TestAlgorithmsAreNotConfused(t *testing.T) {
	all := signers(t)
	for alg, s := range all {
		key := signerKey(t, s)
		c := newCodec(t, typ, key)
		der, err := json.Marshal(s.Public())
		require.NoError(t, err)
		secrets := [][]byte{token.JWKS([]token.Key{key}), der, []byte(key.ID), nil, {}}
		if pub, ok := s.Public().(ed25519.PublicKey); ok {
			secrets = append(secrets, pub)
		}
		header := func(alg string) string { return fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":%q}`, alg, key.ID, typ) }
		for _, other := range []string{"HS256", "HS384", "none", "None", "", "RS256", "ES256", "EdDSA", "PS256", "ES384", "Ed25519"} {
			signed := encode(header(other)) + "." + encode(claims)
			refused(t, c, signed+".")
			for _, secret := range secrets {
				mac, err := jwt.SigningMethodHS256.Sign(signed, secret)
				require.NoError(t, err)
				refused(t, c, signed+"."+encode(string(mac)))
			}
			for otherAlg, otherSigner := range all {
				method, signed := jwt.GetSigningMethod(otherAlg), encode(header(other))+"."+encode(claims)
				signature, err := method.Sign(signed, otherSigner)
				require.NoError(t, err)
				if other == alg && otherAlg == alg {
					_, err = c.Verify(signed + "." + encode(string(signature)))
					require.NoError(t, err, "the forger knows how")
					continue
				}
				refused(t, c, signed+"."+encode(string(signature)))
			}
		}
	}
}

// Of the bytes of a signature none may change, and none may be more or fewer. ECDSA has one
// other signature to each, n-s for s, which anybody can make.
//
// Advisory: CVE-2022-21449.
func TestSignaturesThatWereChanged(t *testing.T) {
	for alg, s := range signers(t) {
		c := newCodec(t, typ, signerKey(t, s))
		text := sign(t, c, claims)
		signed := text[:strings.LastIndexByte(text, '.')]
		signature := unbase64(t, text[len(signed)+1:])
		for i := range signature {
			changed := append([]byte(nil), signature...)
			changed[i] ^= 1 << (i % 8)
			refused(t, c, signed+"."+encode(string(changed)))
		}
		for _, changed := range [][]byte{slices.Concat([]byte{0}, signature), slices.Concat(signature, []byte{0}), signature[1:], signature[:len(signature)-1], slices.Concat(signature, signature)} {
			refused(t, c, signed+"."+encode(string(changed)))
		}
		if alg == "ES256" {
			n := elliptic.P256().Params().N
			other := append([]byte(nil), signature...)
			new(big.Int).Sub(n, new(big.Int).SetBytes(signature[32:])).FillBytes(other[32:])
			got, err := c.Verify(signed + "." + encode(string(other)))
			require.NoError(t, err, "the same claims, and so the same jti")
			assert.Equal(t, claims, string(got))
			for _, rs := range [][2]*big.Int{{big.NewInt(0), big.NewInt(0)}, {big.NewInt(0), big.NewInt(1)}, {big.NewInt(1), big.NewInt(0)}, {n, n}, {n, big.NewInt(1)}} { // CVE-2022-21449
				b := make([]byte, 64)
				rs[0].FillBytes(b[:32])
				rs[1].FillBytes(b[32:])
				refused(t, c, signed+"."+encode(string(b)))
			}
			der, err := s.Sign(rand.Reader, make([]byte, 32), crypto.SHA256)
			require.NoError(t, err)
			refused(t, c, signed+"."+encode(string(der)))
		}
	}
}
