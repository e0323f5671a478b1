package auth_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/ostiary/auth"
)

func TestReauthRoute(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.freeze()
		w.signUp(t, ann)
		s := serve(t, w.Handler(""))
		tokens := w.logIn(t, ann)
		w.advance(10 * time.Minute)
		at := w.clock.Now()
		row := w.row(t, tokens.SessionID)
		for body, want := range map[string]struct {
			status int
			code   string
		}{
			"":                        {422, "validation_failed"},
			"{}":                      {422, "validation_failed"},
			`{"password":""}`:         {422, "validation_failed"},
			`{"password":null}`:       {422, "validation_failed"},
			`{"password":1}`:          {422, "validation_failed"},
			`{"password":"a\u0000b"}`: {422, "validation_failed"},
			`{"password":"` + strings.Repeat("x", 1025) + `"}`: {422, "validation_failed"},
			`{"password":"another horse"}`:                     {401, "invalid_credentials"},
			`{"password":"` + password + `","password":"x"}`:   {400, "invalid_json"},
			`{"Password":"` + password + `"}`:                  {400, "invalid_json"},
			"[]":                                               {400, "invalid_json"},
			"x":                                                {400, "invalid_json"},
			`{"x":"` + strings.Repeat("x", 16<<10) + `"}`: {413, "body_too_large"},
		} {
			got := s.do(t, http.MethodPost, "/reauth", body, bearer(tokens.AccessToken)...)
			assert.Equal(t, want.status, got.status, "%.100s", body)
			assert.Equal(t, want.code, got.message(t).Code, "%.100s", body)
			if want.status == http.StatusUnprocessableEntity {
				assert.NotEmpty(t, got.message(t).Errors["password"])
			}
			if want.status == http.StatusUnauthorized {
				assert.Equal(t, "Bearer", got.header.Get("WWW-Authenticate"))
			}
		}
		got := s.do(t, http.MethodPost, "/reauth", "password="+password, append(bearer(tokens.AccessToken), "Content-Type", "application/x-www-form-urlencoded")...)
		assert.Equal(t, http.StatusUnsupportedMediaType, got.status)
		assert.Equal(t, row, w.row(t, tokens.SessionID))

		got = s.do(t, http.MethodPost, "/reauth", `{"password":"`+password+`","max_age":1,"auth_time":1}`, append(bearer(tokens.AccessToken), "User-Agent", "an agent")...)
		next := got.tokens(t)
		assert.Equal(t, fmt.Sprintf(`{"status":200,"access_token":%q,"refresh_token":%q,"token_type":"Bearer","expires_in":1200}`,
			next.AccessToken, next.RefreshToken), got.body)
		w.assertAuthTime(t, at, next)
		client := w.state(t, tokens.SessionID).Client
		assert.Equal(t, "an agent", client.UserAgent)
		assert.True(t, client.IP.IsLoopback())
		for range 2 { // the new tokens, and by a client that missed them
			w.assertAuthTime(t, at, s.do(t, http.MethodPost, "/refresh", "", bearer(tokens.RefreshToken)...).tokens(t))
		}
	})
}

// A guard asks for it, and lets the new token through.
//
// ASVS: 7.5.1.
func TestReauthRouteAnswersMaxAuthAge(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, ann)
	mux := http.NewServeMux()
	mux.Handle("/", w.Handler(""))
	mux.Handle("POST /payments", w.RequireWith(auth.Requirement{MaxAuthAge: 5 * time.Minute})(http.HandlerFunc(whoami)))
	s := serve(t, mux)
	tokens := s.do(t, http.MethodPost, "/login", loginBody(t, ann)).tokens(t)
	pay := func() reply { return s.do(t, http.MethodPost, "/payments", "", bearer(tokens.AccessToken)...) }
	assert.Equal(t, http.StatusOK, pay().status)
	w.advance(10 * time.Minute)
	assert.Equal(t, "insufficient_user_authentication", pay().message(t).Code)
	tokens = s.do(t, http.MethodPost, "/refresh", "", bearer(tokens.RefreshToken)...).tokens(t)
	assert.Equal(t, http.StatusUnauthorized, pay().status)
	tokens = s.do(t, http.MethodPost, "/reauth", object(t, "password", password), bearer(tokens.AccessToken)...).tokens(t)
	assert.Equal(t, http.StatusOK, pay().status)
}

// 8 rotations within Grace are enough, reauthentications among them.
func TestReauthRouteIsLimited(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, ann)
	s := serve(t, w.Handler(""))
	tokens := w.logIn(t, ann)
	reauth := func() reply {
		return s.do(t, http.MethodPost, "/reauth", object(t, "password", password), bearer(tokens.AccessToken)...)
	}
	for range auth.RetiredKept {
		reauth().tokens(t)
	}
	got := reauth()
	assert.Equal(t, http.StatusTooManyRequests, got.status)
	assert.Equal(t, "60", got.header.Get("Retry-After"))
	w.advance(grace + time.Second)
	reauth().tokens(t)
}
