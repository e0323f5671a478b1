// Package client speaks to the library's routes over HTTP, as a front end does, and reads
// what a token says without a key.
package client

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
)

// IPHeader is where a request says which IP address it comes from. Every one comes from
// this machine, and an instance of the tests believes what it says.
const IPHeader = "X-E2e-Client"

// Client sends requests to one instance. The zero value of HTTP is the default client, of
// IP this machine's address.
type Client struct {
	URL  string // without a slash at its end
	HTTP *http.Client
	IP   netip.Addr
}

// Answer is a response that came whole.
type Answer struct {
	Status       int    `json:"-"`
	RetryAfter   string `json:"-"`
	Body         string `json:"-"`
	Code         string `json:"code"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
}

// SignUp creates a user.
func (c Client) SignUp(ctx context.Context, email, password string) (Answer, error) {
	return c.Do(ctx, http.MethodPost, "/signup", "", map[string]string{"name": "Ann Lee", "email": email, "password": password})
}

// LogIn starts a session.
func (c Client) LogIn(ctx context.Context, email, password string) (Answer, error) {
	return c.Do(ctx, http.MethodPost, "/login", "", map[string]string{"email": email, "password": password})
}

// Refresh presents a refresh token for its successor.
func (c Client) Refresh(ctx context.Context, refreshToken string) (Answer, error) {
	return c.Do(ctx, http.MethodPost, "/refresh", refreshToken, nil)
}

// LogOut ends the session of a refresh token.
func (c Client) LogOut(ctx context.Context, refreshToken string) (Answer, error) {
	return c.Do(ctx, http.MethodPost, "/logout", refreshToken, nil)
}

// Profile asks who the access token's user is.
func (c Client) Profile(ctx context.Context, accessToken string) (Answer, error) {
	return c.Do(ctx, http.MethodGet, "/profile", accessToken, nil)
}

// Do sends a request with a bearer token and a JSON body, either of which may be missing.
// An error says that no whole answer came.
func (c Client) Do(ctx context.Context, method, path, token string, body map[string]string) (Answer, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return Answer{}, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.URL+path, bytes.NewReader(text))
	if err != nil {
		return Answer{}, err
	}
	// Without GetBody the transport sends nothing twice behind our back.
	req.GetBody = nil
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.IP.IsValid() {
		req.Header.Set(IPHeader, c.IP.String())
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	httpClient := c.HTTP
	if httpClient == nil {
		httpClient = http.DefaultClient
	}
	res, err := httpClient.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	read, err := io.ReadAll(res.Body)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Status: res.StatusCode, RetryAfter: res.Header.Get("Retry-After"), Body: string(read)}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(read, &a); err != nil {
			return Answer{}, err
		}
	}
	return a, nil
}

// Claims are what a refresh token says.
type Claims struct {
	Subject      string `json:"sub"`
	Session      string `json:"sid"`
	Generation   int64  `json:"gen"`
	ExpiresAt    int64  `json:"exp"`
	AuthTime     int64  `json:"auth_time"`
	MaxExpiresAt int64  `json:"max"`
}

// Read returns the claims of a refresh token, whose signature is not verified.
func Read(refreshToken string) (Claims, error) {
	parts := strings.Split(refreshToken, ".")
	if len(parts) != 3 {
		return Claims{}, fmt.Errorf("client: a token has 3 parts, not %d", len(parts))
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return Claims{}, fmt.Errorf("client: %w", err)
	}
	var c Claims
	if err := json.Unmarshal(text, &c); err != nil {
		return Claims{}, fmt.Errorf("client: %w", err)
	}
	return c, nil
}
