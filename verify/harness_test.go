package verify_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/token"
	"github.com/ostiary/auth/verify"
)

// rsaKey is one key for all tests, since those of RSA take long to make.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// key is the signing key of a seed.
func key(tb testing.TB, seed byte) token.Key {
	tb.Helper()
	return signerKey(tb, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)))
}

func signerKey(tb testing.TB, s crypto.Signer) token.Key {
	tb.Helper()
	k, err := token.SignerKey(s)
	require.NoError(tb, err)
	return k
}

// keysOfAll are a key of each algorithm.
func keysOfAll(tb testing.TB) map[string]token.Key {
	tb.Helper()
	r, err := rsaKey()
	require.NoError(tb, err)
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(tb, err)
	return map[string]token.Key{"EdDSA": key(tb, 1), "ES256": signerKey(tb, e), "RS256": signerKey(tb, r)}
}

// start is when the clocks of the tests begin.
const start = 1_800_000_000

// payload is an access token's, good from start on for 20 minutes.
const payload = `{"iss":"auth","aud":"auth","sub":"42","iat":1800000000,"exp":1800001200,"jti":"a","sid":"0123456789abcdef0123456789abcdef","auth_time":1799999999,"role":"admin"}`

// sign makes an access token.
func sign(tb testing.TB, k token.Key, payload string) string {
	tb.Helper()
	c, err := token.New(token.AccessType, []token.Key{k})
	require.NoError(tb, err)
	text, err := c.Sign([]byte(payload))
	require.NoError(tb, err)
	return text
}

// clock is a clock to turn.
type clock struct{ offset atomic.Int64 }

func (c *clock) Now() time.Time      { return time.Unix(start, 0).Add(time.Duration(c.offset.Load())) }
func (c *clock) add(d time.Duration) { c.offset.Add(int64(d)) }

// issuer serves a key set, or whatever a test has it serve.
type issuer struct {
	url   string
	asked atomic.Int32

	mu    sync.Mutex
	serve http.HandlerFunc
}

func newIssuer(tb testing.TB, keys ...token.Key) *issuer {
	tb.Helper()
	i := &issuer{}
	i.publish(keys...)
	s := httptest.NewServer(i)
	tb.Cleanup(s.Close)
	i.url = s.URL + "/jwks.json"
	return i
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.asked.Add(1)
	i.mu.Lock()
	serve := i.serve
	i.mu.Unlock()
	serve(w, r)
}

// does has the issuer answer by f from now on.
func (i *issuer) does(f http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.serve = f
}

// publish has it serve these keys, for 5 minutes.
func (i *issuer) publish(keys ...token.Key) {
	i.serves(string(token.JWKS(keys)), "public, max-age=300")
}

func (i *issuer) serves(set, cacheControl string) {
	i.does(func(w http.ResponseWriter, _ *http.Request) {
		if cacheControl != "" {
			w.Header().Set("Cache-Control", cacheControl)
		}
		_, _ = w.Write([]byte(set))
	})
}

// fails has it answer with 500.
func (i *issuer) fails() {
	i.does(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
}

// log is what a Verifier has logged.
type log struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// world is a Verifier, its issuer and what a test turns about them.
type world struct {
	*verify.Verifier
	*issuer
	clock  *clock
	log    *log
	bubble bool
}

func newWorld(tb testing.TB, keys ...token.Key) *world {
	tb.Helper()
	w := &world{issuer: newIssuer(tb, keys...), clock: &clock{}, log: &log{}}
	w.Verifier = w.another(tb)
	return w
}

// inBubble runs f with a world whose time stands still unless every goroutine waits, and
// whose issuer is asked without a network, so that hasAsked knows what is under way.
func inBubble(t *testing.T, f func(t *testing.T, w *world), keys ...token.Key) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{issuer: &issuer{url: "https://app.example.com/jwks.json"}, clock: &clock{}, log: &log{}, bubble: true}
		w.publish(keys...)
		w.Verifier = w.another(t)
		f(t, w)
	})
}

// direct asks the issuer without a network.
func (i *issuer) direct(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	i.ServeHTTP(rec, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return rec.Result(), nil
}

// another is a second Verifier of the same issuer.
func (w *world) another(tb testing.TB, edit ...func(*verify.Config)) *verify.Verifier {
	tb.Helper()
	cfg := verify.Config{JWKSURL: w.url, Now: w.clock.Now, Logger: slog.New(slog.NewTextHandler(w.log, nil))}
	if w.bubble {
		cfg.Client = &http.Client{Transport: transport(w.direct)}
	}
	for _, f := range edit {
		f(&cfg)
	}
	v, err := verify.New(cfg)
	require.NoError(tb, err)
	return v
}

// accepts, refuses and cannot say what Verify must say of a token.
func (w *world) accepts(t *testing.T, text string) {
	t.Helper()
	_, err := w.Verify(t.Context(), text)
	require.NoError(t, err)
}

func (w *world) refuses(t *testing.T, text string) {
	t.Helper()
	claims, err := w.Verify(t.Context(), text)
	require.ErrorIs(t, err, verify.ErrInvalidToken, "%.300s", text)
	require.NotErrorIs(t, err, verify.ErrKeysUnavailable)
	require.Zero(t, claims)
}

func (w *world) cannot(t *testing.T, text string) {
	t.Helper()
	claims, err := w.Verify(t.Context(), text)
	require.ErrorIs(t, err, verify.ErrKeysUnavailable)
	require.NotErrorIs(t, err, verify.ErrInvalidToken)
	require.Zero(t, claims)
}

// hasAsked checks how often the issuer was asked, once all is done that goes on beside.
func (w *world) hasAsked(t *testing.T, n int32) {
	t.Helper()
	require.True(t, w.bubble)
	synctest.Wait()
	require.Equal(t, n, w.asked.Load(), "how often the issuer was asked")
}

// settles waits until what goes on beside has brought something about.
func settles(t *testing.T, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, 5*time.Second, time.Millisecond)
}
