package examples_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestRouters has the handler answer alike in each router, and each guard its own route.
func TestRouters(t *testing.T) {
	for _, name := range []string{"chi", "gin", "echo"} {
		t.Run(name, func(t *testing.T) {
			_, url := serve(t, nil, name, "-cost", "10")
			do(t, http.StatusCreated, "POST", url+"/api/signup", "", ann)
			login := do(t, http.StatusOK, "POST", url+"/api/login", "", annLogin)
			access := login.str("access_token")

			profile := do(t, http.StatusOK, "GET", url+"/api/profile", access, "")
			assert.Equal(t, map[string]any{"id": 1.0, "name": "Ann Lee", "email": annsEmail}, profile.body["user"])
			refreshed := do(t, http.StatusOK, "POST", url+"/api/refresh", login.str("refresh_token"), "")
			do(t, http.StatusOK, "GET", url+"/api/refresh", refreshed.str("refresh_token"), "")

			unknown := do(t, http.StatusNotFound, "GET", url+"/api/nothing", "", "")
			assert.Equal(t, "not_found", unknown.str("code"))
			refused := do(t, http.StatusMethodNotAllowed, "DELETE", url+"/api/refresh", "", "")
			assert.Equal(t, "GET, POST", refused.header.Get("Allow"))
			assert.Equal(t, "method_not_allowed", refused.str("code"))
			do(t, http.StatusMethodNotAllowed, "HEAD", url+"/api/profile", access, "")

			orders := do(t, http.StatusOK, "GET", url+"/orders", access, "")
			assert.Equal(t, map[string]any{"user": "1", "orders": []any{}}, orders.body)
			for token, code := range map[string]string{"": "no_token", "x": "invalid_token", login.str("refresh_token"): "invalid_token"} {
				refused := do(t, http.StatusUnauthorized, "GET", url+"/orders", token, "")
				assert.Equal(t, code, refused.str("code"))
				assert.NotContains(t, refused.text, "orders", "the route answered too")
				assert.NotEmpty(t, refused.header.Get("WWW-Authenticate"))
			}
		})
	}
}
