package auth_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The tests of tokens make and read them by these functions, which share no code with
// what they test.

// keyID is the kid of an HMAC key.
func keyID(secret string) string {
	return base64.RawURLEncoding.EncodeToString(hmacSHA256(secret, "github.com/ostiary/auth key id")[:8])
}

func hmacSHA256(secret, text string) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// headerOf is the header of our tokens of a type.
func headerOf(secret, typ string) string {
	return fmt.Sprintf(`{"alg":"HS256","kid":"%s","typ":"%s"}`, keyID(secret), typ)
}

// jws is the compact JWS of any header and payload, signed by HMAC-SHA-256.
func jws(secret, header, payload string) string {
	signed := base64URL(header) + "." + base64URL(payload)
	return signed + "." + base64URL(string(hmacSHA256(secret, signed)))
}

// accessJWS is an access token, and refreshJWS a refresh token, with any payload.
func accessJWS(payload string) string {
	return jws(accessSecret, headerOf(accessSecret, "at+jwt"), payload)
}

func refreshJWS(payload string) string {
	return jws(refreshSecret, headerOf(refreshSecret, "rt+jwt"), payload)
}

func base64URL(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// segmentOf decodes the i-th segment of a token.
func segmentOf(t *testing.T, token string, i int) string {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	text, err := base64.RawURLEncoding.DecodeString(parts[i])
	require.NoError(t, err)
	return string(text)
}

// payloadOf is a token's claims, numbers as they are written.
func payloadOf(t *testing.T, token string) map[string]any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader([]byte(segmentOf(t, token, 1))))
	decoder.UseNumber()
	var claims map[string]any
	require.NoError(t, decoder.Decode(&claims))
	return claims
}

// member is a member of a JSON object, its value as it is written.
type member struct{ name, value string }

// members is a payload to be edited, in its order.
type members []member

// membersOf is a token's payload.
func membersOf(t *testing.T, token string) members {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(segmentOf(t, token, 1)))
	_, err := decoder.Token()
	require.NoError(t, err)
	var m members
	for decoder.More() {
		name, err := decoder.Token()
		require.NoError(t, err)
		var value json.RawMessage
		require.NoError(t, decoder.Decode(&value))
		m = append(m, member{fmt.Sprint(name), string(value)})
	}
	return m
}

// with is m with another value for a member, which comes last if m has none of its name.
func (m members) with(name, value string) members {
	out := members{}
	found := false
	for _, x := range m {
		if x.name == name {
			x.value, found = value, true
		}
		out = append(out, x)
	}
	if !found {
		out = append(out, member{name, value})
	}
	return out
}

// without is m without a member.
func (m members) without(name string) members {
	out := members{}
	for _, x := range m {
		if x.name != name {
			out = append(out, x)
		}
	}
	return out
}

// value is the value of a member, which m must have.
func (m members) value(t *testing.T, name string) string {
	t.Helper()
	for _, x := range m {
		if x.name == name {
			return x.value
		}
	}
	require.Fail(t, "no such member", name)
	return ""
}

// String is the JSON object.
func (m members) String() string {
	parts := make([]string, len(m))
	for i, x := range m {
		parts[i] = fmt.Sprintf("%q:%s", x.name, x.value)
	}
	return "{" + strings.Join(parts, ",") + "}"
}
