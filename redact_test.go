package auth_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// secretsOf are the spellings in which a printer would betray the secret: its first bytes
// as text, hexadecimal, base64 and decimal.
func secretsOf(secret string) []string {
	head := secret[:min(len(secret), 12)]
	return []string{
		head,
		hex.EncodeToString([]byte(head)),
		strings.ToUpper(hex.EncodeToString([]byte(head))),
		fmt.Sprintf("% x", head),
		fmt.Sprintf("%#x", []byte(head[:1])) + ", " + fmt.Sprintf("%#x", []byte(head[1:2])),
		base64.RawStdEncoding.EncodeToString([]byte(head)),
		base64.RawURLEncoding.EncodeToString([]byte(head)),
		strings.Trim(fmt.Sprintf("%d", []byte(head)), "[]"),
	}
}

func assertNoSecrets(t *testing.T, text string, secrets []string) {
	t.Helper()
	for _, s := range secrets {
		assert.NotContains(t, text, s)
	}
}

// wrapped are the shapes in which a value is printed.
func wrapped[T any](v T) []any {
	return []any{
		v, &v,
		[]T{v},
		[1]T{v},
		map[string]T{"k": v},
		struct{ V T }{v},
		struct{ V *T }{&v},
		struct{ V any }{v},
		[]any{v},
		fmt.Errorf("around: %v", v),
		struct{ V []T }{[]T{v}},
	}
}

// ASVS: 16.2.5.
func TestRedaction(t *testing.T) {
	const (
		key    = "kkkkKEYkkkk of thirty-two bytes and more"
		token  = "ttttTOKENtttt"
		device = "ddddDEVICEdddd"
		pass   = "ppppPASSWORDpppp"
		digest = "$2a$12$hhhhHASHhhhh"
		mail   = "mmmmMAILmmmm@example.com"
		person = "nnnnNAMEnnnn"
	)
	id := auth.SessionID{1, 2, 3}
	record := auth.UserRecord{User: auth.User{ID: "42", Name: person, Email: mail}, EmailKey: mail, PasswordHash: digest}
	for name, test := range map[string]struct {
		values  []any
		secrets []string
		shown   string
	}{
		"Key":         {wrapped(auth.HMACKey([]byte(key))), []string{key}, "REDACTED"},
		"Tokens":      {wrapped(auth.Tokens{AccessToken: token, RefreshToken: token, DeviceToken: device, UserID: "42", SessionID: id}), []string{token, device}, id.String()},
		"SignupInput": {wrapped(auth.SignupInput{Name: person, Email: mail, Password: pass}), []string{pass, mail, person}, "REDACTED"},
		"LoginInput":  {wrapped(auth.LoginInput{Email: mail, Password: pass, DeviceToken: device}), []string{pass, mail, device}, "REDACTED"},
		"ReauthInput": {wrapped(auth.ReauthInput{Password: pass, DeviceToken: device}), []string{pass, device}, "REDACTED"},
		"NewPassword": {wrapped(auth.NewPassword{Password: pass, Name: person, Email: mail}), []string{pass, mail, person}, "REDACTED"},
		"UserRecord":  {wrapped(record), []string{digest, mail, person}, "42"},
		"NewUser":     {wrapped(auth.NewUser{Name: person, Email: mail, EmailKey: mail, PasswordHash: digest}), []string{digest, mail, person}, "REDACTED"},
	} {
		t.Run(name, func(t *testing.T) {
			var secrets []string
			for _, s := range test.secrets {
				secrets = append(secrets, secretsOf(s)...)
			}
			for _, v := range test.values {
				for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%#x", "%d", "%o", "%b", "%c", "%U", "%t", "%e", "%8.3s"} {
					assertNoSecrets(t, fmt.Sprintf(verb, v), secrets)
				}
				assertNoSecrets(t, fmt.Sprint(v), secrets)
				assertNoSecrets(t, fmt.Sprintln(v), secrets)
			}
			v := test.values[0]
			assert.Contains(t, fmt.Sprint(v), test.shown)
			for _, logged := range []string{logged(v, textHandler), logged(v, jsonHandler)} {
				assertNoSecrets(t, logged, secrets)
				assert.Contains(t, logged, test.shown)
			}
			for _, v := range test.values[1:] { // slog's text goes by fmt, its JSON by encoding/json
				assertNoSecrets(t, logged(v, textHandler), secrets)
			}
		})
	}
}

func textHandler(b *safeBuffer) slog.Handler { return slog.NewTextHandler(b, nil) }
func jsonHandler(b *safeBuffer) slog.Handler { return slog.NewJSONHandler(b, nil) }

// logged is what a logger writes of a value, by itself and in a group.
func logged(v any, handler func(*safeBuffer) slog.Handler) string {
	b := &safeBuffer{}
	log := slog.New(handler(b))
	log.InfoContext(context.Background(), "by itself", slog.Any("value", v))
	log.InfoContext(context.Background(), "in a group", slog.Group("group", slog.Any("value", v)))
	log.With(slog.Any("value", v)).InfoContext(context.Background(), "kept")
	return b.String()
}

// A key is hidden where it is most likely to be printed by mistake: in a Config, in an
// Authenticator, and in a struct of the host's, whose unexported fields fmt prints
// without asking them.
//
// ASVS: 16.2.5.
func TestKeysInsideOtherValues(t *testing.T) {
	w := onMemory(t)
	cfg := goodConfig()
	secrets := append(secretsOf(accessSecret), secretsOf(refreshSecret)...)
	hidden := struct {
		key  auth.Key
		keys []auth.Key
		cfg  auth.Config
		a    *auth.Authenticator
	}{cfg.Tokens.AccessKeys[0], cfg.Tokens.RefreshKeys, cfg, w.Authenticator}
	for name, v := range map[string]any{
		"Key": cfg.Tokens.AccessKeys[0], "Config": cfg, "*Config": &cfg, "TokenOptions": cfg.Tokens, "Authenticator": w.Authenticator, "host's": hidden, "*host's": &hidden,
	} {
		t.Run(name, func(t *testing.T) {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d", "%p", "%w"} {
				assertNoSecrets(t, fmt.Sprintf(verb, v), secrets)
			}
			assertNoSecrets(t, logged(v, textHandler), secrets)
			assertNoSecrets(t, logged(v, jsonHandler), secrets)
			text, _ := json.Marshal(v) // funcs in it are an error
			assertNoSecrets(t, string(text), secrets)
		})
	}
}

// Whatever happens, the host's log learns no password, no token, no key and no hash.
//
// ASVS: 16.2.5.
func TestLogsHoldNoSecrets(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		const pass = "a very special password"
		s := serve(t, w.Handler(""))
		var secrets []string
		keep := func(tokens auth.Tokens) auth.Tokens {
			for _, token := range []string{tokens.AccessToken, tokens.RefreshToken} {
				parts := strings.Split(token, ".")
				secrets = append(secrets, token, parts[1], parts[2])
			}
			return tokens
		}
		for _, fields := range [][]string{
			{"name", "Ann Lee", "email", "ann@example.com", "password", pass},
			{"name", "Ann Lee", "email", "ann@example.com", "password", pass},
			{"name", "", "email", "", "password", pass[:7]},
		} {
			s.do(t, http.MethodPost, "/signup", object(t, fields...))
		}
		login := func(pass string) reply {
			return s.do(t, http.MethodPost, "/login", object(t, "email", "ann@example.com", "password", pass))
		}
		tokens := keep(login(pass).tokens(t))
		login(pass + "!")
		next := keep(s.do(t, http.MethodGet, "/refresh", "", "Authorization", "Bearer "+tokens.RefreshToken).tokens(t))
		s.do(t, http.MethodGet, "/profile", "", "Authorization", "Bearer "+next.AccessToken)
		w.advance(2 * time.Minute)
		s.do(t, http.MethodGet, "/refresh", "", "Authorization", "Bearer "+tokens.RefreshToken) // a reuse, which is logged
		again := keep(login(pass).tokens(t))
		s.do(t, http.MethodGet, "/refresh", "", "Authorization", "Bearer "+refreshJWS(membersOf(t, again.RefreshToken).with("gen", "5").String())) // so is a loss
		a, script := w.scripted(t, func(c *auth.Config) { c.HashCost = 5 })
		script.before = failing(fmt.Errorf("a fault"), updatePassword, 1) // a rehash that fails
		_, err := a.Login(t.Context(), auth.LoginInput{Email: "ann@example.com", Password: pass})
		require.NoError(t, err)
		script.reset()
		script.before = func(context.Context, string, int) error { return auth.ErrUnavailable }
		faulty := serve(t, a.Handler(""))
		faulty.do(t, http.MethodPost, "/signup", object(t, "name", "Bob Lee", "email", "bob@example.com", "password", pass))
		faulty.do(t, http.MethodPost, "/login", object(t, "email", "ann@example.com", "password", pass))
		faulty.do(t, http.MethodPost, "/refresh", object(t, "refresh_token", again.RefreshToken))
		faulty.do(t, http.MethodGet, "/profile", "", "Authorization", "Bearer "+again.AccessToken)

		log := w.log.String()
		for _, event := range []string{"used again", "lost rotations", "not rehashed", "a request failed"} {
			assert.Contains(t, log, event, "the flow that is logged")
		}
		assert.NotContains(t, log, base64URL(`{"alg"`)[:8], "a token, whosever")
		assertNoSecrets(t, log, append(secrets, pass, "$2a$", accessSecret, refreshSecret))
		for _, secret := range []string{pass, accessSecret, refreshSecret} {
			assertNoSecrets(t, log, secretsOf(secret))
		}
	})
}

// Text from outside stays within its line of the log.
//
// ASVS: 16.4.1.
func TestLogsKeepTheirLines(t *testing.T) {
	w := onMemory(t)
	a, script := w.scripted(t)
	script.before = func(context.Context, string, int) error { return auth.ErrUnavailable }
	r := newRequest(t, http.MethodPost, "/login", loginBody(t, "ann@example.com"), "User-Agent", "x\nlevel=ERROR msg=forged")
	r.URL.Path = "/a\nb/login"
	direct(t, a.Handler("/a\nb"), r)
	lines := strings.Split(strings.TrimSpace(w.log.String()), "\n")
	assert.Len(t, lines, 1)
	assert.Contains(t, lines[0], `path="/a\nb/login"`)
}
