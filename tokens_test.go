package auth_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// number is an instant or another number as a payload holds it.
func number(n int64) json.Number { return json.Number(strconv.FormatInt(n, 10)) }

// ASVS: 9.2.4.
func TestAccessTokenClaims(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.freeze()
		w.signUp(t, "ann@example.com")
		tokens := w.logIn(t, "ann@example.com")
		began := w.clock.Now().Unix()
		w.clock.add(90 * time.Second)
		refreshed, err := w.Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
		require.NoError(t, err)
		var ids []any
		for _, test := range []struct {
			token string
			iat   int64
		}{{tokens.AccessToken, began}, {refreshed.AccessToken, began + 90}} {
			got := payloadOf(t, test.token)
			jti, ok := got["jti"].(string)
			require.True(t, ok)
			raw, err := hex.DecodeString(jti)
			require.NoError(t, err)
			assert.Len(t, raw, 16)
			ids = append(ids, jti)
			assert.Equal(t, map[string]any{
				"iss":       "auth",
				"aud":       "auth",
				"sub":       string(tokens.UserID),
				"iat":       number(test.iat),
				"exp":       number(test.iat + 20*60),
				"jti":       jti,
				"sid":       tokens.SessionID.String(),
				"auth_time": number(began),
			}, got)
			claims, err := w.Verify(test.token)
			require.NoError(t, err)
			assert.Equal(t, auth.Claims{
				UserID:    tokens.UserID,
				SessionID: tokens.SessionID,
				ID:        jti,
				IssuedAt:  time.Unix(test.iat, 0).UTC(),
				ExpiresAt: time.Unix(test.iat+20*60, 0).UTC(),
				AuthTime:  time.Unix(began, 0).UTC(),
			}, ours(claims))
		}
		assert.NotEqual(t, ids[0], ids[1])
		assert.Equal(t, 20*time.Minute, tokens.ExpiresIn)
		assert.Equal(t, 20*time.Minute, refreshed.ExpiresIn)
	})
}

func TestRefreshTokenClaims(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.freeze()
		w.signUp(t, "ann@example.com")
		tokens := w.logIn(t, "ann@example.com")
		began := w.clock.Now().Unix()
		w.clock.add(90 * time.Second)
		refreshed, err := w.Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
		require.NoError(t, err)
		for i, test := range []struct {
			token string
			at    int64
		}{{tokens.RefreshToken, began}, {refreshed.RefreshToken, began + 90}} {
			assert.Equal(t, map[string]any{
				"sub":       string(tokens.UserID),
				"sid":       tokens.SessionID.String(),
				"gen":       number(int64(i + 1)),
				"exp":       number(test.at + 24*60*60),
				"auth_time": number(began),
				"max":       number(began + 30*24*60*60),
			}, payloadOf(t, test.token))
		}
	})
}

// An instant of Config.Now is cut to its second, so that nothing of a token lies in the
// future of the clock that made it.
func TestTokensCountInWholeSeconds(t *testing.T) {
	w := onMemory(t) // its clock stands 123 ms after a second
	w.signUp(t, "ann@example.com")
	tokens := w.logIn(t, "ann@example.com")
	second := w.clock.Now().Truncate(time.Second)
	require.NotEqual(t, second, w.clock.Now())
	assert.Equal(t, number(second.Unix()), payloadOf(t, tokens.AccessToken)["iat"])
	row := w.state(t, tokens.SessionID)
	assert.Equal(t, second, row.AuthenticatedAt)
	assert.Equal(t, second.Add(24*time.Hour), row.ExpiresAt)
	assert.Equal(t, second.Add(30*24*time.Hour), row.MaxExpiresAt)
}

// No access token outlives its session (but by the leeway).
func TestAccessTokensEndWithTheSession(t *testing.T) {
	w := onMemory(t, func(c *auth.Config) {
		c.Tokens.IdleTTL, c.Tokens.MaxTTL, c.Tokens.AccessTTL = time.Hour, time.Hour, time.Hour
	})
	w.signUp(t, "ann@example.com")
	tokens := w.logIn(t, "ann@example.com")
	end := w.clock.Now().Truncate(time.Second).Add(time.Hour).Unix()
	w.advance(59 * time.Minute)
	refreshed, err := w.Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
	require.NoError(t, err)
	assert.Equal(t, number(end), payloadOf(t, refreshed.AccessToken)["exp"])
	assert.Equal(t, number(end), payloadOf(t, refreshed.RefreshToken)["exp"])
	assert.Equal(t, time.Minute, refreshed.ExpiresIn)
}

// Header and key ID are a promise: another spelling would refuse every token that is out.
//
// ASVS: 11.4.3.
func TestTokenHeaders(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, "ann@example.com")
	tokens := w.logIn(t, "ann@example.com")
	for _, test := range []struct{ token, secret, header string }{
		{tokens.AccessToken, accessSecret, `{"alg":"HS256","kid":"L_1M9bUBXww","typ":"at+jwt"}`},
		{tokens.RefreshToken, refreshSecret, `{"alg":"HS256","kid":"LPOrky4MZj4","typ":"rt+jwt"}`},
	} {
		assert.Equal(t, test.header, segmentOf(t, test.token, 0))
		kid := keyID(test.secret)
		assert.Contains(t, test.header, `"kid":"`+kid+`"`)

		// A guess of the secret must not be to prove from the key ID alone.
		hash := sha256.Sum256([]byte(test.secret))
		thumbprint := sha256.Sum256([]byte(`{"k":"` + base64URL(test.secret) + `","kty":"oct"}`)) // RFC 7638
		mac := hmacSHA256("github.com/ostiary/auth key id", test.secret)
		for _, plain := range [][]byte{hash[:], thumbprint[:], mac, []byte(test.secret)} {
			for _, encoded := range []string{base64.RawURLEncoding.EncodeToString(plain), hex.EncodeToString(plain)} {
				assert.NotContains(t, encoded, kid)
			}
		}
	}
}

// Another implementation verifies our access tokens by their alg, iss, aud and times.
func TestAccessTokensAreJWTs(t *testing.T) {
	w := onMemory(t, func(c *auth.Config) { c.Tokens.Issuer, c.Tokens.Audience = "https://id.example.com", "orders" })
	w.signUp(t, "ann@example.com")
	tokens := w.logIn(t, "ann@example.com")
	parsed, err := jwt.Parse(tokens.AccessToken, func(*jwt.Token) (any, error) { return []byte(accessSecret), nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuer("https://id.example.com"), jwt.WithAudience("orders"),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithStrictDecoding(), jwt.WithTimeFunc(w.clock.Now))
	require.NoError(t, err)
	assert.Equal(t, "at+jwt", parsed.Header["typ"])
	subject, err := parsed.Claims.GetSubject()
	require.NoError(t, err)
	assert.Equal(t, string(tokens.UserID), subject)
	_, err = w.Verify(tokens.AccessToken)
	require.NoError(t, err)
}

// at stops the clock of Config.Now at an instant.
func (w *world) at(now time.Time) { w.clock.add(now.Sub(w.clock.Now())) }

// ASVS: 9.2.1.
func TestAccessTokenExpiry(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, "ann@example.com")
	token := w.logIn(t, "ann@example.com").AccessToken
	claims, err := w.Verify(token)
	require.NoError(t, err)
	exp := claims.ExpiresAt
	const leeway = 30 * time.Second
	for _, test := range []struct {
		at   time.Time
		want error
	}{
		{exp.Add(-time.Second), nil},
		{exp, nil},
		{exp.Add(leeway - time.Second), nil},
		{exp.Add(leeway - time.Nanosecond), nil},
		{exp.Add(leeway), auth.ErrTokenExpired},
		{exp.Add(leeway + time.Second), auth.ErrTokenExpired},
		{exp.AddDate(100, 0, 0), auth.ErrTokenExpired},
		{claims.IssuedAt.Add(-24 * time.Hour), nil}, // an instance whose clock is behind
	} {
		w.at(test.at)
		_, err := w.Verify(token)
		if test.want == nil {
			require.NoError(t, err, test.at)
			continue
		}
		require.ErrorIs(t, err, test.want, test.at)
		require.ErrorIs(t, err, auth.ErrInvalidToken)
	}
}

// The row's expiry decides, by Config.Now and without leeway; a token that is older than
// that by more than Grace is not even looked up.
//
// ASVS: 9.2.1, 10.4.8.
func TestRefreshTokenExpiry(t *testing.T) {
	for _, test := range []struct {
		late  time.Duration
		want  error
		reads bool
	}{
		{-time.Second, nil, true},
		{-time.Nanosecond, nil, true},
		{0, auth.ErrSessionEnded, true},
		{time.Minute, auth.ErrSessionEnded, true},
		{time.Minute + time.Second, auth.ErrTokenExpired, false},
	} {
		t.Run(test.late.String(), func(t *testing.T) {
			w := onMemory(t)
			w.signUp(t, "ann@example.com")
			tokens := w.logIn(t, "ann@example.com")
			a, script := w.scripted(t)
			w.at(w.state(t, tokens.SessionID).ExpiresAt.Add(test.late))
			script.reset()
			_, err := a.Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
			if test.want == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, test.want)
			}
			assert.Equal(t, test.reads, len(script.calls()) > 0)
		})
	}
}

// 128 random bits in each, so that no two are ever the same.
//
// ASVS: 7.2.2, 11.5.1.
func TestTokenIDsAreUnique(t *testing.T) {
	w := onMemory(t)
	id := w.signUp(t, "ann@example.com")
	met, sessions := map[string]bool{}, map[auth.SessionID]bool{}
	for range 10_000 {
		tokens, err := w.StartSession(t.Context(), id, auth.Client{})
		require.NoError(t, err)
		claims, err := w.Verify(tokens.AccessToken)
		require.NoError(t, err)
		require.False(t, met[claims.ID], "jti")
		require.False(t, sessions[claims.SessionID], "sid")
		met[claims.ID], sessions[claims.SessionID] = true, true
	}
}

// IDs of a host's users are any text; what no token can carry is the store's fault.
func TestUserIDsInTokens(t *testing.T) {
	w := onMemory(t)
	for id, ok := range map[auth.UserID]bool{
		"0190163d-8694-739b-aea5-966c26f8ad91": true, "\"}<é😀>\\": true, "a": true, auth.UserID(strings.Repeat("a", 64)): true,
		"": false, auth.UserID(strings.Repeat("a", 65)): false, "a\xff": false,
	} {
		stores := w.stores
		stores.Users, stores.SharedUsers = oneUser{stores.Users, id}, false
		stores.Refresh = anySession{stores.Refresh}
		a, err := auth.New(stores, config(w.clock, w.log))
		require.NoError(t, err)
		tokens, err := a.StartSession(t.Context(), id, auth.Client{})
		if !ok {
			require.ErrorContains(t, err, "user ID")
			require.NotErrorIs(t, err, auth.ErrInvalidToken)
			continue
		}
		require.NoError(t, err)
		claims, err := a.Verify(tokens.AccessToken)
		require.NoError(t, err)
		assert.Equal(t, id, claims.UserID)
		assert.Equal(t, string(id), payloadOf(t, tokens.RefreshToken)["sub"])
		got := direct(t, a.Handler(""), newRequest(t, http.MethodGet, "/profile", "", "Authorization", "Bearer "+tokens.AccessToken))
		assert.Equal(t, string(id), decodeJSON[struct{ User struct{ ID string } }](t, got.body).User.ID, "IntegerIDs is for numbers alone")
	}
}

// oneUser has one user, whoever is asked for.
type oneUser struct {
	auth.UserStore

	id auth.UserID
}

func (s oneUser) UserByID(context.Context, auth.UserID) (auth.UserRecord, error) {
	return auth.UserRecord{User: auth.User{ID: s.id}, AuthVersion: 1}, nil
}

// anySession takes whatever session comes.
type anySession struct{ auth.RefreshStore }

func (anySession) CreateSession(context.Context, auth.Session, int64) error { return nil }
