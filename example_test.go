package auth_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/memstore"
)

// newKey is a random key. A service keeps its keys where all of its instances find them.
func newKey() auth.Key {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	return auth.HMACKey(secret)
}

// newExample is an Authenticator with cheap hashes, so that the examples run quickly.
func newExample() *auth.Authenticator {
	a, err := auth.New(memstore.New(memstore.Options{}).Stores(), auth.Config{
		Tokens:   auth.TokenOptions{AccessKeys: []auth.Key{newKey()}, RefreshKeys: []auth.Key{newKey()}},
		HashCost: 4, InsecureHashCost: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	return a
}

// The keys are all that a Config needs. Whatever is wrong with it, New says at once.
func ExampleNew() {
	stores := memstore.New(memstore.Options{}).Stores()
	_, err := auth.New(stores, auth.Config{Tokens: auth.TokenOptions{
		AccessKeys:  []auth.Key{newKey()},
		RefreshKeys: []auth.Key{newKey()},
	}})
	fmt.Println(err)

	_, err = auth.New(stores, auth.Config{HashCost: 8, Tokens: auth.TokenOptions{
		AccessKeys: []auth.Key{auth.HMACKey([]byte("too short"))},
	}})
	fmt.Println(err)
	// Output:
	// <nil>
	// auth: Config.HashCost is 8: it must be from 10 to 18
	// auth: Config.Tokens.AccessKeys[0] has 9 bytes, fewer than 32: make a random one
	// auth: Config.Tokens.RefreshKeys is empty: it needs a random key of 32 bytes at least
}

// A service with the library's routes under /api and a route of its own that wants a
// user.
func Example() {
	a := newExample()
	orders := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := auth.UserIDFromContext(r.Context())
		_, _ = fmt.Fprintf(w, "the orders of user %s", id)
	})
	mux := http.NewServeMux()
	mux.Handle("/api/", a.Handler("/api"))
	mux.Handle("GET /orders", a.Require(orders))
	server := httptest.NewServer(mux)
	defer server.Close()

	// A client signs up by POST /api/signup.
	res, err := http.Post(server.URL+"/api/signup", "application/json",
		strings.NewReader(`{"name":"Ann Lee","email":"ann@example.com","password":"correct horse"}`))
	if err != nil {
		log.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	fmt.Println(res.StatusCode, string(body))

	// It gets its tokens by POST /api/login, or here, since we are on the server.
	tokens, err := a.Login(context.Background(), auth.LoginInput{Email: "ann@example.com", Password: "correct horse"})
	if err != nil {
		log.Fatal(err)
	}
	for _, header := range []string{"Bearer " + tokens.AccessToken, "Bearer stolen"} {
		req, err := http.NewRequest(http.MethodGet, server.URL+"/orders", nil)
		if err != nil {
			log.Fatal(err)
		}
		req.Header.Set("Authorization", header)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			log.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		fmt.Println(res.StatusCode, string(body))
	}
	// Output:
	// 201 {"status":201,"message":"You have been successfully registered.","user_id":1}
	// 200 the orders of user 1
	// 401 {"status":401,"code":"invalid_token","message":"Unauthorized: invalid token"}
}

// Whatever the routes do, a call does too, with the same checks.
func ExampleAuthenticator_Signup() {
	a := newExample()
	ctx := context.Background()

	_, err := a.Signup(ctx, auth.SignupInput{Name: "Ann Lee", Email: "ann", Password: "short"})
	if invalid, ok := errors.AsType[*auth.ValidationError](err); ok {
		fmt.Println(invalid.Fields["email"])
		fmt.Println(invalid.Fields["password"])
	}

	user, err := a.Signup(ctx, auth.SignupInput{Name: "Ann Lee", Email: " Ann@Example.com", Password: "correct horse"})
	fmt.Println(user.ID, user.Name, user.Email, err)

	_, err = a.Signup(ctx, auth.SignupInput{Name: "Another", Email: "ann@example.com", Password: "correct horse"})
	fmt.Println(errors.Is(err, auth.ErrEmailTaken))
	// Output:
	// Invalid email address.
	// Password must be at least 8 characters long
	// 1 Ann Lee Ann@Example.com <nil>
	// true
}

// A wrong password and an unknown address are told alike.
func ExampleAuthenticator_Login() {
	a := newExample()
	ctx := context.Background()
	if _, err := a.Signup(ctx, auth.SignupInput{Name: "Ann Lee", Email: "ann@example.com", Password: "correct horse"}); err != nil {
		log.Fatal(err)
	}

	tokens, err := a.Login(ctx, auth.LoginInput{Email: "ANN@example.com", Password: "correct horse"})
	fmt.Println(tokens.UserID, tokens.ExpiresIn, err)
	claims, err := a.Verify(tokens.AccessToken)
	fmt.Println(claims.UserID, claims.SessionID == tokens.SessionID, err)

	_, err = a.Login(ctx, auth.LoginInput{Email: "ann@example.com", Password: "wrong"})
	fmt.Println(err)
	_, err = a.Login(ctx, auth.LoginInput{Email: "nobody@example.com", Password: "correct horse"})
	fmt.Println(errors.Is(err, auth.ErrInvalidCredentials), err)
	// Output:
	// 1 20m0s <nil>
	// 1 true <nil>
	// auth: incorrect email or password
	// true auth: incorrect email or password
}

// A refresh token is used once. Within TokenOptions.Grace a second use, by another tab or
// after a reply that was lost, is answered with the same successor.
func ExampleAuthenticator_Refresh() {
	a := newExample()
	ctx := context.Background()
	user, err := a.Signup(ctx, auth.SignupInput{Name: "Ann Lee", Email: "ann@example.com", Password: "correct horse"})
	if err != nil {
		log.Fatal(err)
	}
	first, err := a.StartSession(ctx, user.ID, auth.Client{})
	if err != nil {
		log.Fatal(err)
	}

	second, err := a.Refresh(ctx, first.RefreshToken, auth.Client{})
	fmt.Println(second.RefreshToken != first.RefreshToken, err)
	again, err := a.Refresh(ctx, first.RefreshToken, auth.Client{})
	fmt.Println(again.RefreshToken == second.RefreshToken, err)

	fmt.Println(a.Logout(ctx, second.RefreshToken))
	_, err = a.Refresh(ctx, second.RefreshToken, auth.Client{})
	fmt.Println(errors.Is(err, auth.ErrSessionEnded))
	// Output:
	// true <nil>
	// true <nil>
	// <nil>
	// true
}

// cors lets pages of one other origin use the API.
func cors(origin string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin")
		if r.Header.Get("Origin") == origin {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
			w.Header().Set("Access-Control-Allow-Methods", "GET, POST")
			w.Header().Set("Access-Control-Expose-Headers", "Retry-After, WWW-Authenticate")
		}
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// The library sets no CORS headers: the host's middleware names the origins that may
// read its answers.
func ExampleAuthenticator_Handler_cors() {
	handler := cors("https://app.example.com", newExample().Handler("/api"))
	for _, origin := range []string{"https://app.example.com", "https://app.example.com.evil.example", "null"} {
		r := httptest.NewRequestWithContext(context.Background(), http.MethodOptions, "/api/login", nil)
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Method", http.MethodPost)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Printf("%d %q\n", w.Code, w.Header().Get("Access-Control-Allow-Origin"))
	}
	// Output:
	// 204 "https://app.example.com"
	// 204 ""
	// 204 ""
}
