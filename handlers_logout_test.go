package auth_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/ostiary/auth"
)

// Any refresh token that we signed, of whatever generation and age, ends its session; as
// often as it is sent.
//
// ASVS: 10.4.9.
func TestLogoutRoute(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, ann)
		s := serve(t, w.Handler(""))
		kept := w.logIn(t, ann)
		byBearer := func(t *testing.T, token string) reply {
			t.Helper()
			return s.do(t, http.MethodPost, "/logout", "", bearer(token)...)
		}
		byBody := func(t *testing.T, token string) reply {
			t.Helper()
			return s.do(t, http.MethodPost, "/logout", object(t, "refresh_token", token))
		}
		for i, logout := range []func(t *testing.T, token string) reply{byBearer, byBody} {
			current := w.logIn(t, ann)
			older := w.logIn(t, ann)
			newest := older
			for range 3 {
				newest = w.refresh(t, newest.RefreshToken)
			}
			assertMessage(t, loggedOut, logout(t, current.RefreshToken))
			assertMessage(t, loggedOut, logout(t, older.RefreshToken))
			for _, tokens := range []auth.Tokens{current, older, newest} {
				w.assertOver(t, tokens)
				assert.Equal(t, auth.ReasonLogout, w.state(t, tokens.SessionID).Reason)
				for range 2 {
					assertMessage(t, loggedOut, logout(t, tokens.RefreshToken))
				}
				got := s.do(t, http.MethodPost, "/refresh", "", bearer(tokens.RefreshToken)...)
				assert.Equal(t, http.StatusUnauthorized, got.status)
			}
			replaced := w.logIn(t, ann)
			newest = w.refresh(t, replaced.RefreshToken)
			w.advance(10 * time.Minute) // long after Grace
			assertMessage(t, loggedOut, logout(t, replaced.RefreshToken))
			assert.Equal(t, auth.ReasonLogout, w.state(t, replaced.SessionID).Reason, "nobody reused it")
			w.assertOver(t, newest)
			kept = w.refresh(t, kept.RefreshToken)
			expired := w.logIn(t, ann)
			if i == 1 {
				w.advance(400 * 24 * time.Hour)
			}
			assertMessage(t, loggedOut, logout(t, expired.RefreshToken))
			assert.False(t, w.state(t, expired.SessionID).RevokedAt.IsZero())
		}
	})
}

// What is no refresh token of ours ends nothing.
//
// Advisory: CVE-2024-38513.
func TestLogoutTakesItsToken(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, ann)
	s := serve(t, w.Handler(""))
	tokens := w.logIn(t, ann)
	inBody := object(t, "refresh_token", tokens.RefreshToken)
	stolen := forge(t, tokens.RefreshToken, func(c *refreshClaims) { c.Subject = "999" })
	for name, test := range map[string]struct {
		path, body string
		headers    []string
		status     int
		code       string
	}{
		"none":                   {"/logout", "", nil, 401, "no_token"},
		"an empty body":          {"/logout", "{}", nil, 401, "no_token"},
		"null":                   {"/logout", `{"refresh_token":null}`, nil, 401, "no_token"},
		"another type":           {"/logout", `{"refresh_token":1}`, nil, 401, "no_token"},
		"query":                  {"/logout?refresh_token=" + tokens.RefreshToken, "", nil, 401, "no_token"},
		"cookie":                 {"/logout", "", []string{"Cookie", "refresh_token=" + tokens.RefreshToken + "; __Host-auth-refresh=" + tokens.RefreshToken}, 401, "no_token"},
		"access token":           {"/logout", "", bearer(tokens.AccessToken), 401, "invalid_token"},
		"access token in body":   {"/logout", object(t, "refresh_token", tokens.AccessToken), nil, 401, "invalid_token"},
		"garbage":                {"/logout", "", bearer("abc"), 401, "invalid_token"},
		"a bad bearer counts":    {"/logout", inBody, bearer("abc"), 401, "invalid_token"},
		"another scheme counts":  {"/logout", inBody, []string{"Authorization", "Basic YTpi"}, 401, "invalid_token"},
		"another's key":          {"/logout", "", bearer(tokens.RefreshToken[:len(tokens.RefreshToken)-4] + "AAAA"), 401, "invalid_token"},
		"another user's":         {"/logout", "", bearer(stolen), 200, ""},
		"no JSON":                {"/logout", "x", nil, 400, "invalid_json"},
		"an array":               {"/logout", "[]", nil, 400, "invalid_json"},
		"twice":                  {"/logout", `{"refresh_token":"a","refresh_token":"b"}`, nil, 400, "invalid_json"},
		"another case":           {"/logout", `{"Refresh_Token":"a"}`, nil, 400, "invalid_json"},
		"a form":                 {"/logout", "refresh_token=" + tokens.RefreshToken, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"},
		"too large":              {"/logout", `{"x":"` + strings.Repeat("x", 16<<10) + `"}`, nil, 413, "body_too_large"},
		"a slash after it":       {"/logout/", inBody, nil, 404, "not_found"},
		"a body beside a bearer": {"/logout", "no JSON", bearer(stolen), 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.do(t, http.MethodPost, test.path, test.body, test.headers...)
			assert.Equal(t, test.status, got.status, got.body)
			assert.Equal(t, test.code, got.message(t).Code)
			assert.Empty(t, got.header["Set-Cookie"])
			assert.True(t, w.state(t, tokens.SessionID).RevokedAt.IsZero())
		})
	}
	w.refresh(t, tokens.RefreshToken)
}

// ASVS: 7.5.2, 10.4.9.
func TestLogoutAllRoute(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, ann)
		w.signUp(t, bob)
		s := serve(t, w.Handler(""))
		others := w.logIn(t, bob)
		for body, keeps := range map[string]bool{
			"": false, "{}": false, `{"keep_current":false}`: false, `{"keep_current":true}`: true, `{"keep":true,"id":"x"}`: false,
		} {
			current, other := w.logIn(t, ann), w.logIn(t, ann)
			for _, wrong := range []string{`null`, `"true"`, `1`, `{}`, `[]`} {
				got := s.do(t, http.MethodPost, "/logout/all", `{"keep_current":`+wrong+`}`, bearer(current.AccessToken)...)
				assert.Equal(t, http.StatusUnprocessableEntity, got.status)
				assert.JSONEq(t, `{"status":422,"code":"validation_failed","errors":{"keep_current":"It must be true or false"}}`, got.body)
			}
			for _, wrong := range []string{"x", "[]", `{"keep_current":true,"keep_current":true}`, `{"KEEP_CURRENT":true}`} {
				assert.Equal(t, http.StatusBadRequest, s.do(t, http.MethodPost, "/logout/all", wrong, bearer(current.AccessToken)...).status)
			}
			current, other = w.refresh(t, current.RefreshToken), w.refresh(t, other.RefreshToken)

			got := s.do(t, http.MethodPost, "/logout/all", body, bearer(current.AccessToken)...)
			assertMessage(t, loggedOutAll, got)
			w.assertOver(t, other)
			assert.Equal(t, auth.ReasonLogoutAll, w.state(t, other.SessionID).Reason)
			got = s.do(t, http.MethodPost, "/logout/all", body, bearer(current.AccessToken)...)
			if keeps {
				assertMessage(t, loggedOutAll, got)
				w.refresh(t, current.RefreshToken)
			} else {
				assert.Equal(t, sessionEnded, got.message(t).Code)
				w.assertOver(t, current)
			}
			w.refresh(t, w.logIn(t, ann).RefreshToken)
		}
		w.refresh(t, others.RefreshToken)
	})
}
