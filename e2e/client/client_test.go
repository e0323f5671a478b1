package client_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/e2e/client"
)

func TestRead(t *testing.T) {
	c, err := client.Read("e30.eyJzdWIiOiIxIiwic2lkIjoicyIsImdlbiI6MiwiZXhwIjozLCJhdXRoX3RpbWUiOjQsIm1heCI6NX0.x")
	require.NoError(t, err)
	require.Equal(t, client.Claims{Subject: "1", Session: "s", Generation: 2, ExpiresAt: 3, AuthTime: 4, MaxExpiresAt: 5}, c)
	for _, token := range []string{"", "a.b", "a.!.c", "a.e30", "a.bm8.c", "a.b.c.d"} {
		_, err := client.Read(token)
		require.Error(t, err, token)
	}
}

func TestDo(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/login":
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			_, _ = io.WriteString(w, `{"access_token":"`+r.Header.Get("Content-Type")+`","refresh_token":"`+r.Method+`"}`)
		case "/refresh":
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, r.Header.Get("Authorization")+string(body))
		default: // a reply that breaks off
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
		}
	}))
	t.Cleanup(server.Close)
	c := client.Client{URL: server.URL}
	a, err := c.LogIn(t.Context(), "ann@example.com", "correct horse")
	require.NoError(t, err)
	require.Equal(t, client.Answer{
		Status: http.StatusOK, AccessToken: "application/json", RefreshToken: http.MethodPost, Body: a.Body,
	}, a)
	a, err = c.Refresh(t.Context(), "token")
	require.NoError(t, err)
	require.Equal(t, client.Answer{Status: http.StatusServiceUnavailable, RetryAfter: "7", Body: "Bearer token"}, a)
	_, err = c.LogOut(t.Context(), "token")
	require.Error(t, err)
}

func TestIP(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strings.Join(r.Header[client.IPHeader], ", "))
	}))
	t.Cleanup(server.Close)
	for _, ip := range []string{"", "192.0.2.7", "2001:db8::7"} {
		c := client.Client{URL: server.URL}
		if ip != "" {
			c.IP = netip.MustParseAddr(ip)
		}
		a, err := c.Profile(t.Context(), "token")
		require.NoError(t, err)
		require.Equal(t, ip, a.Body)
	}
}
