package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"net/http"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// ASVS: 7.2.1, 9.1.2, 9.1.3.
// Advisory: CVE-2025-27144.
func TestForgedHeaders(t *testing.T) {
	onDoors(t, func(t *testing.T, h http.Handler, d door) {
		t.Helper()
		payload := segmentOf(t, d.token, 1)
		kid := keyID(d.secret)
		header := func(alg, rest string) string {
			return fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":%q%s}`, alg, kid, d.typ, rest)
		}
		require.Equal(t, d.token, jws(d.secret, header("HS256", ""), payload), "the forger knows how")
		for _, other := range []string{
			header("none", ""), header("None", ""), header("nOnE", ""), header("NONE", ""), header("", ""),
			header("RS256", ""), header("ES256", ""), header("PS256", ""), header("EdDSA", ""), header("HS384", ""), header("HS512", ""), header("hs256", ""),
			header("HS256", `,"crit":["exp"]`), header("HS256", `,"crit":[]`), header("HS256", `,"crit":["x"],"x":1`),
			header("HS256", `,"jku":"https://evil.example/keys"`), header("HS256", `,"x5u":"https://evil.example/cert"`),
			header("HS256", `,"x5c":["AAAA"]`), header("HS256", `,"jwk":{"kty":"oct","k":"AAAA"}`),
			header("HS256", `,"zip":"DEF"`), header("HS256", `,"enc":"A256GCM"`), header("HS256", `,"b64":false,"crit":["b64"]`), header("HS256", `,"cty":"JWT"`),
			header("HS256", `,"alg":"none"`), header("HS256", `,"kid":"x"`), header("HS256", `,"typ":"x"`), header("HS256", `,"exp":1`),
			fmt.Sprintf(`{"alg":"none","alg":"HS256","kid":%q,"typ":%q}`, kid, d.typ),
			fmt.Sprintf(`{"alg":"HS256","kid":"x","kid":%q,"typ":%q}`, kid, d.typ),
			fmt.Sprintf(`{"alg":"HS256","typ":%q,"kid":%q}`, d.typ, kid),
			fmt.Sprintf(`{"alg":"HS256","typ":%q}`, d.typ),
			fmt.Sprintf(`{"alg":"HS256","kid":%q}`, kid),
			fmt.Sprintf(`{"alg":"HS256","kid":%q,"typ":"JWT"}`, kid),
			fmt.Sprintf(`{"alg":"HS256","kid":%q,"typ":"at+jwt"}`, keyID("another secret of tests, 32 bytes and more")),
			`{"alg":"HS256","typ":"JWT"}`, `{"alg":"HS256"}`, `{}`, `[]`, `null`, `"HS256"`, "", header("HS256", "") + " ", "\ufeff" + header("HS256", ""),
		} {
			d.stays(t, h, badToken, "Bearer "+jws(d.secret, other, payload))
			unsigned := base64URL(other) + "." + base64URL(payload)
			d.stays(t, h, badToken, "Bearer "+unsigned+".")
			d.stays(t, h, badToken, "Bearer "+unsigned)
			d.stays(t, h, badToken, "Bearer "+jws("", other, payload))
		}
		for _, id := range []string{
			"../../../../../../dev/null", "/dev/null", "/proc/self/environ", "x' UNION SELECT 'AA", "x' OR '1'='1", "1; DROP TABLE users", "|whoami",
			"http://169.254.169.254/", "file:///etc/passwd", "", "\u0000", strings.ToUpper(kid), kid + "=", kid[:10],
		} {
			forged := fmt.Sprintf(`{"alg":"HS256","kid":%q,"typ":%q}`, id, d.typ)
			for _, secret := range []string{d.secret, "", "\x00", "AA"} {
				d.stays(t, h, badToken, "Bearer "+jws(secret, forged, payload))
			}
		}
	})
}

// Signatures by other methods and other keys, with the header that names them and with
// ours.
//
// ASVS: 7.2.1, 7.2.3, 9.1.1, 9.1.2.
func TestForgedSignatures(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	onDoors(t, func(t *testing.T, h http.Handler, d door) {
		t.Helper()
		payload := base64URL(segmentOf(t, d.token, 1))
		for _, test := range []struct {
			method jwt.SigningMethod
			key    any
		}{
			{jwt.SigningMethodRS256, rsaKey},
			{jwt.SigningMethodPS256, rsaKey},
			{jwt.SigningMethodES256, ecKey},
			{jwt.SigningMethodHS384, []byte(d.secret)},
			{jwt.SigningMethodHS512, []byte(d.secret)},
			{jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType},
		} {
			for _, header := range []string{
				strings.Replace(headerOf(d.secret, d.typ), "HS256", test.method.Alg(), 1),
				headerOf(d.secret, d.typ),
			} {
				signed := base64URL(header) + "." + payload
				signature, err := test.method.Sign(signed, test.key)
				require.NoError(t, err)
				d.stays(t, h, badToken, "Bearer "+signed+"."+base64URL(string(signature)))
			}
		}
		signed := base64URL(headerOf(d.secret, d.typ)) + "." + payload
		other := accessSecret
		if d.secret == accessSecret {
			other = refreshSecret
		}
		for _, mac := range [][]byte{
			sum(sha256.New, other, signed),
			sum(sha256.New, "", signed),
			sum(sha256.New, d.secret+"\x00", signed)[:31],
			sum(sha512.New, d.secret, signed)[:32],
			sum(sha256.New, d.secret, payload),
			sum(sha256.New, d.secret, segmentOf(t, d.token, 1)),
			sum(sha256.New, keyID(d.secret), signed),
			append(sum(sha256.New, d.secret, signed), 0),
			append([]byte{0}, sum(sha256.New, d.secret, signed)...),
			sum(sha256.New, d.secret, signed)[:16],
			make([]byte, 32),
			make([]byte, 1),
		} {
			d.stays(t, h, badToken, "Bearer "+signed+"."+base64URL(string(mac)))
		}
		for _, secret := range []string{
			"secret", "password", "avSjekkd4526Dkeo586Dhjdsf52ba", "j82dDJKE3643LIEJ253DjEL35223dHek52ed", strings.ToUpper(d.secret), d.secret + "\n",
		} {
			d.stays(t, h, badToken, "Bearer "+jws(secret, headerOf(d.secret, d.typ), segmentOf(t, d.token, 1)))
			d.stays(t, h, badToken, "Bearer "+jws(secret, headerOf(secret, d.typ), segmentOf(t, d.token, 1)))
		}
	})
}

func sum(h func() hash.Hash, secret, text string) []byte {
	mac := hmac.New(h, []byte(secret))
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// A token opens the door that it was made for (RFC 8725, sections 3.11 and 3.12).
//
// ASVS: 2.3.1, 9.2.2.
// Advisory: CVE-2026-55669.
func TestTokensOfOtherTypes(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, "ann@example.com")
	tokens := w.logIn(t, "ann@example.com")
	h := w.Handler("")
	access, refresh := segmentOf(t, tokens.AccessToken, 1), segmentOf(t, tokens.RefreshToken, 1)
	for _, d := range doors(tokens) {
		payload, other, otherToken := access, refresh, tokens.RefreshToken
		if d.typ == "rt+jwt" {
			payload, other, otherToken = refresh, access, tokens.AccessToken
		}
		otherTyp := map[string]string{"at+jwt": "rt+jwt", "rt+jwt": "at+jwt"}[d.typ]
		d.stays(t, h, badToken, "Bearer "+otherToken)
		d.stays(t, h, badToken, "Bearer "+jws(d.secret, headerOf(d.secret, otherTyp), payload))
		d.stays(t, h, badToken, "Bearer "+jws(d.secret, headerOf(d.secret, otherTyp), other))
		d.stays(t, h, badToken, "Bearer "+jws(d.secret, headerOf(d.secret, d.typ), other))
	}
}

// The claims say whose the token is, and the row whose the session is: both must agree.
// What a database would take for the user's number is another user, too.
//
// ASVS: 7.2.3.
func TestRefreshTokensOfAnotherUser(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, "ann@example.com")
		w.signUp(t, "bob@example.com")
		ann, bob := w.logIn(t, "ann@example.com"), w.logIn(t, "bob@example.com")
		h := w.Handler("")
		before := []auth.SessionState{w.row(t, ann.SessionID), w.row(t, bob.SessionID)}
		own := membersOf(t, ann.RefreshToken)
		quote := func(s fmt.Stringer) string { return `"` + s.String() + `"` }
		for _, forged := range []members{
			own.with("sub", `"`+string(bob.UserID)+`"`),
			own.with("sid", quote(bob.SessionID)),
			own.with("sub", `"4711"`), own.with("sub", `"0"`), own.with("sub", `"-1"`), own.with("sub", `"01"`), own.with("sub", `" 1"`),
			own.with("sub", `"1 "`), own.with("sub", `"1.0"`), own.with("sub", `"+1"`), own.with("sub", `"1e0"`), own.with("sub", `"0x1"`), own.with("sub", `"1a"`),
			own.with("sub", `"１"`), own.with("sub", `"1\u0000"`), own.with("sub", `"1' OR '1'='1"`), own.with("sub", `"%"`), own.with("sub", `"18446744073709551617"`),
			own.with("sub", `"`+strings.Repeat("1", 65)+`"`), own.with("sub", repeated("1", 4000)),
			own.with("sid", `"00000000000000000000000000000000"`),
		} {
			for _, d := range doors(ann)[1:] {
				got := d.try(t, h, "Bearer "+refreshJWS(forged.String()))
				assert.Equal(t, http.StatusUnauthorized, got.status, "%.200s: %s", forged, got.body)
			}
		}
		assert.Equal(t, before, []auth.SessionState{w.row(t, ann.SessionID), w.row(t, bob.SessionID)}, "nobody's session changed")
	})
}

// Profile reads the user whom the claims name, and no other whom a database would find.
func TestAccessTokensOfOtherSubjects(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, "ann@example.com")
		tokens := w.logIn(t, "ann@example.com")
		h := w.Handler("")
		own := membersOf(t, tokens.AccessToken)
		for _, sub := range []string{
			`"4711"`, `"0"`, `"-1"`, `"01"`, `" 1"`, `"1 "`, `"1.0"`, `"+1"`, `"1e0"`, `"0x1"`, `"1a"`, `"１"`, `"1\u0000"`, `"1' OR '1'='1"`, `"%"`, `"18446744073709551617"`, repeated("1", 4000),
		} {
			got := doors(tokens)[0].try(t, h, "Bearer "+accessJWS(own.with("sub", sub).String()))
			assert.Equal(t, http.StatusUnauthorized, got.status, "%.100s: %s", sub, got.body)
		}
		assert.Equal(t, http.StatusOK, doors(tokens)[0].try(t, h, "Bearer "+accessJWS(own.String())).status)
	})
}

// Of the texts of one token one is accepted (CVE-2026-27840, and the malleability of
// base64url).
//
// ASVS: 9.1.1.
// Advisory: CVE-2026-27840.
func TestVariantsOfATokensText(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	onDoors(t, func(t *testing.T, h http.Handler, d door) {
		t.Helper()
		for i := range len(d.token) {
			for _, text := range []string{d.token[:i], d.token[i+1:], d.token[:i] + d.token[i+1:], d.token[:i] + "\n" + d.token[i:], flipCase(d.token, i)} {
				if text != d.token {
					d.stays(t, h, badToken, "Bearer "+text)
				}
			}
		}
		last := len(d.token) - 1
		for _, c := range alphabet {
			if byte(c) != d.token[last] {
				d.stays(t, h, badToken, "Bearer "+d.token[:last]+string(c))
			}
		}
		parts := strings.Split(d.token, ".")
		for _, text := range []string{
			d.token + "=", d.token + "==", d.token + "%3D", d.token + ".", "." + d.token, d.token + "." + parts[2], d.token + "A", d.token + "AAAA",
			parts[0] + "=." + parts[1] + "." + parts[2], parts[0] + "." + parts[1] + "=." + parts[2], parts[0] + "." + parts[1] + "==." + parts[2],
			strings.ToLower(d.token), strings.ToUpper(d.token), d.token + d.token,
			strings.ReplaceAll(d.token, ".", "%2E"), strings.ReplaceAll(d.token, ".", ".."), strings.ReplaceAll(d.token, ".", ","),
			parts[1] + "." + parts[0] + "." + parts[2], parts[0] + ".." + parts[2], parts[0] + "." + parts[1] + ".", parts[0] + "." + parts[1] + ".~",
			fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, parts[0], parts[1], parts[2]),
			fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q}]}`, parts[1], parts[0], parts[2]),
			parts[0] + ".AAAA.AAAA." + parts[1] + "." + parts[2], // the five segments of a JWE
		} {
			d.stays(t, h, badToken, "Bearer "+text)
		}
	})
}

// flipCase is s with the case of its i-th letter changed.
func flipCase(s string, i int) string {
	c := s[i : i+1]
	if c == strings.ToLower(c) {
		return s[:i] + strings.ToUpper(c) + s[i+1:]
	}
	return s[:i] + strings.ToLower(c) + s[i+1:]
}

// A JWS in JSON (RFC 7515, section 7.2) is no refresh token either.
func TestSerializedTokensInBodies(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, "ann@example.com")
	token := w.logIn(t, "ann@example.com").RefreshToken
	parts := strings.Split(token, ".")
	serialized := fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, parts[0], parts[1], parts[2])
	s := serve(t, w.Handler(""))
	for body, code := range map[string]string{
		`{"refresh_token":` + serialized + `}`:                                noToken,
		serialized:                                                            noToken,
		object(t, "refresh_token", serialized):                                badToken,
		`{"refresh_token":["` + token + `"]}`:                                 noToken,
		object(t, "refresh_token", "Bearer "+token):                           badToken,
		object(t, "refresh_token", w.logIn(t, "ann@example.com").AccessToken): badToken,
	} {
		got := s.do(t, http.MethodPost, "/refresh", body)
		assert.Equal(t, http.StatusUnauthorized, got.status, body)
		assert.Equal(t, code, got.message(t).Code, body)
	}
}
