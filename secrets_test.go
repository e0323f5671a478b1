package auth_test

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// No token, no key and no password is in the store, in the logs or in an event, nor what
// a digest or an encoding makes of one, whatever was done and whatever failed.
//
// ASVS: 16.2.5.
func TestInvariant15NoSecretsKept(t *testing.T) {
	const wrong, short, taken = "a wrong password", "Sev3n7!", "some other phrase"
	everywhere(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		id := w.signUp(t, ann)
		_, err := w.Signup(ctx, auth.SignupInput{Name: "Ann Lee", Email: ann, Password: taken})
		require.ErrorIs(t, err, auth.ErrEmailTaken)
		_, err = w.Signup(ctx, auth.SignupInput{Name: "B", Email: "b", Password: short})
		require.Error(t, err)
		_, err = w.Login(ctx, auth.LoginInput{Email: ann, Password: wrong})
		require.ErrorIs(t, err, auth.ErrInvalidCredentials)
		_, err = w.Login(ctx, auth.LoginInput{Email: "nobody@example.com", Password: wrong})
		require.ErrorIs(t, err, auth.ErrInvalidCredentials)

		first := w.logIn(t, ann)
		second := w.refresh(t, first.RefreshToken)
		retried := w.refresh(t, first.RefreshToken)
		started, err := w.StartSession(ctx, id, auth.Client{UserAgent: "an agent"})
		require.NoError(t, err)
		require.NoError(t, w.Logout(ctx, started.RefreshToken))
		failing, script := w.scripted(t)
		script.before = failingAll(auth.ErrUnavailable)
		for _, token := range []string{second.RefreshToken, started.RefreshToken} {
			require.ErrorIs(t, refreshError(t, failing, token), auth.ErrUnavailable)
		}
		for _, password := range []string{password, wrong} {
			_, err = failing.Login(ctx, auth.LoginInput{Email: ann, Password: password})
			require.ErrorIs(t, err, auth.ErrUnavailable)
		}
		w.advance(2 * time.Minute)
		require.ErrorIs(t, w.refreshError(t, first.RefreshToken), auth.ErrSessionEnded)
		expired := w.logIn(t, ann)
		w.advance(48 * time.Hour)
		require.ErrorIs(t, w.refreshError(t, expired.RefreshToken), auth.ErrTokenExpired)
		unchanged := w.logIn(t, ann)

		browsed, told := browse(t, w, wrong)

		told += w.log.String()
		assert.NotContains(t, told, "example.com", "an address")
		assert.NotContains(t, told, "Ann Lee")
		kept := strings.Join(append(w.dump(t), told), "\n")
		assert.Contains(t, kept, ann, "the dump holds what is kept")
		assert.Contains(t, kept, "an agent")
		assert.Contains(t, w.log.String(), "an old refresh token was used again")
		for name, secret := range map[string]string{
			"access key": accessSecret, "refresh key": refreshSecret,
			"password": password, "wrong password": wrong, "short password": short, "password of a taken address": taken,
		} {
			assertNotKept(t, kept, name, secret)
		}
		assert.NotRegexp(t, `eyJ[\w-]{16}`, kept, "no token at all, not even one that was answered to nobody")
		for _, tokens := range append(browsed, first, second, retried, started, expired, unchanged) {
			for name, token := range map[string]string{"access": tokens.AccessToken, "refresh": tokens.RefreshToken} {
				_, payload, signature := segments(t, token)
				assertNotKept(t, kept, name+" token", token)
				assertNotKept(t, kept, name+" token's payload", payload)
				assertNotKept(t, kept, name+" token's signature", signature)
				raw, err := base64.RawURLEncoding.DecodeString(signature)
				require.NoError(t, err)
				assertNotKept(t, kept, name+" token's signature, decoded", string(raw))
			}
		}
	})
}

// browse uses every route from a browser, with success and without, and returns the
// tokens that it got, and all events in the ways in which a host may print them.
func browse(t *testing.T, w *world, wrong string) (got []auth.Tokens, told string) {
	t.Helper()
	recorder := &recorder{}
	hook := &claimsHook{claims: role{"admin"}}
	a := w.another(t, withCookies, recorder.on, hook.on)
	b := &tab{a.Handler(""), ownOrigin, map[string]string{}}
	send := func(status int, method, path, body string, headers ...string) reply {
		t.Helper()
		r := b.do(t, method, path, body, append(headers, "User-Agent", "a browser")...)
		assert.Equal(t, status, r.status, "%s %s: %s", method, path, r.body)
		assert.NotContains(t, r.body, "eyJ")
		if tokens := (auth.Tokens{AccessToken: b.cookies[accessCookie], RefreshToken: b.cookies[refreshCookie]}); tokens.RefreshToken != "" {
			got = append(got, tokens)
		}
		return r
	}
	send(401, "POST", "/login", object(t, "email", ann, "password", wrong))
	send(200, "POST", "/login", loginBody(t, ann))
	send(200, "POST", "/login", loginBody(t, ann)) // beside it
	old := b.cookies[refreshCookie]
	send(200, "POST", "/refresh", "")
	send(200, "POST", "/refresh", object(t, "refresh_token", old))
	send(401, "POST", "/reauth", object(t, "password", wrong))
	send(200, "POST", "/reauth", object(t, "password", password))
	send(200, "GET", "/profile", "")
	list := send(200, "GET", "/sessions", "")
	sessions := decodeJSON[struct {
		Sessions []struct {
			ID      auth.SessionID `json:"id"`
			Current bool           `json:"current"`
		} `json:"sessions"`
	}](t, list.body).Sessions
	require.GreaterOrEqual(t, len(sessions), 2)
	for _, s := range sessions[:2] {
		if !s.Current {
			send(200, "DELETE", "/sessions/"+s.ID.String(), "")
		}
	}
	send(404, "DELETE", "/sessions/"+b.cookies[refreshCookie], "")
	send(403, "POST", "/refresh", "", "Sec-Fetch-Site", "cross-site")
	send(401, "POST", "/refresh", "", "Authorization", "Bearer "+b.cookies[accessCookie])
	hook.err = errors.New("no roles")
	send(503, "POST", "/refresh", "")
	hook.err = nil
	send(200, "POST", "/logout/all", `{"keep_current":true}`)
	w.advance(2 * time.Minute)
	send(401, "POST", "/refresh", object(t, "refresh_token", old)) // reuse
	send(401, "POST", "/logout/all", "")
	send(200, "POST", "/logout", "")
	send(200, "POST", "/login", loginBody(t, ann))
	send(200, "POST", "/logout/all", "")

	kinds := map[auth.EventKind]bool{}
	for _, e := range recorder.take() {
		kinds[e.Kind] = true
		told += fmt.Sprintf("%v\n%+v\n%#v\n%s\n%s%s", e, e, e, encoded(t, e), logged(e, textHandler), logged(e, jsonHandler))
	}
	assert.Len(t, kinds, 8, "all but signed_up and state_lost")
	assert.Contains(t, told, "a browser")
	return got, told
}

// encoded is a value in JSON.
func encoded(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
}

// assertNotKept looks for the secret, its digests, and the encodings of all of them.
func assertNotKept(t *testing.T, kept, name, secret string) {
	t.Helper()
	forms := map[string][]byte{"itself": []byte(secret)}
	sum1, sum256, sum384, sum512, sum5 := sha1.Sum([]byte(secret)), sha256.Sum256([]byte(secret)),
		sha512.Sum384([]byte(secret)), sha512.Sum512([]byte(secret)), md5.Sum([]byte(secret))
	forms["SHA-1"], forms["SHA-256"], forms["SHA-384"], forms["SHA-512"], forms["MD5"] = sum1[:], sum256[:], sum384[:], sum512[:], sum5[:]
	lower := strings.ToLower(kept)
	for form, b := range forms {
		for encoding, text := range map[string]string{
			"as it is":  string(b),
			"base64":    base64.RawStdEncoding.EncodeToString(b),
			"base64url": base64.RawURLEncoding.EncodeToString(b),
		} {
			assert.False(t, strings.Contains(kept, text), "%s: %s, %s", name, form, encoding)
		}
		assert.False(t, strings.Contains(lower, hex.EncodeToString(b)), "%s: %s in hexadecimal", name, form)
	}
}

func failingAll(err error) func(context.Context, string, int) error {
	return func(context.Context, string, int) error { return err }
}

// dump is every column of every row of every table or, in memory, every text and every
// run of bytes that the store holds.
func (w *world) dump(t *testing.T) []string {
	t.Helper()
	var all []string
	if w.db == nil {
		gather(reflect.ValueOf(w.stores.Refresh), map[uintptr]bool{}, &all)
		slices.Sort(all)
		return all
	}
	for _, table := range w.strings(t, "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()") {
		all = append(all, w.strings(t, "SELECT * FROM "+table)...)
	}
	return all
}

// strings is every column of every row of a query's result.
func (w *world) strings(t *testing.T, query string) []string {
	t.Helper()
	rows, err := w.db.QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer func() { assert.NoError(t, rows.Close()) }()
	columns, err := rows.Columns()
	require.NoError(t, err)
	var all []string
	for rows.Next() {
		values := make([]sql.RawBytes, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		require.NoError(t, rows.Scan(into...))
		for _, v := range values {
			all = append(all, string(v))
		}
	}
	require.NoError(t, rows.Err())
	return all
}

// gather collects the texts and bytes below v, unexported fields included.
func gather(v reflect.Value, seen map[uintptr]bool, all *[]string) {
	switch v.Kind() {
	case reflect.String:
		*all = append(*all, v.String())
	case reflect.Interface:
		gather(v.Elem(), seen, all)
	case reflect.Pointer:
		if !v.IsNil() && !seen[v.Pointer()] {
			seen[v.Pointer()] = true
			gather(v.Elem(), seen, all)
		}
	case reflect.Struct:
		for _, field := range v.Fields() {
			gather(field, seen, all)
		}
	case reflect.Map:
		for key, value := range v.Seq2() {
			gather(key, seen, all)
			gather(value, seen, all)
		}
	case reflect.Array, reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			b := make([]byte, v.Len())
			for i := range b {
				b[i] = byte(v.Index(i).Uint())
			}
			*all = append(*all, string(b))
			return
		}
		for i := range v.Len() {
			gather(v.Index(i), seen, all)
		}
	case reflect.Int, reflect.Int64, reflect.Uint64:
		*all = append(*all, fmt.Sprint(v))
	default:
	}
}
