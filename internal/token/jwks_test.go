package token_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/token"
)

func ids(keys []token.Key) []string {
	var out []string
	for _, k := range keys {
		out = append(out, k.ID)
	}
	return out
}

func TestJWKSOfSecretsIsEmpty(t *testing.T) {
	assert.Equal(t, `{"keys":[]}`, string(token.JWKS(nil)))
	assert.Equal(t, `{"keys":[]}`, string(token.JWKS([]token.Key{hs256("a secret's ID", "secret one")})))
	all := signers(t)
	set := token.JWKS([]token.Key{signerKey(t, all["RS256"]), hs256("a secret's ID", "secret one"), signerKey(t, all["EdDSA"])})
	assert.NotContains(t, string(set), "a secret's ID")
	assert.NotContains(t, string(set), "secret one")
	keys, err := token.ParseJWKS(set)
	require.NoError(t, err)
	assert.Equal(t, []string{signerKey(t, all["RS256"]).ID, signerKey(t, all["EdDSA"]).ID}, ids(keys), "in their order")
}

// A set that was written and read again verifies what its signers sign. Coordinates keep
// the zeros that they begin with.
func TestJWKSRoundTrip(t *testing.T) {
	all := signers(t)
	var keys []token.Key
	for _, alg := range []string{"EdDSA", "ES256", "RS256"} {
		keys = append(keys, signerKey(t, all[alg]))
	}
	for short := 0; short < 2; {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		point, err := k.PublicKey.Bytes()
		require.NoError(t, err)
		if point[1+32*short] == 0 { // x first, then y
			keys = append(keys, signerKey(t, k))
			short++
		}
	}
	read, err := token.ParseJWKS(token.JWKS(keys))
	require.NoError(t, err)
	require.Equal(t, ids(keys), ids(read))
	c := newCodec(t, typ, read...)
	for i, k := range keys {
		assert.Equal(t, k.Public, read[i].Public)
		text := sign(t, newCodec(t, typ, k), claims)
		assert.True(t, c.Knows(text))
		got, err := c.Verify(text)
		require.NoError(t, err)
		assert.Equal(t, claims, string(got))
	}
}

func TestParseJWKSSkipsWhatIsNotForUs(t *testing.T) {
	const ed = `"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"`
	const ec = `"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"`
	const rsa = `"kty":"RSA","e":"AQAB","n":"` + rfc7638N + `"`
	for name, key := range map[string]string{
		"Ed25519": ed, "P-256": ec, "RSA": rsa,
		"with our members":  ed + `,"alg":"EdDSA","use":"sig","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"`,
		"with others":       ed + `,"x5c":["AAAA"],"d2":{"a":[1]}`,
		"to verify":         ed + `,"key_ops":["verify"]`,
		"to verify, too":    ed + `,"use":"sig","key_ops":["other","verify"]`,
		"of whatever kid":   ed + `,"kid":"another"`,
		"a kid of no text":  ed + `,"kid":1`,
		"an escaped member": strings.Replace(ed, "OKP", `\u004fKP`, 1),
		"an escaped name":   strings.Replace(ed, `"kty"`, `"k\u0074y"`, 1),
	} {
		keys, err := token.ParseJWKS([]byte(`{"keys":[{` + key + `}]}`))
		require.NoError(t, err, name)
		assert.Len(t, keys, 1, name)
	}
	short := base64.RawURLEncoding.EncodeToString(modulus(2047).Bytes())
	for name, key := range map[string]string{
		"a secret":               `"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","alg":"HS256"`,
		"no kty":                 `"crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"`,
		"kty of another case":    strings.Replace(ed, "OKP", "okp", 1),
		"a name in another case": strings.Replace(ed, `"x"`, `"X"`, 1),
		"kty of no text":         strings.Replace(ed, `"OKP"`, `1`, 1),
		"another curve's name":   strings.Replace(ed, "Ed25519", "Ed448", 1),
		"X25519":                 strings.Replace(ed, "Ed25519", "X25519", 1),
		"a short x":              strings.Replace(ed, "11qYAYKx", "YAYKx", 1),
		"padding":                strings.Replace(ed, `URo"`, `URo="`, 1),
		"a loose last character": strings.Replace(ed, `URo"`, `URp"`, 1),
		"a line break in it":     strings.Replace(ed, `HURo`, `\nHURo`, 1),
		"standard base64":        strings.Replace(ed, `_`, `/`, 1),
		"no x":                   `"kty":"OKP","crv":"Ed25519"`,
		"for another algorithm":  ed + `,"alg":"ES256"`,
		"Ed25519's other name":   ed + `,"alg":"Ed25519"`,
		"alg of no text":         ed + `,"alg":1`,
		"alg null":               ed + `,"alg":null`,
		"an empty alg":           ed + `,"alg":""`,
		"a private one":          ed + `,"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"`,
		"a private one, null":    ed + `,"d":null`,
		"RSA, a private one":     rsa + `,"d":"AQAB"`,
		"to sign":                ed + `,"key_ops":["sign"]`,
		"to do nothing":          ed + `,"key_ops":[]`,
		"to VERIFY":              ed + `,"key_ops":["VERIFY"]`,
		"key_ops null":           ed + `,"key_ops":null`,
		"key_ops a text":         ed + `,"key_ops":"verify"`,
		"key_ops not all texts":  ed + `,"key_ops":["verify",1]`,
		"KEY_OPS":                ed + `,"KEY_OPS":["verify"]`,
		"an escaped key_ops":     ed + `,"key\u005fops":["sign"]`,
		"for encryption":         ed + `,"use":"enc"`,
		"use null":               ed + `,"use":null`,
		"P-384":                  strings.Replace(ec, "P-256", "P-384", 1),
		"off the curve":          strings.Replace(ec, `x_FEz`, `x_FEy`, 1),
		"infinity":               `"kty":"EC","crv":"P-256","x":"","y":""`,
		"a short y":              strings.Replace(ec, `"x_FE`, `"`, 1),
		"EC with an RSA alg":     ec + `,"alg":"RS256"`,
		"EC with ES384":          ec + `,"alg":"ES384"`,
		"RSA with PS256":         rsa + `,"alg":"PS256"`,
		"RSA with HS256":         rsa + `,"alg":"HS256"`,
		"RSA of 2,047 bits":      `"kty":"RSA","e":"AQAB","n":"` + short + `"`,
		"RSA, zero before n":     strings.Replace(rsa, rfc7638N, base64.RawURLEncoding.EncodeToString(append([]byte{0}, unbase64(t, rfc7638N)...)), 1),
		"RSA, exponent 3":        strings.Replace(rsa, "AQAB", "Aw", 1),
		"RSA, long exponent":     strings.Replace(rsa, "AQAB", "AQAAAAE", 1),
		"RSA, huge exponent":     strings.Replace(rsa, "AQAB", "gAAAAQ", 1),
		"RSA, zero before e":     strings.Replace(rsa, "AQAB", "AAEAAQ", 1),
		"RSA, no e":              `"kty":"RSA","n":"` + rfc7638N + `"`,
		"RSA, no n":              `"kty":"RSA","e":"AQAB"`,
	} {
		keys, err := token.ParseJWKS([]byte(`{"keys":[{` + key + `}]}`))
		require.NoError(t, err, name)
		assert.Empty(t, keys, name)
		keys, err = token.ParseJWKS([]byte(`{"keys":[{` + key + `},{` + ed + `}]}`))
		require.NoError(t, err, name)
		assert.Len(t, keys, 1, "%s beside a good one", name)
	}
	for _, key := range []string{"1", `"x"`, "[]", "null", "{}"} {
		keys, err := token.ParseJWKS([]byte(`{"keys":[` + key + `,{` + ed + `}]}`))
		require.NoError(t, err, key)
		assert.Len(t, keys, 1, key)
	}
	keys, err := token.ParseJWKS([]byte(`{"keys":[{` + ed + `,"kid":"a"},{` + ec + `,"kid":"a"},{` + ed + `,"kid":"b"}]}`))
	require.NoError(t, err)
	assert.Len(t, keys, 2, "one kid for two keys, and one key twice")
}

func TestParseJWKSRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing": "", "no JSON": "x", "null": "null", "no object": "[]", "no keys": "{}", "keys null": `{"keys":null}`, "keys no array": `{"keys":{}}`, "keys a text": `{"keys":"x"}`,
		"twice": `{"keys":[],"keys":[]}`, "in another case": `{"KEYS":[]}`, "and in another case": `{"keys":[],"Keys":[]}`,
		"a name twice in a key": `{"keys":[{"kty":"OKP","kty":"EC"}]}`, "trailing": `{"keys":[]}x`, "two": `{"keys":[]}{}`, "cut": `{"keys":[`, "no UTF-8": "{\"keys\":[],\"a\":\"\xff\"}",
		"byte order mark": "\ufeff{\"keys\":[]}", "deep": `{"keys":[` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `]}`, "HTML": "<html></html>",
	} {
		keys, err := token.ParseJWKS([]byte(text))
		require.ErrorIs(t, err, token.ErrJWKS, name)
		assert.Nil(t, keys, name)
	}
	keys, err := token.ParseJWKS([]byte(` {"keys":[],"other":{"keys":[1]}} `))
	require.NoError(t, err)
	assert.Empty(t, keys)
}

// Whatever a set holds, the keys that it yields are within our bounds, each once, and a set
// of them yields them again.
func FuzzParseJWKS(f *testing.F) {
	all := signers(f)
	f.Add(token.JWKS(nil))
	f.Add(token.JWKS([]token.Key{signerKey(f, all["EdDSA"]), signerKey(f, all["ES256"]), signerKey(f, all["RS256"])}))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"RSA","n":"AAAA","e":"AQAB"},null,1]}`))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"","y":""},{"kty":"OKP","crv":"Ed25519","x":"` + strings.Repeat("A", 43) + `","use":"sig","alg":"EdDSA"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := token.ParseJWKS(data)
		if err != nil {
			assert.Nil(t, keys)
			return
		}
		assert.True(t, json.Valid(data))
		seen := map[string]bool{}
		for _, k := range keys {
			same, err := token.PublicKey(k.Public)
			require.NoError(t, err)
			assert.Equal(t, same, k)
			assert.False(t, seen[k.ID])
			seen[k.ID] = true
		}
		if len(keys) == 0 {
			return
		}
		again, err := token.ParseJWKS(token.JWKS(keys))
		require.NoError(t, err)
		assert.Equal(t, keys, again)
		_, err = newCodec(t, typ, keys...).Verify("a.b.c")
		require.ErrorIs(t, err, token.ErrSignature)
	})
}

func TestKnowsGoesByTheHeaderAlone(t *testing.T) {
	all := signers(t)
	key := signerKey(t, all["EdDSA"])
	c := newCodec(t, typ, key, hs256("k1", "secret one"))
	for text, want := range map[string]bool{
		sign(t, c, claims): true,
		encode(fmt.Sprintf(`{"alg":"EdDSA","kid":%q,"typ":"at+jwt"}`, key.ID)) + ".x": true,
		encode(`{"alg":"HS256","kid":"k1","typ":"at+jwt"}`):                           true,
		encode(`{"alg":"HS256","kid":"k2","typ":"at+jwt"}`) + ".a.b":                  false,
		sign(t, newCodec(t, "rt+jwt", key), claims):                                   false,
		"": false,
	} {
		assert.Equal(t, want, c.Knows(text), text)
	}
}

func TestMayBePublic(t *testing.T) {
	all := signers(t)
	for _, s := range all {
		key := signerKey(t, s)
		text := sign(t, newCodec(t, typ, key), claims)
		assert.True(t, token.MayBePublic(text, typ))
		assert.False(t, token.MayBePublic(text, "rt+jwt"))
		assert.False(t, token.MayBePublic(text+".x", typ))
		assert.False(t, token.MayBePublic(text+"=", typ))
		assert.False(t, token.MayBePublic(text+strings.Repeat("A", token.MaxSize), typ))
	}
	id := signerKey(t, all["EdDSA"]).ID
	assert.True(t, token.MayBePublic(encode(`{"alg":"ES256","kid":"`+id+`","typ":"at+jwt"}`)+".a.b", typ), "of any key")
	for _, header := range []string{
		``, `{}`, `null`, `{"alg":"HS256","kid":"k1","typ":"at+jwt"}`, `{"alg":"none","kid":"` + id + `","typ":"at+jwt"}`, `{"alg":"HS256","kid":"` + id + `","typ":"at+jwt"}`,
		`{"alg":"EdDSA","kid":"` + id[:42] + `","typ":"at+jwt"}`, `{"alg":"EdDSA","kid":"` + id + `A","typ":"at+jwt"}`, `{"alg":"EdDSA","kid":"` + id[:42] + `=","typ":"at+jwt"}`,
		`{"alg":"EdDSA","kid":"","typ":"at+jwt"}`, `{"alg":"EdDSA","typ":"at+jwt"}`, `{"alg":"EdDSA","kid":"` + id + `","typ":"at+jwt","jku":"https://evil.example"}`,
		`{"alg":"EdDSA","kid":"` + id + `","typ":"JWT"}`, ` {"alg":"EdDSA","kid":"` + id + `","typ":"at+jwt"}`, `{"alg":"PS256","kid":"` + id + `","typ":"at+jwt"}`,
		`{"alg":"EdDSA","kid":"` + id[:42] + "\n" + `","typ":"at+jwt"}`, `{"alg":"EdDSA","kid":"` + "\n" + id + `","typ":"at+jwt"}`,
	} {
		assert.False(t, token.MayBePublic(encode(header)+".a.b", typ), header)
	}
}

func TestBearer(t *testing.T) {
	for _, good := range [][]string{{"Bearer a.b.c"}, {"bearer a.b.c"}, {"BEARER a.b.c"}, {"Bearer   a.b.c"}} {
		got, err := token.Bearer(good)
		require.NoError(t, err, good)
		assert.Equal(t, "a.b.c", got)
	}
	for _, none := range [][]string{nil, {}, {""}} {
		_, err := token.Bearer(none)
		require.ErrorIs(t, err, token.ErrNone, none)
	}
	for _, bad := range [][]string{{"Bearer"}, {"Bearer "}, {"a.b.c"}, {"Basic a.b.c"}, {"Bearer a b"}, {"Bearer a "}, {" Bearer a"}, {"Bearer\ta"}, {"Bearer a", "Bearer a"}, {"", ""}, {"Bearer a, Bearer b"}} {
		_, err := token.Bearer(bad)
		require.ErrorIs(t, err, token.ErrMalformed, bad)
	}
}
