//go:build browser

package browser_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCookiesOverHTTPS looks at the cookies as the browser has stored them.
func TestCookiesOverHTTPS(t *testing.T) {
	cert, key := selfSigned(t)
	url := serve(t, "-cert", cert, "-key", key)
	require.Regexp(t, "^https://", url)
	page := visit(t, url)
	page.showsForm()
	page.signUp(anns)

	const access, refresh, device = "__Host-" + accessCookie, "__Host-" + refreshCookie, "__Host-" + deviceCookie
	lifetimes := map[string]time.Duration{access: 20 * time.Minute, refresh: 24 * time.Hour, device: 400 * 24 * time.Hour}
	check := func() map[string]*network.Cookie {
		cookies := page.cookies(url)
		assert.Len(t, cookies, 3)
		for name, lifetime := range lifetimes {
			c := cookies[name]
			require.NotNil(t, c, name)
			assert.True(t, c.Secure)
			assert.True(t, c.HTTPOnly)
			assert.Equal(t, network.CookieSameSiteLax, c.SameSite)
			assert.Equal(t, "/", c.Path)
			assert.Equal(t, "127.0.0.1", c.Domain, "a dot before it would be a Domain attribute")
			assert.Nil(t, c.PartitionKey)
			assert.False(t, c.Session)
			assert.WithinDuration(t, time.Now().Add(lifetime), time.Unix(int64(c.Expires), 0), patience, name)
			assert.LessOrEqual(t, c.Size, int64(4096))
		}
		return cookies
	}
	before := check()
	assert.Empty(t, eval[string](page, "document.cookie"))

	assert.Equal(t, http.StatusOK, page.send("POST", "/api/refresh").Status)
	after := check()
	assert.NotEqual(t, before[refresh].Value, after[refresh].Value)

	page.logOut()
	assert.Equal(t, []string{device}, slices.Collect(maps.Keys(page.cookies(url))))
	page.logIn()
	check()
}

// selfSigned writes a certificate for 127.0.0.1 and its key into files.
func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	public, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	write := func(name, kind string, data []byte) string {
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600))
		return path
	}
	return write("cert.pem", "CERTIFICATE", public), write("key.pem", "PRIVATE KEY", secret)
}

func TestCertificateWithoutItsKey(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), program, "-addr", "127.0.0.1:0", "-cert", "cert.pem").CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(out), "-cert and -key go together")
}
