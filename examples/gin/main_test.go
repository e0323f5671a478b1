package main_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	host "github.com/ostiary/auth/examples/gin"
	"github.com/ostiary/auth/memstore"
)

// TestRequire counts how often the route behind the guard is entered.
func TestRequire(t *testing.T) {
	a, err := auth.New(memstore.New(memstore.Options{}).Stores(), auth.Config{
		Tokens: auth.TokenOptions{
			AccessKeys:  []auth.Key{auth.HMACKey([]byte("an access secret of tests, 32 bytes and more"))},
			RefreshKeys: []auth.Key{auth.HMACKey([]byte("a refresh secret of tests, 32 bytes and more"))},
		},
		HashCost: 4, InsecureHashCost: true,
	})
	require.NoError(t, err)
	user, err := a.Signup(t.Context(), auth.SignupInput{Name: "Ann Lee", Email: "ann@example.com", Password: "correct horse"})
	require.NoError(t, err)
	tokens, err := a.StartSession(t.Context(), user.ID, auth.Client{})
	require.NoError(t, err)

	var entered []auth.UserID
	r := gin.New()
	r.GET("/", host.Require(a), func(c *gin.Context) {
		id, _ := auth.UserIDFromContext(c.Request.Context())
		entered = append(entered, id)
		c.Status(http.StatusNoContent)
	})
	for _, c := range []struct {
		authorization string
		status        int
	}{
		{"", http.StatusUnauthorized},
		{"Bearer x", http.StatusUnauthorized},
		{"Bearer " + tokens.AccessToken, http.StatusNoContent},
	} {
		req := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		if c.authorization != "" {
			req.Header.Set("Authorization", c.authorization)
		}
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		assert.Equal(t, c.status, w.Code)
	}
	assert.Equal(t, []auth.UserID{user.ID}, entered)
}
