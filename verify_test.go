package auth_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// verdicts checks what Verify says of access tokens with these payloads, all of them
// signed with our key.
func verdicts(t *testing.T, w *world, want error, payloads map[string]string) {
	t.Helper()
	for name, payload := range payloads {
		claims, err := w.Verify(accessJWS(payload))
		if want == nil {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorIs(t, err, want, "%s: %.200s", name, payload)
		assert.Zero(t, claims, name)
	}
}

// ASVS: 7.2.1, 9.2.1, 9.2.3, 15.3.5.
// Advisory: CVE-2020-26160, GHSA-fpw6-hrg5-q5x5, CVE-2026-55669.
func TestAccessTokenClaimsAreStrict(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, "ann@example.com")
	own := membersOf(t, w.logIn(t, "ann@example.com").AccessToken)
	verdicts(t, w, nil, map[string]string{"its own": own.String()})

	bad := map[string]string{
		"empty": "{}", "no object": "[]", "null": "null", "text": `"x"`, "nothing": "", "no JSON": "x", "cut": own.String()[:40],
		"after it": own.String() + "x", "another after it": own.String() + own.String(), "NUL after it": own.String() + "\x00",
		"byte order mark": "\ufeff" + own.String(), "no UTF-8": own.with("x", "\"\xff\"").String(),
		"nested": own.with("x", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]").String(),
	}
	for _, m := range own {
		bad["without "+m.name] = own.without(m.name).String()
		bad["twice "+m.name] = append(own.with("x", "1"), m).String()
		for _, name := range caseVariants(m.name) {
			var other string
			require.NoError(t, json.Unmarshal([]byte(name), &other))
			bad["only as "+other] = own.without(m.name).with(other, m.value).String()
			bad["and as "+other] = own.with(other, m.value).String()
		}
		for _, value := range []string{"null", "true", "{}", "[]", `""`, "[" + m.value + "]"} {
			bad[m.name+" "+value] = own.with(m.name, value).String()
		}
	}
	for _, name := range []string{"iat", "exp", "auth_time"} {
		value := own.value(t, name)
		for _, other := range []string{
			`"` + value + `"`, value + ".0", value + ".5", value + "e0", "1e10", "-1", "-0", "0" + value, "9223372036854775807", "9223372036854775808",
			"253402300800", "1e400", "0x7fffffff", "NaN", "Infinity", `"2030-01-01T00:00:00Z"`,
		} {
			bad[name+" "+other] = own.with(name, other).String()
		}
	}
	for _, name := range []string{"iss", "aud", "sub", "jti", "sid"} {
		for _, other := range []string{"1", "0", "1.5", "false"} {
			bad[name+" "+other] = own.with(name, other).String()
		}
	}
	for _, name := range []string{"iss", "aud"} {
		for _, other := range []string{
			`"other"`, `"Auth"`, `"auth "`, `" auth"`, `"auth/"`, `"auth\u0000"`, `["auth"]`, `["auth","other"]`, `["other","auth"]`, `{"auth":true}`, `"auth,other"`, `"аuth"`,
		} {
			bad[name+" "+other] = own.with(name, other).String()
		}
	}
	for _, sid := range []string{
		`"x"`, `"0123456789ABCDEF0123456789ABCDEF"`, `"0123456789abcdef0123456789abcde"`, `"0123456789abcdef0123456789abcdef0"`, `"0123456789abcdef0123456789abcdeg"`,
		`"01234567-89ab-cdef-0123-456789abcdef"`,
	} {
		bad["sid "+sid] = own.with("sid", sid).String()
	}
	for _, sub := range []string{repeated("1", 65), repeated("é", 33)} {
		bad["sub "+sub] = own.with("sub", sub).String()
	}
	for _, nbf := range []string{"null", `"1"`, "1.5", "-1", "1e3"} {
		bad["nbf "+nbf] = own.with("nbf", nbf).String()
	}
	verdicts(t, w, auth.ErrInvalidToken, bad)

	// An escape is a spelling, not another text. nbf is ours to check, not to mint.
	now := w.clock.Now().Unix()
	verdicts(t, w, nil, map[string]string{
		"escaped iss":           own.with("iss", `"\u0061uth"`).String(),
		"another order":         append(own[4:], own[:4]...).String(),
		"white space":           " " + own.String() + "\n",
		"nbf of the past":       own.with("nbf", "0").String(),
		"nbf now":               own.with("nbf", fmt.Sprint(now)).String(),
		"nbf within the leeway": own.with("nbf", fmt.Sprint(now+30)).String(),
		"sub of 64 bytes":       own.with("sub", repeated("1", 64)).String(),
		"another jti":           own.with("jti", `"x"`).String(),
	})
	verdicts(t, w, auth.ErrInvalidToken, map[string]string{"nbf later": own.with("nbf", fmt.Sprint(now+31)).String()})
	verdicts(t, w, auth.ErrTokenExpired, map[string]string{
		"exp 0":    own.with("exp", "0").String(),
		"exp past": own.with("exp", fmt.Sprint(now-30)).String(),
	})
}

// ours are the claims without the host's, which only Decode tells.
func ours(c auth.Claims) auth.Claims {
	return auth.Claims{
		UserID: c.UserID, SessionID: c.SessionID, ID: c.ID, IssuedAt: c.IssuedAt, ExpiresAt: c.ExpiresAt, AuthTime: c.AuthTime,
	}
}

// Hosts add claims of their own to access tokens. Refresh tokens are ours alone.
func TestOtherClaims(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, "ann@example.com")
	tokens := w.logIn(t, "ann@example.com")
	others := members{{"roles", `["admin"]`}, {"x", "null"}, {"Roles", "1"}, {"client_id", `"app"`}, {"scope", `"a b"`}, {"gen", "1"}, {"", "0"}, {"é", "1"}, {"cnf", `{"jkt":"x"}`}}
	access, refresh := membersOf(t, tokens.AccessToken), membersOf(t, tokens.RefreshToken)
	want, err := w.Verify(tokens.AccessToken)
	require.NoError(t, err)
	for _, other := range others {
		access = access.with(other.name, other.value)
		got, err := w.Verify(accessJWS(access.String()))
		require.NoError(t, err, other.name)
		assert.Equal(t, ours(want), ours(got))
	}
	for _, other := range append(others.without("gen"), member{"iat", "1"}, member{"nbf", "1"}, member{"iss", `"auth"`}, member{"aud", `"auth"`}, member{"jti", `"x"`}) {
		_, err := w.Refresh(t.Context(), refreshJWS(refresh.with(other.name, other.value).String()), auth.Client{})
		require.ErrorIs(t, err, auth.ErrTokenMalformed, other.name)
	}
	assert.EqualValues(t, 1, w.state(t, tokens.SessionID).Generation)
	_, err = w.Refresh(t.Context(), refreshJWS(refresh.String()), auth.Client{})
	require.NoError(t, err)
}

// Advisory: GHSA-fpw6-hrg5-q5x5.
func TestRefreshTokenClaimsAreStrict(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, "ann@example.com")
	tokens := w.logIn(t, "ann@example.com")
	own := membersOf(t, tokens.RefreshToken)
	bad := map[string]string{
		"empty": "{}", "no object": "[]", "nothing": "", "no JSON": "x", "after it": own.String() + "x", "another after it": own.String() + own.String(),
	}
	for _, m := range own {
		bad["without "+m.name] = own.without(m.name).String()
		bad["twice "+m.name] = append(slices.Clip(own), m).String()
		for _, name := range caseVariants(m.name) {
			var other string
			require.NoError(t, json.Unmarshal([]byte(name), &other))
			bad["only as "+other] = own.without(m.name).with(other, m.value).String()
		}
		for _, value := range []string{"null", "true", "{}", "[]", `""`, "[" + m.value + "]"} {
			bad[m.name+" "+value] = own.with(m.name, value).String()
		}
	}
	for _, name := range []string{"gen", "exp", "auth_time", "max"} {
		value := own.value(t, name)
		for _, other := range []string{`"` + value + `"`, value + ".0", value + "e0", "-1", "0" + value, "9223372036854775808"} {
			bad[name+" "+other] = own.with(name, other).String()
		}
	}
	bad["gen 0"] = own.with("gen", "0").String()
	bad["exp after 9999"] = own.with("exp", "253402300800").String()
	bad["max after 9999"] = own.with("max", "253402300800").String()
	a, script := w.scripted(t)
	for name, payload := range bad {
		_, err := a.Refresh(t.Context(), refreshJWS(payload), auth.Client{})
		require.ErrorIs(t, err, auth.ErrTokenMalformed, "%s: %s", name, payload)
		require.ErrorIs(t, a.Logout(t.Context(), refreshJWS(payload)), auth.ErrTokenMalformed, name)
	}
	assert.Empty(t, script.calls())
}

// Each error says what is wrong, and a bad signature comes before everything that the
// claims say (CVE-2024-51744).
//
// ASVS: 9.1.1.
// Advisory: CVE-2024-51744.
func TestVerifyErrors(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, "ann@example.com")
	tokens := w.logIn(t, "ann@example.com")
	own := membersOf(t, tokens.AccessToken)
	expired := own.with("exp", "1")
	const other = "another secret of tests, 32 bytes and more"
	for token, want := range map[string]error{
		"":                  auth.ErrTokenMalformed,
		"abc":               auth.ErrTokenMalformed,
		"a.b.c":             auth.ErrTokenSignature,
		tokens.RefreshToken: auth.ErrTokenSignature,
		jws(other, headerOf(accessSecret, "at+jwt"), expired.String()): auth.ErrTokenSignature,
		jws(other, headerOf(other, "at+jwt"), own.String()):            auth.ErrTokenSignature,
		accessJWS(expired.String()):                                    auth.ErrTokenExpired,
		accessJWS(expired.with("iss", `"other"`).String()):             auth.ErrTokenMalformed,
		accessJWS("{}"): auth.ErrTokenMalformed,
	} {
		claims, err := w.Verify(token)
		assert.Zero(t, claims)
		for _, e := range []error{auth.ErrTokenMalformed, auth.ErrTokenSignature, auth.ErrTokenExpired, auth.ErrSessionEnded} {
			assert.Equal(t, errors.Is(want, e), errors.Is(err, e), "%.60s: %v", token, err)
		}
	}
}
