package auth_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/memstore"
)

// goodConfig has what Config needs, and defaults for all else.
func goodConfig() auth.Config {
	return auth.Config{Tokens: auth.TokenOptions{AccessKeys: ring(accessSecret), RefreshKeys: ring(refreshSecret)}}
}

func argon2id(memory, time uint32, threads uint8) func(*auth.Config) {
	return func(c *auth.Config) { c.Argon2id = &auth.Argon2id{Memory: memory, Time: time, Threads: threads} }
}

func memStores() auth.Stores { return memstore.New(memstore.Options{}).Stores() }

// ASVS: 11.2.3, 11.4.2.
// Advisory: next-auth GHSA-8fpg.
func TestNewRefusesBadConfigs(t *testing.T) {
	const short = "31 bytes are a byte too few now"
	require.Len(t, short, 31)
	for name, test := range map[string]struct {
		edit func(*auth.Config)
		want []string
	}{
		"no access keys":   {func(c *auth.Config) { c.Tokens.AccessKeys = nil }, []string{"Tokens.AccessKeys is empty"}},
		"no refresh keys":  {func(c *auth.Config) { c.Tokens.RefreshKeys = []auth.Key{} }, []string{"Tokens.RefreshKeys is empty"}},
		"zero key":         {func(c *auth.Config) { c.Tokens.AccessKeys = []auth.Key{{}} }, []string{"Tokens.AccessKeys[0] has 0 bytes"}},
		"empty key":        {func(c *auth.Config) { c.Tokens.RefreshKeys = ring("") }, []string{"Tokens.RefreshKeys[0] has 0 bytes"}},
		"short key":        {func(c *auth.Config) { c.Tokens.AccessKeys = ring(short) }, []string{"Tokens.AccessKeys[0] has 31 bytes"}},
		"short second key": {func(c *auth.Config) { c.Tokens.RefreshKeys = ring(refreshSecret, short) }, []string{"Tokens.RefreshKeys[1] has 31 bytes"}},
		"published access secret": {
			func(c *auth.Config) { c.Tokens.AccessKeys = ring("avSjekkd4526Dkeo586Dhjdsf52ba") },
			[]string{"Tokens.AccessKeys[0] is a secret that the tutorial published"},
		},
		"published refresh secret": {
			func(c *auth.Config) { c.Tokens.RefreshKeys = ring("j82dDJKE3643LIEJ253DjEL35223dHek52ed") },
			[]string{"Tokens.RefreshKeys[0] is a secret that the tutorial published"},
		},
		"published secret, the other way round": {
			func(c *auth.Config) { c.Tokens.AccessKeys = ring(accessSecret, "j82dDJKE3643LIEJ253DjEL35223dHek52ed") },
			[]string{"Tokens.AccessKeys[1] is a secret that the tutorial published"},
		},
		"one key for both": {
			func(c *auth.Config) { c.Tokens.RefreshKeys = ring(refreshSecret, accessSecret) },
			[]string{"Tokens.AccessKeys[0] equals RefreshKeys[1]"},
		},
		"a key twice": {
			func(c *auth.Config) { c.Tokens.AccessKeys = ring(accessSecret, newSecret, accessSecret) },
			[]string{"Tokens.AccessKeys[2] equals [0]"},
		},
		"a key that HMAC takes for another": {
			func(c *auth.Config) { c.Tokens.AccessKeys = ring(accessSecret, accessSecret+"\x00") },
			[]string{"Tokens.AccessKeys"},
		},
		"cost 9":          {func(c *auth.Config) { c.HashCost = 9 }, []string{"Config.HashCost is 9", "from 10 to 18"}},
		"cost 19":         {func(c *auth.Config) { c.HashCost = 19 }, []string{"Config.HashCost is 19"}},
		"cost below 0":    {func(c *auth.Config) { c.HashCost = -1 }, []string{"Config.HashCost is -1"}},
		"cost 3":          {func(c *auth.Config) { c.HashCost, c.InsecureHashCost = 3, true }, []string{"Config.HashCost is 3", "from 4 to 18"}},
		"cost 19 for all": {func(c *auth.Config) { c.HashCost, c.InsecureHashCost = 19, true }, []string{"Config.HashCost is 19"}},
		"no MaxTTL":       {func(c *auth.Config) { c.Tokens.MaxTTL = -time.Second }, []string{"Tokens.MaxTTL", "Tokens.IdleTTL", "Tokens.AccessTTL"}},
		"no IdleTTL":      {func(c *auth.Config) { c.Tokens.IdleTTL = -1 }, []string{"Tokens.IdleTTL"}},
		"no AccessTTL":    {func(c *auth.Config) { c.Tokens.AccessTTL = 999 * time.Millisecond }, []string{"Tokens.AccessTTL is 0s"}},
		"idle over max":   {func(c *auth.Config) { c.Tokens.IdleTTL = 30*24*time.Hour + time.Second }, []string{"Tokens.IdleTTL"}},
		"access over max": {func(c *auth.Config) { c.Tokens.MaxTTL, c.Tokens.IdleTTL = time.Minute, time.Minute }, []string{"Tokens.AccessTTL is 20m0s"}},
		"grace over 5 m":  {func(c *auth.Config) { c.Tokens.Grace = 5*time.Minute + 1 }, []string{"Tokens.Grace is 5m0.000000001s"}},
		"grace below 0":   {func(c *auth.Config) { c.Tokens.Grace = -1 }, []string{"Tokens.Grace"}},
		"strict grace": {
			func(c *auth.Config) { c.Tokens.StrictRotation, c.Tokens.Grace = true, time.Second },
			[]string{"Tokens.Grace is 1s beside StrictRotation"},
		},
		"leeway over 5 m":  {func(c *auth.Config) { c.Tokens.Leeway = 5*time.Minute + time.Second }, []string{"Tokens.Leeway"}},
		"leeway below 0":   {func(c *auth.Config) { c.Tokens.Leeway = -time.Second }, []string{"Tokens.Leeway"}},
		"negative gate":    {func(c *auth.Config) { c.HashConcurrency = -1 }, []string{"Config.HashConcurrency is -1"}},
		"weak argon2id":    {argon2id(19<<10-1, 2, 1), []string{"Config.Argon2id", "at least 19456 KiB and time 2"}},
		"half an argon2id": {argon2id(64<<10, 3, 0), []string{"Config.Argon2id", "0 threads"}},
		"dear argon2id":    {argon2id(1<<20, 2, 1), []string{"Config.Argon2id", "1048576 KiB"}},
		"dear argon2id for all": {
			func(c *auth.Config) { argon2id(64, 17, 1)(c); c.InsecureHashCost = true },
			[]string{"Config.Argon2id", "time 17"},
		},
		"issuer":           {func(c *auth.Config) { c.Tokens.Issuer = "a\xff" }, []string{"Tokens.Issuer"}},
		"audience":         {func(c *auth.Config) { c.Tokens.Audience = "a\xff" }, []string{"Audience"}},
		"long issuer":      {func(c *auth.Config) { c.Tokens.Issuer = strings.Repeat("a", 256) }, []string{"Tokens.Issuer"}},
		"long audience":    {func(c *auth.Config) { c.Tokens.Audience = strings.Repeat("a", 256) }, []string{"Tokens.Audience"}},
		"escaped issuer":   {func(c *auth.Config) { c.Tokens.Issuer = strings.Repeat("&", 42) + "abcd" }, []string{"Tokens.Issuer", "at most 255 bytes, as JSON writes it"}},
		"escaped audience": {func(c *auth.Config) { c.Tokens.Audience = strings.Repeat("<", 255) }, []string{"Tokens.Audience"}},
		"padded published secret": {
			func(c *auth.Config) { c.Tokens.AccessKeys = ring("avSjekkd4526Dkeo586Dhjdsf52ba\x00\x00\x00") },
			[]string{"Tokens.AccessKeys[0] is a secret that the tutorial published"},
		},
		"zeros alone": {
			func(c *auth.Config) { c.Tokens.AccessKeys = ring(strings.Repeat("\x00", 32)) },
			[]string{"Tokens.AccessKeys[0] has 0 bytes and then zeros alone"},
		},
		"a short key, padded": {
			func(c *auth.Config) {
				c.Tokens.RefreshKeys = ring("27 bytes are too few of it." + "\x00\x00\x00\x00\x00")
			},
			[]string{"Tokens.RefreshKeys[0] has 27 bytes and then zeros alone"},
		},
		"one key for both, padded": {
			func(c *auth.Config) { c.Tokens.RefreshKeys = ring(accessSecret + "\x00") },
			[]string{"Tokens.AccessKeys[0] equals RefreshKeys[0]"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := goodConfig()
			test.edit(&cfg)
			a, err := auth.New(memStores(), cfg)
			require.Error(t, err)
			assert.Nil(t, a)
			for _, want := range test.want {
				assert.ErrorContains(t, err, want)
			}
			for line := range strings.SplitSeq(err.Error(), "\n") {
				assert.Regexp(t, `^auth: (Config|Stores)\.`, line)
			}
			assert.Len(t, strings.Split(err.Error(), "\n"), max(1, strings.Count(strings.Join(test.want, " "), "Tokens.")), "nothing else is wrong")
			assertNoSecrets(t, err.Error(), append(secretsOf(accessSecret), secretsOf(refreshSecret)...))
		})
	}
}

// Advisory: gin-jwt refresh, next-auth GHSA-8fpg.
func TestNewRefusesMissingStores(t *testing.T) {
	good := memStores()
	for want, stores := range map[string]auth.Stores{
		"auth: Stores.Users is nil":                              {Refresh: good.Refresh},
		"auth: Stores.Refresh is nil":                            {Users: good.Users},
		"auth: Stores.Users is nil\nauth: Stores.Refresh is nil": {},
	} {
		a, err := auth.New(stores, goodConfig())
		require.EqualError(t, err, want)
		assert.Nil(t, a)
	}
}

func TestNewReportsEveryProblemAtOnce(t *testing.T) {
	a, err := auth.New(auth.Stores{}, auth.Config{
		Tokens: auth.TokenOptions{
			AccessKeys: ring("short", "short"), AccessTTL: -1, IdleTTL: -time.Second, MaxTTL: -time.Second,
			Grace: time.Hour, StrictRotation: true, Leeway: time.Hour, Issuer: "\xff",
		},
		HashCost: 31,
	})
	require.Error(t, err)
	assert.Nil(t, a)
	var joined interface{ Unwrap() []error }
	require.ErrorAs(t, err, &joined)
	for _, want := range []string{
		"Tokens.AccessKeys[0] has 5 bytes", "Tokens.AccessKeys[1] has 5 bytes", "Tokens.AccessKeys[1] equals [0]", "Tokens.RefreshKeys is empty",
		"Tokens.AccessTTL", "Tokens.IdleTTL", "Tokens.MaxTTL", "Tokens.Grace is 1h0m0s beside StrictRotation", "Tokens.Grace is 1h0m0s: it must be",
		"Tokens.Leeway", "Issuer", "Config.HashCost is 31", "Stores.Users", "Stores.Refresh",
	} {
		assert.ErrorContains(t, err, want)
	}
	assert.NotContains(t, err.Error(), "short")

	_, err = auth.New(memStores(), auth.Config{})
	require.EqualError(t, err, "auth: Config.Tokens.AccessKeys is empty: it needs a random key of 32 bytes at least\n"+
		"auth: Config.Tokens.RefreshKeys is empty: it needs a random key of 32 bytes at least", "only the keys have no default")
}

func TestNewAcceptsTheBounds(t *testing.T) {
	exact := "32 bytes are just enough for it."
	require.Len(t, exact, 32)
	for name, edit := range map[string]func(*auth.Config){
		"nothing":         func(*auth.Config) {},
		"32 bytes":        func(c *auth.Config) { c.Tokens.AccessKeys = ring(exact) },
		"long key":        func(c *auth.Config) { c.Tokens.AccessKeys = ring(strings.Repeat("long ", 1000)) },
		"ends in zeros":   func(c *auth.Config) { c.Tokens.AccessKeys = ring(exact[:28] + "\x00\x00\x00\x00") },
		"binary key":      func(c *auth.Config) { c.Tokens.AccessKeys = ring("\x00\xff" + exact) },
		"cost 10":         func(c *auth.Config) { c.HashCost = 10 },
		"cost 18":         func(c *auth.Config) { c.HashCost = 18 },
		"cost 4":          func(c *auth.Config) { c.HashCost, c.InsecureHashCost = 4, true },
		"a wide gate":     func(c *auth.Config) { c.HashConcurrency = 1000 },
		"argon2id":        func(c *auth.Config) { c.Argon2id = &auth.Argon2id{} },
		"strong argon2id": argon2id(256<<10, 4, 4),
		"weak argon2id":   func(c *auth.Config) { argon2id(64, 1, 1)(c); c.InsecureHashCost = true },
		"grace 5 m":       func(c *auth.Config) { c.Tokens.Grace = 5 * time.Minute },
		"grace 1 ns":      func(c *auth.Config) { c.Tokens.Grace = 1 },
		"strict rotation": func(c *auth.Config) { c.Tokens.StrictRotation = true },
		"long issuer":     func(c *auth.Config) { c.Tokens.Issuer = strings.Repeat("a", 255) },
		"escaped issuer":  func(c *auth.Config) { c.Tokens.Issuer = strings.Repeat("&", 42) + "abc" }, // 6 bytes each
		"leeway 5 m":      func(c *auth.Config) { c.Tokens.Leeway = 5 * time.Minute },
		"leeway 1 ns":     func(c *auth.Config) { c.Tokens.Leeway = 1 },
		"seconds": func(c *auth.Config) {
			c.Tokens.AccessTTL, c.Tokens.IdleTTL, c.Tokens.MaxTTL = time.Second, time.Second, time.Second
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := goodConfig()
			edit(&cfg)
			a, err := auth.New(memStores(), cfg)
			require.NoError(t, err)
			assert.NotNil(t, a)
		})
	}
}

// New asks the stores for nothing, so that it works before they can be reached.
func TestNewAsksTheStoresForNothing(t *testing.T) {
	_, script := onMemory(t).scripted(t)
	assert.Empty(t, script.calls())
}

// The defaults are those that the fields' comments say.
//
// ASVS: 11.4.2.
func TestConfigDefaults(t *testing.T) {
	c := &clock{frozen: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	store := &clock{frozen: c.frozen}
	w := &world{stores: memstore.New(memstore.Options{Now: store.Now}).Stores(), clock: c, pass: store.add}
	cfg := goodConfig()
	cfg.Now = c.Now
	var err error
	w.Authenticator, err = auth.New(w.stores, cfg)
	require.NoError(t, err)
	var costs []int
	w.OnHash(func(cost int) { costs = append(costs, cost) })

	w.signUp(t, "ann@example.com")
	assert.Equal(t, []int{12}, costs)
	tokens, err := w.StartSession(t.Context(), "1", auth.Client{})
	require.NoError(t, err)
	claims := payloadOf(t, tokens.AccessToken)
	assert.Equal(t, "auth", claims["iss"])
	assert.Equal(t, "auth", claims["aud"])
	assert.Equal(t, 20*time.Minute, tokens.ExpiresIn)
	row := w.state(t, tokens.SessionID)
	assert.Equal(t, c.frozen.Add(24*time.Hour), row.ExpiresAt)
	assert.Equal(t, c.frozen.Add(30*24*time.Hour), row.MaxExpiresAt)

	first := tokens.RefreshToken
	_, err = w.Refresh(t.Context(), first, auth.Client{})
	require.NoError(t, err)
	w.advance(time.Minute)
	_, err = w.Refresh(t.Context(), first, auth.Client{})
	require.NoError(t, err, "60 s of grace")
	w.advance(time.Microsecond)
	_, err = w.Refresh(t.Context(), first, auth.Client{})
	require.ErrorIs(t, err, auth.ErrSessionEnded)

	w.at(c.frozen.Add(20*time.Minute + 29*time.Second))
	_, err = w.Verify(tokens.AccessToken)
	require.NoError(t, err, "30 s of leeway")
	w.at(c.frozen.Add(20*time.Minute + 30*time.Second))
	_, err = w.Verify(tokens.AccessToken)
	require.ErrorIs(t, err, auth.ErrTokenExpired)
}

// Half of the processors hash, and one of one.
func TestHashConcurrencyDefault(t *testing.T) {
	for processors, want := range map[int]int{1: 1, 2: 1, 3: 1, 4: 2, 8: 4} {
		before := runtime.GOMAXPROCS(processors)
		a, err := auth.New(memStores(), goodConfig())
		runtime.GOMAXPROCS(before)
		require.NoError(t, err)
		assert.Equal(t, want, a.HashConcurrency(), processors)
	}
	w := onMemory(t, func(c *auth.Config) { c.HashConcurrency = 7 })
	assert.Equal(t, 7, w.HashConcurrency())
}

// The zero value of Argon2id is the choice that its comment says.
func TestArgon2idDefault(t *testing.T) {
	w := onMemory(t, func(c *auth.Config) { c.Argon2id = &auth.Argon2id{} })
	assert.Regexp(t, `^\$argon2id\$v=19\$m=19456,t=2,p=1\$`, w.hash(t, w.signUp(t, ann)))
	w.logIn(t, ann)
	assert.Regexp(t, `^\$2a\$04\$`, onMemory(t).hashOfNew(t), "bcrypt without it")
}

func (w *world) hashOfNew(t *testing.T) string {
	t.Helper()
	return w.hash(t, w.signUp(t, ann))
}

// Without Now and Logger it is the machine's clock and slog's default logger.
func TestDefaultClockAndLogger(t *testing.T) {
	log := &safeBuffer{}
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	stores := memStores()
	stores.Users = &failingUsers{stores.Users}
	cfg := goodConfig()
	cfg.HashCost, cfg.InsecureHashCost = 4, true
	a, err := auth.New(stores, cfg)
	require.NoError(t, err)
	got := direct(t, a.Handler(""), newRequest(t, "POST", "/signup", signupBody(t, "ann@example.com")))
	assert.Equal(t, 500, got.status)
	assert.Contains(t, log.String(), "no such thing")

	_, err = a.Verify(accessJWS(`{"iss":"auth","aud":"auth","sub":"1","iat":1,"exp":` + number(time.Now().Add(time.Minute).Unix()).String() +
		`,"jti":"x","sid":"0123456789abcdef0123456789abcdef","auth_time":1}`))
	require.NoError(t, err)
}

type failingUsers struct{ auth.UserStore }

func (*failingUsers) CreateUser(context.Context, auth.NewUser) (auth.UserID, error) {
	return "", errors.New("no such thing")
}

// Issuer stands for Audience, and both reach the tokens.
//
// ASVS: 9.2.3, 9.2.4.
func TestIssuerAndAudience(t *testing.T) {
	for _, test := range []struct{ issuer, audience, iss, aud string }{
		{"", "", "auth", "auth"},
		{"https://id.example.com", "", "https://id.example.com", "https://id.example.com"},
		{"", "orders", "auth", "orders"},
		{"é\"\\<", "😀", "é\"\\<", "😀"},
	} {
		w := onMemory(t, func(c *auth.Config) { c.Tokens.Issuer, c.Tokens.Audience = test.issuer, test.audience })
		id := w.signUp(t, "ann@example.com")
		tokens, err := w.StartSession(t.Context(), id, auth.Client{})
		require.NoError(t, err)
		claims := payloadOf(t, tokens.AccessToken)
		assert.Equal(t, test.iss, claims["iss"])
		assert.Equal(t, test.aud, claims["aud"])
		_, err = w.Verify(tokens.AccessToken)
		require.NoError(t, err)
	}
}

// Lifetimes are cut to whole seconds.
func TestLifetimesAreCut(t *testing.T) {
	w := onMemory(t, func(c *auth.Config) {
		c.Tokens.AccessTTL, c.Tokens.IdleTTL, c.Tokens.MaxTTL = 1999*time.Millisecond, 2999*time.Millisecond, 3999*time.Millisecond
	})
	id := w.signUp(t, "ann@example.com")
	tokens, err := w.StartSession(t.Context(), id, auth.Client{})
	require.NoError(t, err)
	assert.Equal(t, time.Second, tokens.ExpiresIn)
	row := w.state(t, tokens.SessionID)
	assert.Equal(t, 2*time.Second, row.ExpiresAt.Sub(row.AuthenticatedAt))
	assert.Equal(t, 3*time.Second, row.MaxExpiresAt.Sub(row.AuthenticatedAt))
}

// What is done to a Config, its slices or a key's bytes afterwards changes nothing.
func TestConfigIsCopied(t *testing.T) {
	secret := []byte(accessSecret)
	cfg := goodConfig()
	cfg.HashCost, cfg.InsecureHashCost = 4, true
	cfg.Tokens.AccessKeys = []auth.Key{auth.HMACKey(secret), auth.HMACKey([]byte(newSecret))}
	cfg.SiteWords, cfg.Argon2id = []string{"ostiary"}, &auth.Argon2id{Memory: 64, Time: 1, Threads: 1}
	w := &world{stores: memStores()}
	var err error
	w.Authenticator, err = auth.New(w.stores, cfg)
	require.NoError(t, err)

	clear(secret)
	cfg.Tokens.AccessKeys[0], cfg.Tokens.AccessKeys[1] = auth.HMACKey([]byte(refreshSecret)), auth.Key{}
	cfg.Tokens.RefreshKeys[0] = auth.HMACKey([]byte(newSecret))
	cfg.Tokens.Issuer, cfg.Tokens.AccessTTL, cfg.InsecureTutorialMode, cfg.Now = "other", time.Second, true, nil

	cfg.SiteWords[0], *cfg.Argon2id = "correct horse", auth.Argon2id{}

	id := w.signUp(t, "ann@example.com")
	assert.Contains(t, w.hash(t, id), "$argon2id$v=19$m=64,t=1,p=1$")
	assert.NotEmpty(t, w.trySignup(t, "bob@example.com", "ostiary1"))
	tokens, err := w.StartSession(t.Context(), id, auth.Client{})
	require.NoError(t, err)
	assert.Equal(t, accessJWS(segmentOf(t, tokens.AccessToken, 1)), tokens.AccessToken)
	assert.Equal(t, refreshJWS(segmentOf(t, tokens.RefreshToken, 1)), tokens.RefreshToken)
	assert.Equal(t, "auth", payloadOf(t, tokens.AccessToken)["iss"])
	assert.Equal(t, 20*time.Minute, tokens.ExpiresIn)
	_, err = w.Verify(tokens.AccessToken)
	require.NoError(t, err)
	_, err = w.Verify(jws(newSecret, headerOf(newSecret, "at+jwt"), segmentOf(t, tokens.AccessToken, 1)))
	require.NoError(t, err)
}

// An Authenticator of a Config that another was made of is the same.
func TestConfigIsNotChanged(t *testing.T) {
	cfg := goodConfig()
	_, err := auth.New(memStores(), cfg)
	require.NoError(t, err)
	assert.Zero(t, cfg.HashCost)
	assert.Zero(t, cfg.Tokens.AccessTTL)
	assert.Empty(t, cfg.Tokens.Issuer)
	assert.Nil(t, cfg.Now)
	assert.Nil(t, cfg.Logger)
	assert.Len(t, cfg.Tokens.AccessKeys, 1)

	params := &auth.Argon2id{}
	cfg.Argon2id = params
	_, err = auth.New(memStores(), cfg)
	require.NoError(t, err)
	assert.Equal(t, auth.Argon2id{}, *params)
	assert.Zero(t, cfg.HashConcurrency)
	assert.Nil(t, cfg.SiteWords)
}
