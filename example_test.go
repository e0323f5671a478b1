package auth_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/memstore"
	"github.com/ostiary/auth/pwned"
)

// newKey is a random key. A service keeps its keys where all of its instances find them.
func newKey() auth.Key {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	return auth.HMACKey(secret)
}

// newExample is an Authenticator with cheap hashes, so that the examples run quickly.
func newExample(changes ...func(*auth.Config)) *auth.Authenticator {
	cfg := auth.Config{
		Tokens:   auth.TokenOptions{AccessKeys: []auth.Key{newKey()}, RefreshKeys: []auth.Key{newKey()}},
		HashCost: 4, InsecureHashCost: true,
		Logger: slog.New(slog.DiscardHandler),
	}
	for _, change := range changes {
		change(&cfg)
	}
	a, err := auth.New(memstore.New(memstore.Options{}).Stores(), cfg)
	if err != nil {
		log.Fatal(err)
	}
	return a
}

// newUser signs Ann up.
func newUser(a *auth.Authenticator) auth.UserID {
	user, err := a.Signup(context.Background(), auth.SignupInput{Name: "Ann Lee", Email: "ann@example.com", Password: "correct horse"})
	if err != nil {
		log.Fatal(err)
	}
	return user.ID
}

// startSession logs a user in.
func startSession(a *auth.Authenticator, id auth.UserID) auth.Tokens {
	tokens, err := a.StartSession(context.Background(), id, auth.Client{})
	if err != nil {
		log.Fatal(err)
	}
	return tokens
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
	newUser(a)

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
	first := startSession(a, newUser(a))

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

// A user sees where they are logged in, ends one session or all others, and the host ends
// every one.
func ExampleAuthenticator_Sessions() {
	a := newExample()
	ctx := context.Background()
	ann := newUser(a)
	lost, phone, laptop := startSession(a, ann), startSession(a, ann), startSession(a, ann)
	count := func() int {
		sessions, err := a.Sessions(ctx, ann, laptop.SessionID)
		if err != nil {
			log.Fatal(err)
		}
		return len(sessions)
	}
	fmt.Println(count())

	fmt.Println(a.RevokeSession(ctx, ann, lost.SessionID), count())
	fmt.Println(a.LogoutAll(ctx, ann, laptop.SessionID), count())
	_, err := a.Refresh(ctx, phone.RefreshToken, auth.Client{})
	fmt.Println(errors.Is(err, auth.ErrSessionEnded))

	fmt.Println(a.DisableUser(ctx, ann), count())
	_, err = a.Login(ctx, auth.LoginInput{Email: "ann@example.com", Password: "correct horse"})
	fmt.Println(errors.Is(err, auth.ErrAccountDisabled))
	// Output:
	// 3
	// <nil> 2
	// <nil> 1
	// true
	// <nil> 0
	// true
}

// After a backup was restored, and before the first request: see docs/restore.md.
func ExampleAuthenticator_RevokeAllSessions() {
	a := newExample()
	ctx := context.Background()
	ann := newUser(a)
	restored := startSession(a, ann)

	revoked, err := a.RevokeAllSessions(ctx, time.Now())
	fmt.Println(revoked, err)

	_, err = a.Refresh(ctx, restored.RefreshToken, auth.Client{})
	fmt.Println(errors.Is(err, auth.ErrSessionEnded))
	_, err = a.Refresh(ctx, startSession(a, ann).RefreshToken, auth.Client{})
	fmt.Println(err)
	// Output:
	// 1 <nil>
	// true
	// <nil>
}

// A ticker calls it now and then: examples/mysql has one.
func ExampleAuthenticator_PurgeSessions() {
	now := time.Now()
	a := newExample(func(cfg *auth.Config) { cfg.Now = func() time.Time { return now } })
	startSession(a, newUser(a))
	for range 2 {
		purged, err := a.PurgeSessions(context.Background(), 0)
		fmt.Println(purged, err)
		now = now.Add(26 * time.Hour) // more than IdleTTL and an hour
	}
	// Output:
	// 0 <nil>
	// 1 <nil>
}

// A route for what needs more than a valid access token: its session must go on, and its
// user have proven who they are not long ago.
func ExampleAuthenticator_RequireWith() {
	now := time.Now()
	a := newExample(func(cfg *auth.Config) { cfg.Now = func() time.Time { return now } })
	tokens := startSession(a, newUser(a))

	recent := a.RequireWith(auth.Requirement{Live: true, MaxAuthAge: 10 * time.Minute})
	payout := recent(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "paid") }))
	try := func() {
		r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/payout", nil)
		r.Header.Set("Authorization", "Bearer "+tokens.AccessToken)
		w := httptest.NewRecorder()
		payout.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Body)
	}
	try()
	now = now.Add(15 * time.Minute)
	try()

	claims, err := a.Verify(tokens.AccessToken) // or FromContext, behind a guard
	if err != nil {
		log.Fatal(err)
	}
	tokens, err = a.Reauthenticate(context.Background(), claims, auth.ReauthInput{Password: "correct horse"})
	fmt.Println(err)
	try()
	// Output:
	// 200 paid
	// 401 {"status":401,"code":"insufficient_user_authentication","message":"Please authenticate again"}
	// <nil>
	// 200 paid
}

// access is what a host says of its users in their access tokens.
type access struct {
	Roles []string `json:"roles"`
}

// The host's claims are made anew with every access token, and read back where it is used.
func ExampleClaims_Decode() {
	rolesOf := func(context.Context, auth.UserID) ([]string, error) { return []string{"editor"}, nil }
	a := newExample(func(cfg *auth.Config) {
		cfg.ExtraClaims = func(ctx context.Context, id auth.UserID, _ auth.Session) (any, error) {
			roles, err := rolesOf(ctx, id)
			return access{Roles: roles}, err
		}
	})
	claims, err := a.Verify(startSession(a, newUser(a)).AccessToken)
	if err != nil {
		log.Fatal(err)
	}
	var user access
	fmt.Println(claims.Decode(&user), user.Roles)
	// Output: <nil> [editor]
}

// The host is told of what happens to sessions: here, that a refresh token was used twice.
func ExampleEvent() {
	a := newExample(func(cfg *auth.Config) {
		cfg.Tokens.StrictRotation = true
		cfg.OnEvent = func(_ context.Context, e auth.Event) {
			fmt.Println(e.Kind, e.UserID, e.Behind)
		}
	})
	tokens := startSession(a, newUser(a))
	for range 2 {
		_, _ = a.Refresh(context.Background(), tokens.RefreshToken, auth.Client{})
	}
	// Output:
	// signed_up 1 0
	// logged_in 1 0
	// refreshed 1 0
	// reuse 1 1
}

// New passwords that were found in leaks are refused. Package pwned asks Have I Been Pwned,
// here a server that speaks like it.
func ExampleConfig_checkPassword() {
	hibp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "F5B9F84407F3CC5B18952B5810DD421259F:12\r\nE5EFB0D3C8D5A1B2C3D4E5F60718293A4B5:0\r\n")
	}))
	defer hibp.Close()
	leaks := pwned.Checker{URL: hibp.URL}
	a := newExample(func(cfg *auth.Config) {
		cfg.CheckPassword = func(ctx context.Context, p auth.NewPassword) error {
			n, err := leaks.Count(ctx, p.Password)
			if err == nil && n > 0 {
				return &auth.ValidationError{Fields: map[string]string{"password": "This password was found in a leak: take another"}}
			}
			return err // the service is out of reach: 503, and nobody signs up
		}
	})
	for _, password := range []string{"monday morning coffee", "correct horse"} {
		_, err := a.Signup(context.Background(), auth.SignupInput{Name: "Ann Lee", Email: "ann@example.com", Password: password})
		fmt.Println(err)
	}
	// Output:
	// auth: invalid input: password: This password was found in a leak: take another
	// <nil>
}

// A browser app's tokens are in cookies, and its bodies hold none.
func ExampleCookieOptions() {
	a := newExample(func(cfg *auth.Config) { cfg.Cookies = &auth.CookieOptions{} })
	newUser(a)
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/api/login",
		strings.NewReader(`{"email":"ann@example.com","password":"correct horse"}`))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Sec-Fetch-Site", "same-origin") // as browsers do
	w := httptest.NewRecorder()
	a.Handler("/api").ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)
	for _, cookie := range w.Result().Cookies() {
		fmt.Println(cookie.Name, cookie.Path, cookie.HttpOnly, cookie.Secure)
	}
	// Output:
	// 200 {"status":200,"expires_in":1200}
	// __Host-auth-access / true true
	// __Host-auth-refresh / true true
	// __Host-auth-device / true true
}

// A handler of the host's may find out who somebody is in a way of its own, and answers
// like the route for login.
func ExampleAuthenticator_WriteTokens() {
	a := newExample(func(cfg *auth.Config) { cfg.Cookies = &auth.CookieOptions{} })
	id := newUser(a)
	signedOn := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tokens, err := a.StartSession(r.Context(), id, auth.Client{UserAgent: r.UserAgent()})
		if err != nil {
			auth.WriteError(w, r, err)
			return
		}
		a.WriteTokens(w, r, tokens)
	})
	w := httptest.NewRecorder()
	signedOn.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/sso/callback", nil))
	fmt.Println(w.Code, w.Body, len(w.Result().Cookies()))
	// Output:
	// 200 {"status":200,"expires_in":1200} 2
}

// cors lets pages of one other origin use the API.
func cors(origin string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin")
		if r.Header.Get("Origin") == origin {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
			w.Header().Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
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
