package auth_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/clientip"
)

// behindProxies trusts the proxies of 10.0.0.0/8.
func behindProxies(t *testing.T) func(*auth.Config) {
	t.Helper()
	f, err := clientip.TrustedProxies(netip.MustParsePrefix("10.0.0.0/8"))
	require.NoError(t, err)
	return func(c *auth.Config) { c.ClientIP = f }
}

// forwarded is a login's status where the peer hands on that header.
func forwarded(t *testing.T, a *auth.Authenticator, address, peer, header string) int {
	t.Helper()
	r := newRequest(t, http.MethodPost, "/login", object(t, "email", address, "password", wrongPassword), "X-Forwarded-For", header)
	r.RemoteAddr = peer + ":1234"
	return direct(t, a.Handler(""), r).status
}

// What a client writes into X-Forwarded-For gives it no budget of its own, and takes none
// from those whom it names.
func TestSpoofedAddresses(t *testing.T) {
	const proxy, victim = "10.0.0.1", "203.0.113.7"
	for name, c := range map[string]struct {
		peer  string
		spoof func(i int) string
		edit  []func(*auth.Config)
	}{
		"through the proxies": {proxy, func(i int) string { return fmt.Sprintf("198.51.100.%d, %s, %s", i, theIP, "10.0.0.2") }, []func(*auth.Config){behindProxies(t)}},
		"past the proxies":    {theIP, func(i int) string { return fmt.Sprintf("198.51.100.%d, %s", i, victim) }, []func(*auth.Config){behindProxies(t)}},
		"without any":         {theIP, func(int) string { return victim }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := onMemory(t)
			l := w.recordLimits(t, c.edit...)
			for i := range 3 {
				require.Equal(t, http.StatusUnauthorized, forwarded(t, w.Authenticator, stranger(i), c.peer, c.spoof(i)))
			}
			l.drain(t, ipTries, ipTries-3)
			for i := range 3 {
				assert.Equal(t, http.StatusTooManyRequests, forwarded(t, w.Authenticator, stranger(i), c.peer, c.spoof(i+3)))
			}
			waitOf(t, guess(t, w.Authenticator, ann, from(theIP)))
			require.ErrorIs(t, guess(t, w.Authenticator, ann, from(victim)), auth.ErrInvalidCredentials)
			require.ErrorIs(t, guess(t, w.Authenticator, ann, from(proxy)), auth.ErrInvalidCredentials)
		})
	}
}

// Clients behind one proxy have budgets of their own, and their sessions their addresses.
func TestAddressesBehindProxies(t *testing.T) {
	w := onMemory(t)
	id := w.signUp(t, ann)
	l := w.recordLimits(t, behindProxies(t))
	require.Equal(t, http.StatusUnauthorized, forwarded(t, w.Authenticator, bob, "10.0.0.1", "192.0.2.1"))
	l.drain(t, ipTries, ipTries-1)
	assert.Equal(t, http.StatusTooManyRequests, forwarded(t, w.Authenticator, bob, "10.0.0.1", "192.0.2.1"))
	assert.Equal(t, http.StatusUnauthorized, forwarded(t, w.Authenticator, bob, "10.0.0.1", "192.0.2.2"))
	r := newRequest(t, http.MethodPost, "/login", loginBody(t, ann), "X-Forwarded-For", "2001:db8::7")
	r.RemoteAddr = "10.0.0.1:1"
	require.Equal(t, http.StatusOK, direct(t, w.Handler(""), r).status)
	sessions := w.sessions(t, id)
	require.Len(t, sessions, 1)
	assert.Equal(t, netip.MustParseAddr("2001:db8::7"), sessions[0].Client.IP)

	unknown := onMemory(t, func(c *auth.Config) { c.ClientIP = nowhereToBeFound })
	id = unknown.signUp(t, ann)
	require.Equal(t, http.StatusOK, loginAt(t, unknown.Authenticator, ann, password, theIP+":1").status)
	assert.Equal(t, auth.Client{}, unknown.sessions(t, id)[0].Client, "an address that is not known is none")
}

// Some middlewares leave the address of the peer without its port.
func TestPeersWithoutAPort(t *testing.T) {
	for _, peers := range [][2]string{{theIP, "198.51.100.8"}, {"2001:db8::1", "2001:db8:9::1"}} {
		w := onMemory(t)
		l := w.recordLimits(t)
		loginFrom := func(peer string) int {
			r := newRequest(t, http.MethodPost, "/login", object(t, "email", ann, "password", wrongPassword))
			r.RemoteAddr = peer
			return direct(t, w.Handler(""), r).status
		}
		require.Equal(t, http.StatusUnauthorized, loginFrom(peers[0]))
		l.drain(t, ipTries, ipTries-1)
		assert.Equal(t, http.StatusTooManyRequests, loginFrom(peers[0]))
		assert.Equal(t, http.StatusUnauthorized, loginFrom(peers[1]))
	}
}
