package auth_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// randomKeys are keys that Check has nothing against.
func randomKeys(c *auth.Config) {
	c.Tokens.AccessKeys, c.Tokens.RefreshKeys = []auth.Key{newKey()}, []auth.Key{newKey()}
	c.HashCost, c.InsecureHashCost = 0, false
}

func TestCheckAsksTheStores(t *testing.T) {
	w := onMemory(t, randomKeys)
	found, err := w.Check(t.Context())
	require.NoError(t, err)
	assert.Empty(t, found, "stores that have nothing to look at")

	finding := auth.Finding{Problem: "sql_mode is not strict", Mend: "set it to TRADITIONAL"}
	assert.Equal(t, "sql_mode is not strict: set it to TRADITIONAL", finding.String())
	fault := errors.New("gone away")
	var argon2id auth.Argon2id // is off
	w.stores.Check = func(ctx context.Context, in auth.CheckInput) ([]auth.Finding, error) {
		assert.Equal(t, t.Context(), ctx)
		assert.Equal(t, 11, in.HashCost)
		assert.Equal(t, argon2id, in.Argon2id)
		assert.Equal(t, w.clock.Now(), in.Now())
		return []auth.Finding{finding}, fault
	}
	a := w.another(t, randomKeys, cost(11))
	found, err = a.Check(t.Context())
	require.ErrorIs(t, err, fault)
	assert.Equal(t, []auth.Finding{finding}, found)

	a = w.another(t, randomKeys, cost(11), noLimits)
	found, err = a.Check(t.Context())
	require.ErrorIs(t, err, fault)
	require.Len(t, found, 2)
	assert.Contains(t, found[0].Problem, "InsecureNoLimits", "the Config comes first")
	assert.Equal(t, finding, found[1])

	argon2id = auth.Argon2id{Memory: 19 << 10, Time: 2, Threads: 1}
	a = w.another(t, randomKeys, cost(11), func(c *auth.Config) { c.Argon2id = &auth.Argon2id{} })
	_, err = a.Check(t.Context())
	require.ErrorIs(t, err, fault)
}

// Who can guess a key has it: in the list, behind another one, it would still be accepted.
func TestCheckHasWeakKeysReplacedAsLeaked(t *testing.T) {
	a := onMemory(t, randomKeys, func(c *auth.Config) { c.Tokens.AccessKeys = ring(accessSecret) })
	findings, err := a.Check(t.Context())
	require.NoError(t, err)
	require.Len(t, findings, 1)
	_, heading, _ := strings.Cut(findings[0].Mend, `as docs/keys.md says under "`)
	heading, _, _ = strings.Cut(heading, `"`)
	require.NotEmpty(t, heading)
	doc, err := os.ReadFile("docs/keys.md")
	require.NoError(t, err)
	assert.Contains(t, string(doc), "\n## "+heading+"\n")
	assert.NotContains(t, findings[0].Mend, "in front")
}

// Each finding about a Config has what is wrong in it, and how to mend it; whatever New
// defaults to has none.
func TestCheckOfTheConfig(t *testing.T) {
	const words, few = "words are in it", "too few different bytes, or a pattern"
	ttl := func(access, idle time.Duration) func(*auth.Config) {
		return func(c *auth.Config) { c.Tokens.AccessTTL, c.Tokens.IdleTTL = access, idle }
	}
	insecureCookies := func(issuer string, origins ...string) func(*auth.Config) {
		return func(c *auth.Config) {
			c.InsecureCookies, c.Cookies = true, &auth.CookieOptions{TrustedOrigins: origins}
			c.Tokens.Issuer = issuer
		}
	}
	for name, test := range map[string]struct {
		edit func(*auth.Config)
		want []string // a part of each problem
	}{
		"defaults": {func(*auth.Config) {}, nil},
		"the tests' keys": {func(c *auth.Config) {
			c.Tokens.AccessKeys, c.Tokens.RefreshKeys = ring(accessSecret), ring(refreshSecret)
		}, []string{"Tokens.AccessKeys[0] does not look like 32 random bytes: " + words, "Tokens.RefreshKeys[0] does not look like 32 random bytes: " + words}},
		"a second key": {func(c *auth.Config) {
			c.Tokens.AccessKeys = append(c.Tokens.AccessKeys, ring(strings.Repeat("x", 32))...)
		}, []string{"Tokens.AccessKeys[1] does not look like 32 random bytes: " + few}},

		"access token outlives the session": {ttl(25*time.Hour, 24*time.Hour), []string{"AccessTTL is 25h0m0s and IdleTTL 24h0m0s"}},
		"both end at once":                  {ttl(time.Hour, time.Hour), []string{"AccessTTL is 1h0m0s and IdleTTL 1h0m0s"}},
		"a second before":                   {ttl(time.Hour-time.Second, time.Hour), nil},
		"no idle end":                       {ttl(20*time.Minute, 30*24*time.Hour), nil},
		"grace":                             {func(c *auth.Config) { c.Tokens.Grace, c.Tokens.AccessTTL = 2*time.Minute, 2*time.Minute }, []string{"Grace is 2m0s and AccessTTL 2m0s"}},
		"a shorter grace": {func(c *auth.Config) {
			c.Tokens.Grace, c.Tokens.AccessTTL = 2*time.Minute, 2*time.Minute+time.Second
		}, nil},
		"leeway": {func(c *auth.Config) {
			c.Tokens.Leeway, c.Tokens.AccessTTL, c.Tokens.StrictRotation = 30*time.Second, 30*time.Second, true
		}, []string{"Leeway is 30s and AccessTTL 30s"}},
		"all lifetimes": {func(c *auth.Config) {
			c.Tokens.AccessTTL, c.Tokens.IdleTTL = 10*time.Second, 10*time.Second
		}, []string{"IdleTTL 10s", "Grace is 1m0s", "Leeway is 30s"}},

		"insecure cookies at home":        {insecureCookies(""), nil},
		"beside this machine":             {insecureCookies("https://localhost", "http://localhost:3000", "https://127.0.0.1:8443", "https://[::1]"), nil},
		"beside a name":                   {insecureCookies("example.com"), nil},
		"beside https":                    {insecureCookies("", "http://localhost:3000", "https://app.example.com", "https://b.example.com"), []string{"beside https://app.example.com:"}},
		"beside an issuer on the net":     {insecureCookies("https://id.example.com/auth"), []string{"beside https://id.example.com:"}},
		"secure cookies beside an issuer": {func(c *auth.Config) { withCookies(c); c.Tokens.Issuer = "https://id.example.com" }, nil},

		"tutorial mode": {tutorialMode, []string{"InsecureTutorialMode"}},
		"no limits":     {noLimits, []string{"InsecureNoLimits"}},
		"cheap hashes":  {func(c *auth.Config) { c.HashCost, c.InsecureHashCost = 4, true }, []string{"InsecureHashCost is set, with a HashCost of 4"}},
		"all of them":   {func(c *auth.Config) { tutorialMode(c); noLimits(c); c.InsecureHashCost = true }, []string{"InsecureTutorialMode", "InsecureHashCost", "InsecureNoLimits"}},
		"without a key's secret, in order": {func(c *auth.Config) {
			c.Tokens.RefreshKeys = ring(refreshSecret)
			noLimits(c)
			c.Tokens.AccessTTL, c.Tokens.IdleTTL = time.Hour, time.Hour
			insecureCookies("https://id.example.com")(c)
		}, []string{"RefreshKeys[0]", "IdleTTL", "InsecureCookies", "InsecureNoLimits"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := onMemory(t, randomKeys, test.edit)
			findings, err := a.Check(t.Context())
			require.NoError(t, err)
			require.Len(t, findings, len(test.want), "%v", findings)
			for i, want := range test.want {
				assert.Contains(t, findings[i].Problem, want)
				assert.NotEmpty(t, findings[i].Mend)
				assertNoSecrets(t, findings[i].String(), append(secretsOf(accessSecret), secretsOf(refreshSecret)...))
			}
			again, err := a.Check(t.Context())
			require.NoError(t, err)
			assert.Equal(t, findings, again)
		})
	}
}
