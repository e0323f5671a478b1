package verify_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/memstore"
	"github.com/ostiary/auth/verify"
)

// The app signs with a private key and publishes its public part; another service lets its
// users in by that alone.
func Example() {
	_, private, _ := ed25519.GenerateKey(nil) // an app reads the one that it keeps
	app, err := auth.New(memstore.New(memstore.Options{}).Stores(), auth.Config{Tokens: auth.TokenOptions{
		AccessKeys:  []auth.Key{auth.SignerKey(private)},
		RefreshKeys: []auth.Key{auth.HMACKey([]byte("an example's secret of 32 bytes!"))},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	issuer := httptest.NewServer(app.Handler("/api"))
	defer issuer.Close()
	ctx := context.Background()
	user, err := app.Signup(ctx, auth.SignupInput{Name: "Ann Lee", Email: "ann@example.com", Password: "Kestrel over the moor"})
	if err != nil {
		fmt.Println(err)
		return
	}
	tokens, err := app.StartSession(ctx, user.ID, auth.Client{})
	if err != nil {
		fmt.Println(err)
		return
	}

	v, err := verify.New(verify.Config{JWKSURL: issuer.URL + "/api/jwks.json"})
	if err != nil {
		fmt.Println(err)
		return
	}
	orders := v.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := verify.FromContext(r.Context())
		_, _ = fmt.Fprintln(w, "the orders of user", claims.UserID)
	}))
	for _, authorization := range []string{"Bearer " + tokens.AccessToken, "Bearer " + tokens.RefreshToken} {
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/orders", nil)
		r.Header.Set("Authorization", authorization)
		w := httptest.NewRecorder()
		orders.ServeHTTP(w, r)
		fmt.Print(w.Code, " ", w.Body)
	}
	// Output:
	// 200 the orders of user 1
	// 401 {"status":401,"code":"invalid_token","message":"Unauthorized: invalid token"}
}
