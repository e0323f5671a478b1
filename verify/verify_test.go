package verify_test

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/token"
	"github.com/ostiary/auth/verify"
)

// ASVS: 9.1.1.
func TestVerify(t *testing.T) {
	for alg, k := range keysOfAll(t) {
		t.Run(alg, func(t *testing.T) {
			w := newWorld(t, k)
			claims, err := w.Verify(t.Context(), sign(t, k, payload))
			require.NoError(t, err)
			assert.Equal(t, "42", claims.UserID)
			assert.Equal(t, "0123456789abcdef0123456789abcdef", claims.SessionID)
			assert.Equal(t, "a", claims.ID)
			assert.Equal(t, time.Unix(start, 0).UTC(), claims.IssuedAt)
			assert.Equal(t, time.Unix(start+1200, 0).UTC(), claims.ExpiresAt)
			assert.Equal(t, time.Unix(start-1, 0).UTC(), claims.AuthTime)
			var own struct {
				Role string `json:"role"`
			}
			require.NoError(t, claims.Decode(&own))
			assert.Equal(t, "admin", own.Role)
			require.Error(t, claims.Decode(&[]string{}))
			require.NoError(t, verify.Claims{}.Decode(&own))
			assert.Equal(t, "admin", own.Role, "Decode leaves it alone")
		})
	}
}

// golang-jwt's tokens with our header are as good as ours: there is no secret form.
func TestVerifyTokensOfGolangJWT(t *testing.T) {
	for alg, k := range keysOfAll(t) {
		w := newWorld(t, k)
		theirs := jwt.NewWithClaims(jwt.GetSigningMethod(alg), jwt.MapClaims{
			"iss": "auth", "aud": "auth", "sub": "42", "iat": start, "exp": start + 1200, "jti": "a", "sid": "0123456789abcdef0123456789abcdef", "auth_time": start,
		})
		theirs.Header["kid"], theirs.Header["typ"] = k.ID, "at+jwt"
		text, err := theirs.SignedString(k.Private)
		require.NoError(t, err)
		w.accepts(t, text)
	}
}

// ASVS: 9.2.1.
// Advisory: CVE-2020-26160.
func TestVerifyJudgesClaims(t *testing.T) {
	k := key(t, 1)
	w := newWorld(t, k)
	edit := func(old, other string) string {
		require.Contains(t, payload, old)
		return sign(t, k, strings.Replace(payload, old, other, 1))
	}
	for _, bad := range []string{
		edit(`"iss":"auth"`, `"iss":"other"`), edit(`"aud":"auth"`, `"aud":"other"`), edit(`"aud":"auth"`, `"aud":["auth"]`), edit(`"iss":"auth",`, ``), edit(`"aud":"auth",`, ``),
		edit(`"sub":"42"`, `"sub":42`), edit(`"sub":"42"`, `"sub":""`), edit(`"sub"`, `"SUB"`), edit(`"sid":"0`, `"sid":"`), edit(`abcdef"`, `ABCDEF"`), edit(`"jti":"a",`, ``),
		edit(`"exp":1800001200`, `"exp":"1800001200"`), edit(`"exp"`, `"EXP"`), edit(`"exp":1800001200,`, ``), edit(`"exp":1800001200`, `"exp":1e12`), edit(`"exp"`, `"exp":1,"exp"`),
		edit(`"jti"`, `"nbf":1800000031,"jti"`), edit(`"jti"`, `"nbf":null,"jti"`), edit(payload, `{}`), edit(payload, ``+`[]`), edit(payload, payload+"x"), edit(`admin`, "\xff"),
	} {
		w.refuses(t, bad)
	}
	w.accepts(t, edit(`"jti"`, `"nbf":1800000030,"jti"`))

	good := sign(t, k, payload)
	w.clock.add(1200*time.Second + 30*time.Second - 1)
	w.accepts(t, good)
	w.clock.add(1)
	w.refuses(t, good)
	_, err := w.Verify(t.Context(), good)
	require.ErrorIs(t, err, verify.ErrTokenExpired)
}

// ASVS: 9.2.3.
func TestConfigSaysWhatTokensMustSay(t *testing.T) {
	k := key(t, 1)
	w := newWorld(t, k)
	v := w.another(t, func(c *verify.Config) { c.Issuer, c.Leeway = "app", time.Minute })
	for audience, issuer := range map[string]string{"app": "app", "auth": "auth", "other": "app"} {
		text := sign(t, k, strings.NewReplacer(`"iss":"auth"`, `"iss":"`+issuer+`"`, `"aud":"auth"`, `"aud":"`+audience+`"`).Replace(payload))
		_, err := v.Verify(t.Context(), text)
		assert.Equal(t, audience == "app", err == nil, "the audience is the issuer unless it is named")
	}
	v = w.another(t, func(c *verify.Config) { c.Audience, c.Leeway = "orders", time.Minute })
	text := sign(t, k, strings.Replace(payload, `"aud":"auth"`, `"aud":"orders"`, 1))
	w.clock.add(20*time.Minute + 59*time.Second)
	_, err := v.Verify(t.Context(), text)
	require.NoError(t, err)
	w.clock.add(time.Second)
	_, err = v.Verify(t.Context(), text)
	require.ErrorIs(t, err, verify.ErrTokenExpired)
}

// None of the headers that would say where a key is has an effect, no other algorithm is
// taken for the key's, and none of these texts has the issuer asked for keys.
//
// ASVS: 9.1.2, 9.1.3.
func TestVerifyIsNotSteeredByHeaders(t *testing.T) {
	asked := 0
	evil := newIssuer(t, key(t, 9))
	for alg, k := range keysOfAll(t) {
		w := newWorld(t, k)
		w.Verifier = w.another(t, func(c *verify.Config) {
			c.Client = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
				asked++
				assert.Equal(t, w.url, r.URL.String())
				return http.DefaultTransport.RoundTrip(r)
			})}
		})
		good := sign(t, k, payload)
		w.accepts(t, good)
		asked = 0
		segments := strings.Split(good, ".")
		body, set := segments[1], string(token.JWKS([]token.Key{k}))
		forged := key(t, 9)
		for _, header := range []string{
			`{"alg":"none","kid":"%s","typ":"at+jwt"}`, `{"alg":"None","typ":"at+jwt"}`, `{"alg":"HS256","kid":"%s","typ":"at+jwt"}`, `{"alg":"HS256","typ":"JWT"}`, `{}`, ``,
			`{"alg":"EdDSA","jku":"` + evil.url + `","kid":"%s","typ":"at+jwt"}`, `{"alg":"EdDSA","kid":"%s","typ":"at+jwt","x5u":"` + evil.url + `"}`,
			`{"alg":"EdDSA","jwk":` + strings.Trim(strings.TrimPrefix(string(token.JWKS([]token.Key{forged})), `{"keys":`), `[]}`) + `},"kid":"%s","typ":"at+jwt"}`,
			`{"alg":"EdDSA","crit":["exp"],"kid":"%s","typ":"at+jwt"}`, `{"typ":"at+jwt","alg":"EdDSA","kid":"%s"}`, `{"alg":"EdDSA","kid":"%s","typ":"rt+jwt"}`, `{"alg":"EdDSA","kid":"%s","typ":"JWT"}`,
			`{"alg":"PS256","kid":"%s","typ":"at+jwt"}`, `{"alg":"` + alg + `","kid":"../../dev/null","typ":"at+jwt"}`,
		} {
			header = strings.ReplaceAll(header, "%s", k.ID)
			signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + body
			w.refuses(t, signed+".")
			w.refuses(t, signed+"."+segments[2])
			for _, secret := range []string{"", set, k.ID, fmt.Sprint(k.Public)} {
				mac, err := jwt.SigningMethodHS256.Sign(signed, []byte(secret))
				require.NoError(t, err)
				w.refuses(t, signed+"."+base64.RawURLEncoding.EncodeToString(mac))
			}
			signature, err := forged.Method.Sign(signed, forged.Private)
			require.NoError(t, err)
			w.refuses(t, signed+"."+base64.RawURLEncoding.EncodeToString(signature))
		}
		for _, text := range []string{"", ".", "..", "a.b.c", good + "=", good + ".x", segments[0], strings.Repeat(".", 1<<20), strings.Repeat("a", 1<<20), "\x00"} {
			w.refuses(t, text)
		}
		assert.Zero(t, asked)
		for otherAlg, other := range keysOfAll(t) { // another algorithm under the ID of our key
			if otherAlg == alg {
				continue
			}
			other.ID = k.ID
			w.refuses(t, sign(t, other, payload))
		}
	}
	assert.Zero(t, evil.asked.Load())
}

// transport is a RoundTripper of a function.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestNewRefuses(t *testing.T) {
	for url, want := range map[string]string{
		"":                                   "must be an absolute URL",
		"app.example.com/jwks.json":          "must be an absolute URL",
		"/jwks.json":                         "must be an absolute URL",
		"https:///jwks.json":                 "must be an absolute URL",
		"https://:443/jwks.json":             "must be an absolute URL",
		"https://a b/":                       "must be an absolute URL",
		"http://app.example.com/jwks.json":   "must be https, or http on a loopback host",
		"http://localhost.example.com/":      "must be https",
		"http://10.0.0.1/":                   "must be https",
		"ftp://localhost/":                   "must be https",
		"file://localhost/etc/passwd":        "must be https",
		"https://user:secret@example.com/":   "must have no user and no fragment",
		"https://app.example.com/jwks#there": "must have no user and no fragment",
	} {
		v, err := verify.New(verify.Config{JWKSURL: url})
		require.ErrorContains(t, err, "verify: Config.JWKSURL "+want, url)
		assert.Nil(t, v)
		assert.NotContains(t, err.Error(), "secret")
	}
	for _, leeway := range []time.Duration{-1, 5*time.Minute + 1} {
		_, err := verify.New(verify.Config{JWKSURL: "http://x/", Leeway: leeway})
		require.ErrorContains(t, err, "verify: Config.Leeway is")
		require.ErrorContains(t, err, "verify: Config.JWKSURL must be https", "all at once")
	}
	for _, good := range []verify.Config{
		{JWKSURL: "https://app.example.com/api/jwks.json"},
		{JWKSURL: "http://localhost:3000/jwks.json"},
		{JWKSURL: "http://127.0.0.1/"},
		{JWKSURL: "http://127.9.9.9/"},
		{JWKSURL: "http://[::1]:3000/"},
		{JWKSURL: "http://app/", InsecureHTTP: true},
		{JWKSURL: "https://app/", Leeway: 5 * time.Minute, Logger: slog.Default()},
	} {
		v, err := verify.New(good)
		require.NoError(t, err, good.JWKSURL)
		assert.NotNil(t, v)
	}
}

// A service that checks tokens links neither the library nor a driver.
//
// ASVS: 15.2.3.
func TestImports(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "github.com/ostiary/auth/verify").Output()
	require.NoError(t, err)
	var ours, others []string
	for dep := range strings.FieldsSeq(string(out)) {
		host, _, _ := strings.Cut(dep, "/")
		switch {
		case strings.HasPrefix(dep, "github.com/ostiary/auth"):
			ours = append(ours, strings.TrimPrefix(dep, "github.com/ostiary/auth"))
		case strings.Contains(host, "."):
			others = append(others, dep)
		}
	}
	assert.ElementsMatch(t, []string{"/verify", "/internal/token", "/internal/strictjson"}, ours)
	assert.ElementsMatch(t, []string{"github.com/golang-jwt/jwt/v5", "golang.org/x/crypto/cryptobyte", "golang.org/x/crypto/cryptobyte/asn1"}, others)
	out, err = exec.CommandContext(t.Context(), "go", "list", "-f", `{{join .Imports "\n"}}`, "github.com/ostiary/auth/verify").Output()
	require.NoError(t, err)
	assert.NotContains(t, string(out), "strictjson", "internal/token alone is imported by itself")
}
