package verify_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/verify"
)

func TestRequire(t *testing.T) {
	k := key(t, 1)
	w := newWorld(t, k)
	good := sign(t, k, payload)
	expired := sign(t, k, strings.Replace(payload, "1800001200", "1799999000", 1))
	const (
		invalid = `Bearer error="invalid_token"`
		no      = "Please provide your Authorization token"
	)
	h := w.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, ok := verify.FromContext(r.Context())
		assert.True(t, ok)
		_, _ = w.Write([]byte(claims.UserID))
	}))
	get := func(authorization ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/orders", nil)
		if authorization != nil {
			r.Header["Authorization"] = authorization
		}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		return rec
	}
	refused := func(got *httptest.ResponseRecorder, status int, code, message, challenge string) {
		t.Helper()
		var body struct {
			Status  int    `json:"status"`
			Code    string `json:"code"`
			Message string `json:"message"`
		}
		require.NoError(t, json.Unmarshal(got.Body.Bytes(), &body))
		assert.Equal(t, status, got.Code)
		assert.Equal(t, status, body.Status)
		assert.Equal(t, code, body.Code)
		assert.Equal(t, message, body.Message)
		assert.Equal(t, challenge, got.Header().Get("WWW-Authenticate"))
		assert.Equal(t, "application/json; charset=utf-8", got.Header().Get("Content-Type"))
		assert.Equal(t, "no-store", got.Header().Get("Cache-Control"))
		assert.Equal(t, "nosniff", got.Header().Get("X-Content-Type-Options"))
	}

	w.fails()
	refused(get(), 401, "no_token", no, "Bearer") // what needs no keys to be refused
	refused(get("Bearer x"), 401, "invalid_token", "Unauthorized: invalid token", invalid)
	got := get("Bearer " + good)
	refused(got, 503, "unavailable", "Service Unavailable", "")
	assert.Equal(t, "5", got.Header().Get("Retry-After"))

	w.publish(k)
	w.clock.add(5 * time.Second)
	for _, scheme := range []string{"Bearer ", "bearer ", "BEARER   "} {
		got = get(scheme + good)
		assert.Equal(t, http.StatusOK, got.Code)
		assert.Equal(t, "42", got.Body.String())
	}
	refused(get(""), 401, "no_token", no, "Bearer")
	for _, bad := range [][]string{{good}, {"Basic " + good}, {"Bearer"}, {"Bearer " + good + " x"}, {"Bearer " + good, "Bearer " + good}, {"Bearer " + good, ""}} {
		refused(get(bad...), 401, "invalid_token", "Invalid Authorization token", invalid)
	}
	refused(get("Bearer "+good+"A"), 401, "invalid_token", "Unauthorized: invalid token", invalid)
	refused(get("Bearer "+expired), 401, "token_expired", "Unauthorized: token expired", invalid)

	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/orders?access_token="+good, nil)
	r.AddCookie(&http.Cookie{Name: "__Host-auth-access", Value: good, Secure: true})
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	refused(rec, 401, "no_token", no, "Bearer") // neither from the URL nor from a cookie

	_, ok := verify.FromContext(context.Background())
	assert.False(t, ok)
}
