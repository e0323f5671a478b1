package clientip_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/clientip"
)

const (
	xForwardedFor = "X-Forwarded-For"
	forwarded     = "Forwarded"

	proxy  = "10.0.0.1:4711" // a peer that is a proxy
	direct = "192.0.2.77:4711"
)

// prefixes are those of the proxies in these tests.
func prefixes() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:a::/48")}
}

func xff(tb testing.TB) func(*http.Request) netip.Addr {
	tb.Helper()
	f, err := clientip.TrustedProxies(prefixes()...)
	require.NoError(tb, err)
	return f
}

func rfc7239(tb testing.TB) func(*http.Request) netip.Addr {
	tb.Helper()
	f, err := clientip.Proxies{Prefixes: prefixes()}.Forwarded()
	require.NoError(tb, err)
	return f
}

func request(peer, header string, lines ...string) *http.Request {
	return &http.Request{RemoteAddr: peer, Header: http.Header{header: lines}}
}

// addr is the address that s writes, the zero one for "".
func addr(s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(s)
}

// ASVS: 4.1.3, 15.3.4.
// Advisory: better-auth #10203, GHSA-3fxj-6jh8-hvhx.
func TestXForwardedFor(t *testing.T) {
	for name, c := range map[string]struct {
		lines []string
		want  string
	}{
		"none":                   {nil, "10.0.0.1"},
		"one":                    {[]string{"192.0.2.1"}, "192.0.2.1"},
		"what the client wrote":  {[]string{"198.51.100.66, 192.0.2.1"}, "192.0.2.1"},
		"proxies":                {[]string{"198.51.100.66, 192.0.2.1, 10.0.0.3, 2001:db8:a::2"}, "192.0.2.1"},
		"a proxy left of it":     {[]string{"10.0.0.9, 192.0.2.1, 10.0.0.3"}, "192.0.2.1"},
		"proxies alone":          {[]string{"10.0.0.3, 10.0.0.2, 2001:db8:a::2"}, "10.0.0.3"},
		"one proxy alone":        {[]string{"10.0.0.2"}, "10.0.0.2"},
		"lines":                  {[]string{"198.51.100.66", "192.0.2.1, 10.0.0.3", "10.0.0.2"}, "192.0.2.1"},
		"a line of the client's": {[]string{"198.51.100.66", "192.0.2.1"}, "192.0.2.1"},
		"lines of proxies":       {[]string{"10.0.0.4,10.0.0.3", "10.0.0.2"}, "10.0.0.4"},
		"white space":            {[]string{" \t198.51.100.66 ,\t192.0.2.1\t , 10.0.0.3 "}, "192.0.2.1"},
		"no white space":         {[]string{"198.51.100.66,192.0.2.1,10.0.0.3"}, "192.0.2.1"},

		"IPv6":                        {[]string{"2001:db8::1"}, "2001:db8::1"},
		"IPv6, other spelling":        {[]string{"2001:DB8:0:0::0:1, 2001:DB8:A:0::1"}, "2001:db8::1"},
		"IPv6 in brackets":            {[]string{"[2001:db8::1]"}, "2001:db8::1"},
		"ports":                       {[]string{"192.0.2.1:5678, 10.0.0.3:80, [2001:db8:a::2]:65535"}, "192.0.2.1"},
		"IPv6 with a port":            {[]string{"[2001:db8::1]:80"}, "2001:db8::1"},
		"IPv4-mapped client":          {[]string{"::ffff:192.0.2.1"}, "192.0.2.1"},
		"IPv4-mapped, in hexadecimal": {[]string{"[::ffff:c000:201]:80"}, "192.0.2.1"},
		"IPv4-mapped proxy":           {[]string{"192.0.2.1, ::ffff:10.0.0.2, [::ffff:10.0.0.3]:1"}, "192.0.2.1"},

		"garbage":                 {[]string{"198.51.100.66, x"}, "10.0.0.1"},
		"unknown":                 {[]string{"198.51.100.66, unknown, 10.0.0.2"}, "10.0.0.2"},
		"obfuscated":              {[]string{"198.51.100.66, _hidden, 10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		"empty":                   {[]string{""}, "10.0.0.1"},
		"empty entry":             {[]string{"198.51.100.66, , 10.0.0.2"}, "10.0.0.2"},
		"empty last entry":        {[]string{"198.51.100.66,"}, "10.0.0.1"},
		"empty last line":         {[]string{"198.51.100.66", ""}, "10.0.0.1"},
		"garbage in another line": {[]string{"198.51.100.66", "x", "10.0.0.2"}, "10.0.0.2"},
		"garbage beyond it":       {[]string{"x, \xff, 192.0.2.1, 10.0.0.2"}, "192.0.2.1"},
		"a host name":             {[]string{"localhost"}, "10.0.0.1"},
		"a unix socket":           {[]string{"192.0.2.1, unix:"}, "10.0.0.1"},
		"zone":                    {[]string{"fe80::1%eth0"}, "10.0.0.1"},
		"zone of a proxy":         {[]string{"198.51.100.66, 2001:db8:a::2%1"}, "10.0.0.1"},
		"zone and port":           {[]string{"[fe80::1%eth0]:80"}, "10.0.0.1"},
		"quoted":                  {[]string{`"192.0.2.1"`}, "10.0.0.1"},
		"of the other header":     {[]string{"for=192.0.2.1"}, "10.0.0.1"},
		"semicolons":              {[]string{"192.0.2.1;192.0.2.2"}, "10.0.0.1"},
		"prefix":                  {[]string{"192.0.2.0/24"}, "10.0.0.1"},
		"leading zero":            {[]string{"192.0.2.01"}, "10.0.0.1"},
		"three numbers":           {[]string{"192.0.2"}, "10.0.0.1"},
		"one number":              {[]string{"3221225985"}, "10.0.0.1"},
		"hexadecimal":             {[]string{"0xc0000201"}, "10.0.0.1"},
		"no port":                 {[]string{"192.0.2.1:"}, "10.0.0.1"},
		"port 65536":              {[]string{"192.0.2.1:65536"}, "10.0.0.1"},
		"signed port":             {[]string{"192.0.2.1:+80"}, "10.0.0.1"},
		"long port":               {[]string{"192.0.2.1:000080"}, "10.0.0.1"},
		"IPv4 in brackets":        {[]string{"[192.0.2.1]:80"}, "10.0.0.1"},
		"open bracket":            {[]string{"[2001:db8::1"}, "10.0.0.1"},
		"closed bracket":          {[]string{"2001:db8::1]"}, "10.0.0.1"},
		"behind the bracket":      {[]string{"[2001:db8::1]80"}, "10.0.0.1"},
		"nothing in brackets":     {[]string{"[]:80"}, "10.0.0.1"},
		"bracket alone":           {[]string{"["}, "10.0.0.1"},
		"spaces inside":           {[]string{"192.0.2.1 192.0.2.2"}, "10.0.0.1"},
		"no break space":          {[]string{"\u00a0192.0.2.1"}, "10.0.0.1"},
	} {
		assert.Equal(t, addr(c.want), xff(t)(request(proxy, xForwardedFor, c.lines...)), name)
	}
}

// ASVS: 4.1.3, 15.3.4.
// Advisory: better-auth #10203.
func TestHeadersOfOthersAreIgnored(t *testing.T) {
	for _, peer := range []string{direct, "[2001:db8::7]:1", "9.255.255.255:1", "11.0.0.0:1", "[2001:db8:b::]:1", "[::1]:1", "127.0.0.1:1"} {
		own := netip.MustParseAddrPort(peer).Addr()
		for _, value := range []string{"198.51.100.66", "10.0.0.1", "198.51.100.66, 10.0.0.1", "127.0.0.1", "x", ""} {
			assert.Equal(t, own, xff(t)(request(peer, xForwardedFor, value)), "%s: %q", peer, value)
			assert.Equal(t, own, rfc7239(t)(request(peer, forwarded, "for="+value)), "%s: %q", peer, value)
		}
	}
}

// Advisory: GHSA-3fxj-6jh8-hvhx.
func TestOneHeaderIsRead(t *testing.T) {
	r := request(proxy, xForwardedFor, "192.0.2.1")
	for _, header := range []string{forwarded, "X-Real-Ip", "X-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "X-Forwarded", "Client-Ip"} {
		r.Header.Set(header, "198.51.100.66")
	}
	r.Header.Set(forwarded, "for=198.51.100.66")
	assert.Equal(t, addr("192.0.2.1"), xff(t)(r))
	assert.Equal(t, addr("198.51.100.66"), rfc7239(t)(r))
	r.Header.Del(xForwardedFor)
	assert.Equal(t, addr("10.0.0.1"), xff(t)(r))
	r.Header.Set(xForwardedFor, "192.0.2.1")
	r.Header.Del(forwarded)
	assert.Equal(t, addr("10.0.0.1"), rfc7239(t)(r))
}

func TestPeers(t *testing.T) {
	for peer, c := range map[string]struct{ alone, client string }{
		"10.0.0.1:80":               {"10.0.0.1", "192.0.2.1"},
		"10.0.0.1":                  {"10.0.0.1", "192.0.2.1"},
		"[::ffff:10.0.0.1]:80":      {"10.0.0.1", "192.0.2.1"},
		"[::ffff:10.0.0.1%eth0]:80": {"10.0.0.1", "192.0.2.1"},
		"[2001:db8:a::1%eth0]:80":   {"2001:db8:a::1", "192.0.2.1"},
		"2001:db8:a::1":             {"2001:db8:a::1", "192.0.2.1"},
		"[fe80::1%eth0]:80":         {"fe80::1", "fe80::1"},
		"[::ffff:192.0.2.7]:80":     {"192.0.2.7", "192.0.2.7"},
		"":                          {"", ""},
		"@":                         {"", ""},
		"/run/client.sock":          {"", ""},
		"localhost:80":              {"", ""},
		"10.0.0.1:http":             {"", ""},
		"10.0.0.1, 10.0.0.2":        {"", ""},
	} {
		for i, f := range []func(*http.Request) netip.Addr{xff(t), rfc7239(t)} {
			r := request(peer, xForwardedFor, "192.0.2.1")
			r.Header.Set(forwarded, "for=192.0.2.1")
			assert.Equal(t, addr(c.client), f(r), "%d: %q", i, peer)
			r.Header = nil
			assert.Equal(t, addr(c.alone), f(r), "%d: %q, no headers", i, peer)
		}
	}
}

func TestPrefixes(t *testing.T) {
	for prefix, c := range map[string]struct{ in, out string }{
		"10.1.2.3/8":             {"10.255.0.1", "11.0.0.0"},
		"10.0.0.1/32":            {"10.0.0.1", "10.0.0.2"},
		"::ffff:10.0.0.0/104":    {"10.9.9.9", "11.0.0.0"},
		"::ffff:10.0.0.1/128":    {"10.0.0.1", "10.0.0.2"},
		"2001:db8::/32":          {"2001:db8:ffff::1", "2001:db9::"},
		"::1/128":                {"::1", "127.0.0.1"},
		"::/96":                  {"::1", "0.0.0.1"},
		"::ffff:ffff:0:0/96":     {"::ffff:ffff:10.0.0.1", "10.0.0.1"},
		"::fffe:0:0/96":          {"::fffe:10.0.0.1", "10.0.0.1"},
		"2001:db8::ffff:0:0/112": {"2001:db8::ffff:0:1", "0.0.0.1"},
	} {
		f, err := clientip.TrustedProxies(netip.MustParsePrefix(prefix))
		require.NoError(t, err, prefix)
		const client = "198.51.100.66"
		assert.Equal(t, addr(client), f(request(netip.AddrPortFrom(addr(c.in), 80).String(), xForwardedFor, client)), prefix)
		assert.Equal(t, addr(c.out), f(request(netip.AddrPortFrom(addr(c.out), 80).String(), xForwardedFor, client)), prefix)
	}
}

func TestNoPrefixes(t *testing.T) {
	f, err := clientip.TrustedProxies()
	require.NoError(t, err)
	assert.Equal(t, addr("127.0.0.1"), f(request("127.0.0.1:80", xForwardedFor, "198.51.100.66")))
}

func TestWrongPrefixes(t *testing.T) {
	good := netip.MustParsePrefix("10.0.0.0/8")
	for name, p := range map[string]netip.Prefix{
		"not valid": {},
		"is of all": netip.MustParsePrefix("0.0.0.0/0"),
		"::/0, is":  netip.MustParsePrefix("::/0"),
		"/96, is":   netip.MustParsePrefix("::ffff:0:0/96"),
		"/95, is":   netip.MustParsePrefix("::ffff:0:0/95"),
		"::/8, is":  netip.MustParsePrefix("::/8"),
		"1 is not":  netip.PrefixFrom(netip.MustParseAddr("10.0.0.1"), 33),
	} {
		for _, f := range []func(clientip.Proxies) (func(*http.Request) netip.Addr, error){
			clientip.Proxies.XForwardedFor, clientip.Proxies.Forwarded,
			func(p clientip.Proxies) (func(*http.Request) netip.Addr, error) {
				return clientip.TrustedProxies(p.Prefixes...)
			},
		} {
			got, err := f(clientip.Proxies{Prefixes: []netip.Prefix{good, p, good}})
			require.ErrorContains(t, err, name)
			require.ErrorContains(t, err, "clientip: prefix 1")
			assert.Nil(t, got)
		}
	}
	_, err := clientip.TrustedProxies(netip.Prefix{}, good, netip.MustParsePrefix("::/0"))
	require.ErrorContains(t, err, "prefix 0")
	require.ErrorContains(t, err, "prefix 2")
	require.NotContains(t, err.Error(), "prefix 1")
}

func TestThePrefixesAreCopied(t *testing.T) {
	p := prefixes()
	f, err := clientip.TrustedProxies(p...)
	require.NoError(t, err)
	p[0] = netip.MustParsePrefix("192.0.2.0/24")
	assert.Equal(t, addr("192.0.2.77"), f(request(direct, xForwardedFor, "198.51.100.66")))
}

// serve answers each request on the listener with the addresses that the functions find, and
// returns the answer to one with these headers.
func serve(t *testing.T, l net.Listener, header http.Header, fs ...func(*http.Request) netip.Addr) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, f := range fs {
			_, _ = fmt.Fprintln(w, f(r))
		}
	}))
	require.NoError(t, server.Listener.Close())
	server.Listener = l
	server.Start()
	defer server.Close()
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, l.Addr().Network(), l.Addr().String())
	}}}
	defer client.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://server.test/", nil)
	require.NoError(t, err)
	r.Header = header
	res, err := client.Do(r)
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return string(body)
}

func TestUnixSockets(t *testing.T) {
	unixXFF, err := clientip.Proxies{UnixSocket: true, Prefixes: prefixes()}.XForwardedFor()
	require.NoError(t, err)
	unixForwarded, err := clientip.Proxies{UnixSocket: true}.Forwarded()
	require.NoError(t, err)
	listen := func() net.Listener {
		l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
		require.NoError(t, err)
		return l
	}
	for name, c := range map[string]struct {
		header http.Header
		want   string
	}{
		"a client":   {http.Header{xForwardedFor: {"198.51.100.66, 192.0.2.1"}, forwarded: {"for=192.0.2.2"}}, "192.0.2.1\n192.0.2.2\n"},
		"proxies":    {http.Header{xForwardedFor: {"192.0.2.1, 10.0.0.2"}, forwarded: {"for=192.0.2.2"}}, "192.0.2.1\n192.0.2.2\n"},
		"garbage":    {http.Header{xForwardedFor: {"192.0.2.1, x"}, forwarded: {"for=unknown"}}, "invalid IP\ninvalid IP\n"},
		"no headers": {http.Header{}, "invalid IP\ninvalid IP\n"},
	} {
		assert.Equal(t, c.want+"invalid IP\ninvalid IP\n", serve(t, listen(), c.header, unixXFF, unixForwarded, xff(t), rfc7239(t)), name)
	}

	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	header := http.Header{xForwardedFor: {"192.0.2.1"}, forwarded: {"for=192.0.2.1"}}
	assert.Equal(t, "127.0.0.1\n127.0.0.1\n", serve(t, tcp, header, unixXFF, unixForwarded), "who comes by TCP is on no unix socket")

	for _, peer := range []string{"", "@", "x"} {
		assert.Zero(t, unixXFF(request(peer, xForwardedFor, "192.0.2.1")), "%q: what is no address is not a unix socket yet", peer)
	}
}

func TestLongHeaders(t *testing.T) {
	hops := func(n int, entry string) string { return strings.Repeat(entry+",", n-1) + entry }
	const client = "192.0.2.1"
	assert.Equal(t, addr(client), xff(t)(request(proxy, xForwardedFor, client+","+hops(99, "10.0.0.2"))), "100 proxies, the peer among them")
	assert.Equal(t, addr("10.0.0.2"), xff(t)(request(proxy, xForwardedFor, client+",10.0.0.3,"+hops(99, "10.0.0.2"))))
	lines := append([]string{client, "10.0.0.3"}, strings.Split(hops(99, "10.0.0.2"), ",")...)
	assert.Equal(t, addr("10.0.0.2"), xff(t)(request(proxy, xForwardedFor, lines...)))
	assert.Equal(t, addr("10.0.0.2"), rfc7239(t)(request(proxy, forwarded, "for=192.0.2.1,for=10.0.0.3,"+hops(99, "for=10.0.0.2"))))

	const size = 1 << 20
	for name, line := range map[string]string{
		"commas": ",", "digits": "1", "dots": ".", "colons": ":", "brackets": "[", "quotes": `"`, "backslashes": `\`,
		"escaped quotes": `\"`, "quotes and backslashes": `"\\`, "equals": "a=", "semicolons": ";", "pairs": "a=b;",
		"proxies": "10.0.0.2,", "elements": "for=10.0.0.2,", "zones": "fe80::1%",
	} {
		line = strings.Repeat(line, size/len(line))
		for _, line := range []string{line, line + `"`, `for="` + line + `"`} {
			rx, rf := request(proxy, xForwardedFor, line), request(proxy, forwarded, line)
			x, f := xff(t), rfc7239(t)
			begin := time.Now()
			x(rx)
			f(rf)
			assert.Less(t, time.Since(begin), 2*time.Second, name)
		}
	}
}
