package auth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// rsaSigner is one key for all tests, since those of RSA take long to make.
var rsaSigner = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// ed25519Signer is the key of a seed.
func ed25519Signer(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune('a'+seed)), ed25519.SeedSize)))
}

// signers are a signer for each algorithm but HMAC.
func signers(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	rsaKey, err := rsaSigner()
	require.NoError(t, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return map[string]crypto.Signer{"EdDSA": ed25519Signer(0), "ES256": ecKey, "RS256": rsaKey}
}

// signedBy sets the access keys.
func signedBy(signers ...crypto.Signer) func(*auth.Config) {
	return func(c *auth.Config) {
		c.Tokens.AccessKeys = nil
		for _, s := range signers {
			c.Tokens.AccessKeys = append(c.Tokens.AccessKeys, auth.SignerKey(s))
		}
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

// The algorithm follows from the key, and refresh tokens stay with HMAC.
//
// ASVS: 11.4.3.
func TestSignerKeys(t *testing.T) {
	for alg, s := range signers(t) {
		t.Run(alg, func(t *testing.T) {
			w := onMemory(t, signedBy(s))
			id := w.signUp(t, ann)
			tokens := w.logIn(t, ann)
			claims, err := w.Verify(tokens.AccessToken)
			require.NoError(t, err)
			assert.Equal(t, id, claims.UserID)
			assert.Equal(t, tokens.SessionID, claims.SessionID)
			next := w.refresh(t, tokens.RefreshToken)
			_, err = w.Verify(next.AccessToken)
			require.NoError(t, err)
			assert.Equal(t, headerOf(refreshSecret, "rt+jwt"), segmentOf(t, tokens.RefreshToken, 0))

			parsed, err := jwt.Parse(tokens.AccessToken, func(*jwt.Token) (any, error) { return s.Public(), nil },
				jwt.WithValidMethods([]string{alg}), jwt.WithTimeFunc(w.clock.Now), jwt.WithIssuer("auth"), jwt.WithAudience("auth"), jwt.WithExpirationRequired())
			require.NoError(t, err, "another implementation reads it")
			sub, err := parsed.Claims.GetSubject()
			require.NoError(t, err)
			assert.Equal(t, string(id), sub)

			_, err = w.Refresh(t.Context(), tokens.AccessToken, auth.Client{})
			require.ErrorIs(t, err, auth.ErrInvalidToken)
			_, err = w.Verify(tokens.RefreshToken)
			require.ErrorIs(t, err, auth.ErrInvalidToken)
		})
	}
}

// ASVS: 11.6.1.
func TestNewRefusesSigners(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	good, same, other := ed25519Signer(0), ed25519Signer(0), ed25519Signer(1)
	keys := func(signers ...crypto.Signer) []auth.Key {
		var c auth.Config
		signedBy(signers...)(&c)
		return c.Tokens.AccessKeys
	}
	for name, test := range map[string]struct {
		access, refresh []auth.Key
		want            string
	}{
		"nil":                  {keys(nil), ring(refreshSecret), "auth: Config.Tokens.AccessKeys[0] has no signer: it is nil"},
		"nil pointer":          {keys((*ecdsa.PrivateKey)(nil)), ring(refreshSecret), "auth: Config.Tokens.AccessKeys[0] has a signer of the type *ecdsa.PrivateKey whose Public panics"},
		"another curve":        {keys(good, p384), ring(refreshSecret), "auth: Config.Tokens.AccessKeys[1] is an ECDSA key on another curve than P-256"},
		"a key twice":          {keys(good, other, same), ring(refreshSecret), "auth: Config.Tokens.AccessKeys[2] equals [0]"},
		"for refresh tokens":   {ring(accessSecret), keys(good), "auth: Config.Tokens.RefreshKeys[0] is a SignerKey: refresh tokens take HMACKey alone"},
		"beside another there": {ring(accessSecret), append(ring(refreshSecret), keys(good)...), "auth: Config.Tokens.RefreshKeys[1] is a SignerKey: refresh tokens take HMACKey alone"},
		"nil, refresh":         {ring(accessSecret), keys(nil), "auth: Config.Tokens.RefreshKeys[0] has no signer: it is nil"},
		"two nils":             {keys(nil, nil), ring(refreshSecret), "auth: Config.Tokens.AccessKeys[0] has no signer: it is nil\nauth: Config.Tokens.AccessKeys[1] has no signer: it is nil"},
		"one for both": {keys(good), keys(same), "auth: Config.Tokens.AccessKeys[0] equals RefreshKeys[0]: a leak of the one must not open the other\n" +
			"auth: Config.Tokens.RefreshKeys[0] is a SignerKey: refresh tokens take HMACKey alone"},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := auth.New(memStores(), auth.Config{Tokens: auth.TokenOptions{AccessKeys: test.access, RefreshKeys: test.refresh}})
			require.EqualError(t, err, test.want)
			assert.Nil(t, a)
		})
	}
}

// Public is asked once, whatever it would answer later.
func TestSignersAreAskedForTheirPublicPartOnce(t *testing.T) {
	var calls atomic.Int32
	w := onMemory(t, signedBy(publicOnce{ed25519Signer(0), &calls}))
	w.signUp(t, ann)
	_, err := w.Verify(w.logIn(t, ann).AccessToken)
	require.NoError(t, err)
	assert.Equal(t, int32(1), calls.Load())
}

type publicOnce struct {
	crypto.Signer

	calls *atomic.Int32
}

func (p publicOnce) Public() crypto.PublicKey {
	if p.calls.Add(1) > 1 {
		return nil
	}
	return p.Signer.Public()
}

// A KMS that fails, or signs with another key, logs nobody out, moves no generation and
// lets nobody in; the answer is 503, and once it works again all goes on.
//
// ASVS: 11.2.5.
func TestSignersThatFailConsumeNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		var sign func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error)
		good, other := ed25519Signer(0), ed25519Signer(1)
		a := w.another(t, signedBy(kms{good, func(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			return sign(rand, digest, opts)
		}}))
		s := serve(t, a.Handler(""))
		sign = good.Sign
		w.signUp(t, ann)
		tokens := s.do(t, http.MethodPost, "/login", loginBody(t, ann)).tokens(t)
		claims, err := a.Verify(tokens.AccessToken)
		require.NoError(t, err)
		before := w.row(t, claims.SessionID)
		for name, f := range map[string]func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error){
			"an error": func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
				return nil, errors.New("the fault of the KMS")
			},
			"an error of ours": func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, auth.ErrInvalidCredentials },
			"late":             func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, context.DeadlineExceeded },
			"junk":             func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return []byte("junk"), nil },
			"another key's":    other.Sign,
		} {
			sign = f
			for _, got := range []reply{
				s.do(t, http.MethodPost, "/login", loginBody(t, ann)),
				s.do(t, http.MethodPost, "/refresh", object(t, "refresh_token", tokens.RefreshToken)),
				s.do(t, http.MethodPost, "/reauth", object(t, "password", password), "Authorization", "Bearer "+tokens.AccessToken),
			} {
				assert.Equal(t, http.StatusServiceUnavailable, got.status, name)
				assert.NotContains(t, got.body, "KMS")
			}
			got := s.do(t, http.MethodGet, "/profile", "", "Authorization", "Bearer "+tokens.AccessToken)
			assert.Equal(t, http.StatusOK, got.status, "what was given is still accepted")
		}
		assert.Contains(t, w.log.String(), "the fault of the KMS")
		assert.Equal(t, before, w.row(t, claims.SessionID))
		sessions, err := a.Sessions(t.Context(), claims.UserID, claims.SessionID)
		require.NoError(t, err)
		assert.Len(t, sessions, 1, "no login has left one")
		sign = good.Sign
		next := s.do(t, http.MethodPost, "/refresh", object(t, "refresh_token", tokens.RefreshToken)).tokens(t)
		_, err = a.Verify(next.AccessToken)
		require.NoError(t, err)
	})
}

// longIDs are stores whose users have the longest IDs, which JSON makes six times as long.
type longIDs struct {
	auth.UserStore
	auth.RefreshStore

	real auth.UserID
}

func longID() auth.UserID { return auth.UserID(strings.Repeat("<", 64)) }

func (s longIDs) UserByEmail(ctx context.Context, key string) (auth.UserRecord, error) {
	u, err := s.UserStore.UserByEmail(ctx, key)
	u.ID = longID()
	return u, err
}

func (s longIDs) CreateSession(ctx context.Context, row auth.Session, authVersion int64) error {
	row.UserID = s.real
	return s.RefreshStore.CreateSession(ctx, row, authVersion)
}

func (s longIDs) ReadSession(ctx context.Context, id auth.SessionID) (auth.SessionState, error) {
	state, err := s.RefreshStore.ReadSession(ctx, id)
	state.UserID = longID()
	return state, err
}

func (s longIDs) RotateSession(ctx context.Context, r auth.Rotation) (bool, error) {
	r.UserID = s.real
	return s.RefreshStore.RotateSession(ctx, r)
}

// An access token that would be too long for whoever verifies it is not made: the answer is
// 500, the log says why, and nothing is consumed. It takes the longest of everything.
func TestTokensThatWouldBeTooLong(t *testing.T) {
	signer, err := rsa.GenerateMultiPrimeKey(rand.Reader, 16, 8192) //nolint:staticcheck // of two primes it takes long to make
	require.NoError(t, err)
	w := onMemory(t)
	id := w.signUp(t, ann)
	stores := w.stores
	long := longIDs{stores.Users, stores.Refresh, id}
	stores.Users, stores.Refresh = long, long
	largest := func(c *auth.Config) {
		c.Tokens.Issuer = strings.Repeat("i", 253)
		c.ExtraClaims = func(context.Context, auth.UserID, auth.Session) (any, error) { return sized(4096), nil }
	}
	good, err := auth.New(stores, config(w.clock, w.log, largest)) // HMAC's signatures are short
	require.NoError(t, err)
	a, err := auth.New(stores, config(w.clock, w.log, largest, signedBy(signer)))
	require.NoError(t, err)
	tokens := serve(t, good.Handler("")).do(t, http.MethodPost, "/login", loginBody(t, ann)).tokens(t)
	claims, err := good.Verify(tokens.AccessToken)
	require.NoError(t, err)
	before := w.row(t, claims.SessionID)

	s := serve(t, a.Handler(""))
	for _, got := range []reply{
		s.do(t, http.MethodPost, "/login", loginBody(t, ann)),
		s.do(t, http.MethodPost, "/refresh", object(t, "refresh_token", tokens.RefreshToken)),
	} {
		assert.Equal(t, http.StatusInternalServerError, got.status)
		assert.Equal(t, message{Code: "internal", Message: "Internal Server Error"}, got.message(t))
	}
	assert.Regexp(t, `level=ERROR .*access token: token: it would have 8\d{3} bytes, more than 8192`, w.log.String())
	assert.Equal(t, before, w.row(t, claims.SessionID))
	sessions, err := w.Sessions(t.Context(), id, claims.SessionID)
	require.NoError(t, err)
	assert.Len(t, sessions, 1, "no login has left one")

	_, err = good.Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
	require.NoError(t, err)
}

// A slow signer holds nothing: no statement, no lock, no connection. So others go on, and
// twenty refreshes that wait for it have one successor.
func TestSlowSigners(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		good := ed25519Signer(0)
		var waiting atomic.Int32
		var slow atomic.Bool
		release := make(chan struct{})
		a := w.another(t, signedBy(kms{good, func(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			if slow.Load() {
				waiting.Add(1)
				<-release
			}
			return good.Sign(rand, digest, opts)
		}}))
		if w.db != nil {
			w.db.SetMaxOpenConns(1)
		}
		id := w.signUp(t, ann)
		tokens, err := a.StartSession(t.Context(), id, auth.Client{})
		require.NoError(t, err)
		slow.Store(true)
		const k = 20
		results := make([]auth.Tokens, k)
		var wg sync.WaitGroup
		for i := range k {
			wg.Go(func() {
				var err error
				results[i], err = a.Refresh(context.WithoutCancel(t.Context()), tokens.RefreshToken, auth.Client{})
				assert.NoError(t, err)
			})
		}
		for waiting.Load() < k {
			time.Sleep(time.Millisecond)
		}
		_, err = w.Profile(t.Context(), id) // on the pool's only connection
		require.NoError(t, err)
		assert.Equal(t, int64(1), w.state(t, tokens.SessionID).Generation, "signed first, written after")
		slow.Store(false)
		close(release)
		wg.Wait()
		for _, r := range results {
			assert.Equal(t, payloadOf(t, results[0].RefreshToken), payloadOf(t, r.RefreshToken))
		}
		assert.Equal(t, int64(2), w.state(t, tokens.SessionID).Generation)
	})
}

// A key shows nothing of its signer, which fmt would print to the last field.
func TestSignerKeysAreRedacted(t *testing.T) {
	seed := "kkkkKEYkkkkKEYkkkkKEYkkkkKEYkkkk"
	s := ed25519.NewKeyFromSeed([]byte(seed))
	secrets := secretsOf(seed)
	cfg := goodConfig()
	signedBy(s)(&cfg)
	a, err := auth.New(memStores(), cfg)
	require.NoError(t, err)
	for _, v := range append(wrapped(cfg.Tokens.AccessKeys[0]), cfg, &cfg, cfg.Tokens, a, struct{ a *auth.Authenticator }{a}, struct{ k auth.Key }{cfg.Tokens.AccessKeys[0]}) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			assertNoSecrets(t, fmt.Sprintf(verb, v), secrets)
		}
		assertNoSecrets(t, logged(v, textHandler), secrets)
		text, _ := json.Marshal(v) // funcs in it are an error
		assertNoSecrets(t, string(text), secrets)
	}
	assert.Equal(t, "auth.Key{REDACTED}", fmt.Sprint(cfg.Tokens.AccessKeys[0]))
}
