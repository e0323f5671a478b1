package auth_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// refreshClaims is what a refresh token says, member for member.
type refreshClaims struct {
	Subject    string `json:"sub"`
	SessionID  string `json:"sid"`
	Generation int64  `json:"gen"`
	ExpiresAt  int64  `json:"exp"`
	AuthTime   int64  `json:"auth_time"`
	Max        int64  `json:"max"`
}

func segments(t *testing.T, token string) (header, payload, signature string) {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	return parts[0], parts[1], parts[2]
}

func claimsOf(t *testing.T, refreshToken string) refreshClaims {
	t.Helper()
	_, payload, _ := segments(t, refreshToken)
	text, err := base64.RawURLEncoding.DecodeString(payload)
	require.NoError(t, err)
	var claims refreshClaims
	require.NoError(t, json.Unmarshal(text, &claims))
	return claims
}

func generationOf(t *testing.T, tokens auth.Tokens) int64 {
	t.Helper()
	return claimsOf(t, tokens.RefreshToken).Generation
}

// forge is the refresh token with other claims, signed by the right key.
func forge(t *testing.T, refreshToken string, edit func(*refreshClaims)) string {
	t.Helper()
	header, _, _ := segments(t, refreshToken)
	claims := claimsOf(t, refreshToken)
	edit(&claims)
	text, err := json.Marshal(claims)
	require.NoError(t, err)
	signed := header + "." + base64.RawURLEncoding.EncodeToString(text)
	mac := hmac.New(sha256.New, []byte(refreshSecret))
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// atGeneration is the session's refresh token of another generation.
func atGeneration(t *testing.T, refreshToken string, generation int64) string {
	t.Helper()
	return forge(t, refreshToken, func(c *refreshClaims) { c.Generation = generation })
}

// refresh is a refresh that must succeed.
func (w *world) refresh(t *testing.T, refreshToken string) auth.Tokens {
	t.Helper()
	tokens, err := w.Refresh(t.Context(), refreshToken, auth.Client{})
	require.NoError(t, err)
	return tokens
}

// refreshError is the error of a refresh that must fail, and gives no tokens.
func (w *world) refreshError(t *testing.T, refreshToken string) error {
	t.Helper()
	return refreshError(t, w.Authenticator, refreshToken)
}

func refreshError(t *testing.T, a *auth.Authenticator, refreshToken string) error {
	t.Helper()
	tokens, err := a.Refresh(t.Context(), refreshToken, auth.Client{})
	require.Error(t, err)
	require.Equal(t, auth.Tokens{}, tokens)
	return err
}

// row is a session's row as it stands, without the instant of the look at it.
func (w *world) row(t *testing.T, id auth.SessionID) auth.SessionState {
	t.Helper()
	s := w.state(t, id)
	s.ReadAt = time.Time{}
	return s
}

// freeze stops the clock of Config.Now at the beginning of a second, not behind the
// store's.
func (w *world) freeze() {
	w.clock.mu.Lock()
	defer w.clock.mu.Unlock()
	if w.clock.frozen.IsZero() {
		w.clock.frozen = time.Now()
	}
	w.clock.frozen = w.clock.frozen.Truncate(time.Second).Add(time.Second)
}
