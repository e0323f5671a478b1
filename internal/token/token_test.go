package token_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/token"
)

const (
	typ    = "at+jwt"
	claims = `{"sub":"1"}`
)

func hs256(id, secret string) token.Key {
	return token.Key{ID: id, Method: jwt.SigningMethodHS256, Private: []byte(secret), Public: []byte(secret)}
}

func newCodec(tb testing.TB, typ string, keys ...token.Key) *token.Codec {
	tb.Helper()
	c, err := token.New(typ, keys)
	require.NoError(tb, err)
	return c
}

func sign(tb testing.TB, c *token.Codec, claims string) string {
	tb.Helper()
	s, err := c.Sign([]byte(claims))
	require.NoError(tb, err)
	return s
}

// forge makes a token of the claims without the codec, signed with "secret one".
func forge(header string) string { return forgeOf(header, claims) }

func forgeOf(header, claims string) string {
	signed := encode(header) + "." + encode(claims)
	mac := hmac.New(sha256.New, []byte("secret one"))
	mac.Write([]byte(signed))
	return signed + "." + encode(string(mac.Sum(nil)))
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func TestSignWritesACompactJWS(t *testing.T) {
	c := newCodec(t, typ, hs256("k1", "secret one"), hs256("k2", "secret two"))
	got := sign(t, c, claims)
	assert.Equal(t, forge(`{"alg":"HS256","kid":"k1","typ":"at+jwt"}`), got)

	parsed, err := jwt.Parse(got, func(*jwt.Token) (any, error) { return []byte("secret one"), nil })
	require.NoError(t, err, "another implementation reads it")
	assert.Equal(t, jwt.MapClaims{"sub": "1"}, parsed.Claims)
}

func TestVerifyReturnsThePayloadAsItWasSigned(t *testing.T) {
	c := newCodec(t, typ, hs256("k1", "secret one"))
	for _, payload := range []string{claims, "{}", "not JSON at all", "\x00\xff", `{"a":"` + strings.Repeat("x", 4000) + `"}`} {
		got, err := c.Verify(sign(t, c, payload))
		require.NoError(t, err)
		assert.Equal(t, payload, string(got))
	}
}

func TestEveryKeyVerifiesAndTheFirstSigns(t *testing.T) {
	one, two := hs256("k1", "secret one"), hs256("k2", "secret two")
	before, after := newCodec(t, typ, one, two), newCodec(t, typ, two, one)
	for _, c := range []*token.Codec{before, after} {
		for _, other := range []*token.Codec{before, after} {
			_, err := other.Verify(sign(t, c, claims))
			require.NoError(t, err)
		}
	}
	_, err := newCodec(t, typ, two).Verify(sign(t, before, claims))
	require.ErrorIs(t, err, token.ErrSignature, "the key was removed")
	_, err = newCodec(t, typ, two).Verify(sign(t, after, claims))
	require.NoError(t, err)
}

func TestNewRefuses(t *testing.T) {
	one := hs256("k1", "secret one")
	for name, keys := range map[string][]token.Key{
		"no keys":           nil,
		"a key twice":       {one, one},
		"two keys, one ID":  {one, hs256("k1", "secret two")},
		"twice, not beside": {one, hs256("k2", "secret two"), one},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := token.New(typ, keys)
			require.Error(t, err)
			assert.Nil(t, c)
			assert.NotContains(t, err.Error(), "secret one")
		})
	}
	_, err := token.New(typ, []token.Key{one, {ID: "k1", Method: jwt.SigningMethodHS384, Private: []byte("x"), Public: []byte("x")}})
	require.NoError(t, err, "one ID with two methods names two headers")
}

// Whatever is in a foreign header, and although the signature is right, it is not a
// header that the codec makes.
//
// ASVS: 9.1.2.
func TestVerifyReadsNothingOfAForeignHeader(t *testing.T) {
	c := newCodec(t, typ, hs256("k1", "secret one"))
	for _, header := range []string{
		`{"alg":"none","kid":"k1","typ":"at+jwt"}`,
		`{"alg":"None","kid":"k1","typ":"at+jwt"}`,
		`{"alg":"nOnE","kid":"k1","typ":"at+jwt"}`,
		`{"alg":"RS256","kid":"k1","typ":"at+jwt"}`,
		`{"alg":"ES256","kid":"k1","typ":"at+jwt"}`,
		`{"alg":"HS384","kid":"k1","typ":"at+jwt"}`,
		`{"alg":"hs256","kid":"k1","typ":"at+jwt"}`,
		`{"alg":"HS256","alg":"none","kid":"k1","typ":"at+jwt"}`,
		`{"alg":"HS256","kid":"k2","typ":"at+jwt"}`,
		`{"alg":"HS256","kid":"","typ":"at+jwt"}`,
		`{"alg":"HS256","kid":["k1"],"typ":"at+jwt"}`,
		`{"alg":"HS256","kid":"../../../../dev/null","typ":"at+jwt"}`,
		`{"alg":"HS256","kid":"k1' OR '1'='1","typ":"at+jwt"}`,
		`{"alg":"HS256","typ":"at+jwt"}`,
		`{"alg":"HS256","kid":"k1","typ":"rt+jwt"}`,
		`{"alg":"HS256","kid":"k1","typ":"AT+JWT"}`,
		`{"alg":"HS256","kid":"k1","typ":"JWT"}`,
		`{"alg":"HS256","kid":"k1"}`,
		`{"kid":"k1","alg":"HS256","typ":"at+jwt"}`,
		`{"alg":"HS256", "kid":"k1","typ":"at+jwt"}`,
		` {"alg":"HS256","kid":"k1","typ":"at+jwt"}`,
		`{"alg":"HS256","kid":"k1","typ":"at+jwt","crit":["exp"]}`,
		`{"alg":"HS256","kid":"k1","typ":"at+jwt","jku":"https://example.com/keys"}`,
		`{"alg":"HS256","kid":"k1","typ":"at+jwt","x5u":"https://example.com/cert"}`,
		`{"alg":"HS256","kid":"k1","typ":"at+jwt","jwk":{"kty":"oct","k":"AAAA"}}`,
		`{"alg":"HS256","kid":"k1","typ":"at+jwt","zip":"DEF"}`,
		`{"alg":"HS256","kid":"k1","typ":"at+jwt","b64":false,"crit":["b64"]}`,
		`{}`, `null`, `x`,
	} {
		_, err := c.Verify(forge(header))
		require.ErrorIs(t, err, token.ErrSignature, header)
	}
	_, err := c.Verify(forge(`{"alg":"HS256","kid":"k1","typ":"at+jwt"}`))
	require.NoError(t, err, "the one header that is ours")
}

// Advisory: CVE-2025-27144.
func TestVerifyRefusesTexts(t *testing.T) {
	c := newCodec(t, typ, hs256("k1", "secret one"))
	good := sign(t, c, claims)
	header, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	for name, text := range map[string]string{
		"empty":               "",
		"a word":              "abc",
		"dots":                "..",
		"one segment":         header,
		"two segments":        header + "." + payload,
		"four segments":       good + "." + signature,
		"five, as a JWE has":  good + ".a.b",
		"no header":           "." + payload + "." + signature,
		"no payload":          header + ".." + signature,
		"no signature":        header + "." + payload + ".",
		"dot at the end":      good + ".",
		"dot before":          "." + good,
		"space before":        " " + good,
		"space after":         good + " ",
		"line break after":    good + "\n",
		"line break in it":    header + "." + payload[:4] + "\r\n" + payload[4:] + "." + signature,
		"line break in mac":   header + "." + payload + "." + signature[:8] + "\n" + signature[8:],
		"padding":             good + "=",
		"standard alphabet":   header + "." + payload + "." + strings.Repeat("+", len(signature)),
		"standard alphabet /": header + "." + payload + "." + strings.Repeat("/", len(signature)),
		"NUL":                 good + "\x00",
		"not ASCII":           header + "." + payload + "." + signature + "é",
		"JSON serialization":  `{"protected":"` + header + `","payload":"` + payload + `","signature":"` + signature + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.Verify(text)
			require.ErrorIs(t, err, token.ErrMalformed)
		})
	}
}

// The signature covers the payload as it is written. The codec itself makes one text of
// a payload, and no other text of it passes.
func TestVerifyAcceptsOneTextOnly(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	c := newCodec(t, typ, hs256("k1", "secret one"))
	good := sign(t, c, claims)
	for i := range len(good) {
		refused(t, c, good[:i])
		refused(t, c, good[i+1:])
		refused(t, c, good[:i]+good[i+1:])
		for _, b := range []byte(alphabet) {
			if b != good[i] {
				refused(t, c, good[:i]+string(b)+good[i+1:])
			}
		}
	}
}

func refused(t *testing.T, c *token.Codec, text string) {
	t.Helper()
	_, err := c.Verify(text)
	if !errors.Is(err, token.ErrMalformed) && !errors.Is(err, token.ErrSignature) {
		require.Fail(t, "accepted, or another error", "%q: %v", text, err)
	}
}

// A payload that is signed and yet not base64url in its canonical form is nobody's.
func TestVerifyRefusesPayloadsThatAreNotCanonical(t *testing.T) {
	c := newCodec(t, typ, hs256("k1", "secret one"))
	header := encode(`{"alg":"HS256","kid":"k1","typ":"at+jwt"}`)
	for _, payload := range []string{"e31", "A", "AAAAA"} { // the first has bits beyond its last byte
		signed := header + "." + payload
		mac := hmac.New(sha256.New, []byte("secret one"))
		mac.Write([]byte(signed))
		_, err := c.Verify(signed + "." + encode(string(mac.Sum(nil))))
		require.ErrorIs(t, err, token.ErrMalformed, payload)
	}
}

// What Verify would refuse for its length, Sign does not make.
//
// Advisory: CVE-2025-30204.
func TestVerifyLooksAtNothingLongerThanMaxSize(t *testing.T) {
	met := map[int]bool{}
	for _, id := range []string{"k", "kk", "kkk"} { // base64url alone does not reach every length
		c := newCodec(t, typ, hs256(id, "secret one"))
		for n := token.MaxSize * 5 / 8; n < token.MaxSize*3/4; n++ {
			payload := strings.Repeat("x", n)
			s := forgeOf(`{"alg":"HS256","kid":"`+id+`","typ":"at+jwt"}`, payload)
			if len(s) < token.MaxSize-4 || len(s) > token.MaxSize+4 {
				continue
			}
			met[len(s)-token.MaxSize] = true
			made, errSign := c.Sign([]byte(payload))
			_, err := c.Verify(s)
			if len(s) <= token.MaxSize {
				require.NoError(t, errSign, len(s))
				require.Equal(t, s, made)
				require.NoError(t, err, len(s))
			} else {
				require.EqualError(t, errSign, fmt.Sprintf("token: it would have %d bytes, more than 8192", len(s)))
				require.Empty(t, made)
				require.ErrorIs(t, err, token.ErrMalformed, len(s))
			}
		}
	}
	assert.True(t, met[0], "a token of MaxSize bytes")
	assert.True(t, met[1], "a token of one more")
}

// What is no token costs no memory, so that nobody can make a server hold much by
// sending it headers (CVE-2025-30204).
//
// Advisory: CVE-2025-30204.
func TestVerifyAllocatesNothingForWhatIsNoToken(t *testing.T) {
	c := newCodec(t, typ, hs256("k1", "secret one"))
	for _, text := range []string{strings.Repeat(".", 1<<20), strings.Repeat(".", 8000), strings.Repeat("a", 8000), "a.b.c"} {
		assert.Zero(t, testing.AllocsPerRun(10, func() { _, _ = c.Verify(text) }))
	}
}

func TestSignReportsWhatItsMethodCannot(t *testing.T) {
	c := newCodec(t, typ, token.Key{ID: "k1", Method: jwt.SigningMethodHS256, Private: "no bytes", Public: "no bytes"})
	_, err := c.Sign([]byte(claims))
	require.ErrorIs(t, err, jwt.ErrInvalidKeyType)
}

// ASVS: 15.4.1.
func TestCodecIsSafeForConcurrentUse(t *testing.T) {
	c := newCodec(t, typ, hs256("k1", "secret one"))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				s, err := c.Sign([]byte(claims))
				if err == nil {
					_, err = c.Verify(s)
				}
				assert.NoError(t, err)
			}
		})
	}
	wg.Wait()
}

// What Verify accepts, Sign made, byte for byte.
func FuzzVerify(f *testing.F) {
	one, two := hs256("k1", "secret one"), hs256("k2", "secret two")
	c := newCodec(f, typ, one, two)
	old := newCodec(f, typ, two)
	f.Add(sign(f, c, claims))
	f.Add(sign(f, old, claims))
	f.Add(sign(f, c, "") + "=")
	f.Add(sign(f, newCodec(f, "rt+jwt", one), claims))
	f.Add(forge(`{"alg":"none","kid":"k1","typ":"at+jwt"}`))
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("..")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		payload, err := c.Verify(text)
		if err != nil {
			refused(t, c, text)
			return
		}
		made := []string{sign(t, c, string(payload)), sign(t, old, string(payload))}
		if !slices.Contains(made, text) {
			t.Errorf("accepted %q", text)
		}
	})
}
