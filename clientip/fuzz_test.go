package clientip_test

import (
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// oracle walks over the entries, from left to right as they are written.
func oracle(entries []string, address func(string) netip.Addr) netip.Addr {
	last := netip.MustParseAddr("10.0.0.1")
	if len(entries) > 99 {
		entries = entries[len(entries)-100:]
	}
	for i, entry := range slices.Backward(entries) {
		a := address(entry)
		if !a.IsValid() {
			break
		}
		proxies := slices.ContainsFunc(prefixes(), func(p netip.Prefix) bool { return p.Contains(a) })
		if len(entries) == 100 && i == 0 && proxies {
			break
		}
		last = a
		if !proxies {
			break
		}
	}
	return last
}

// holds wants what is true of both headers, for any text that a client writes.
func holds(t *testing.T, f func(*http.Request) netip.Addr, header, text, wrap string) {
	t.Helper()
	entry := func(a string) string { return strings.ReplaceAll(wrap, "x", a) }
	got := f(request(proxy, header, text))
	require.True(t, got.IsValid())
	require.False(t, got.Is4In6())
	require.Empty(t, got.Zone())
	require.Equal(t, addr("192.0.2.77"), f(request(direct, header, text)), "no proxy's peer")

	client := addr("192.0.2.1")
	require.Equal(t, client, f(request(proxy, header, text+", "+entry("192.0.2.1"))), "what a proxy adds to it counts")
	require.Equal(t, client, f(request(proxy, header, text, entry("192.0.2.1"))), "what a proxy adds behind it counts")
	require.Equal(t, client, f(request(proxy, header, text+","+entry("192.0.2.1")+", "+entry("10.0.0.2"))), "and what proxies add")
	require.Equal(t, got, f(request("10.0.0.2:1", header, text+","+entry("10.0.0.1"))), "another proxy hands it on")
}

func FuzzXForwardedFor(f *testing.F) {
	for _, s := range []string{
		"", ",", "192.0.2.1", "198.51.100.66, 192.0.2.1, 10.0.0.3", "unknown, 10.0.0.2", "_x", "192.0.2.1:80, [2001:db8:a::1]:443",
		"::ffff:10.0.0.1", "[::1", "fe80::1%eth0", "10.0.0.1,\t10.0.0.2 ,x", "[10.0.0.1]:80", "10.0.0.1:_x", "\x00", "[]:1", "1.2.3.4:", "::1:80",
		strings.Repeat("10.0.0.2,", 120) + "10.0.0.3",
	} {
		f.Add(s)
	}
	withPort := regexp.MustCompile(`^(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::(?:([0-9]{1,5})|_[A-Za-z0-9._-]+))?$`)
	clientIP := xff(f)
	f.Fuzz(func(t *testing.T, s string) {
		got := clientIP(request(proxy, xForwardedFor, s))
		want := oracle(strings.Split(s, ","), func(entry string) netip.Addr {
			entry = strings.Trim(entry, " \t")
			if m := withPort.FindStringSubmatch(entry); m != nil && (m[3] == "" || validPort(m[3])) {
				if a, err := netip.ParseAddr(m[1] + m[2]); err == nil && a.Is6() == (m[1] != "") {
					return a.Unmap()
				}
			}
			if a, err := netip.ParseAddr(entry); err == nil && a.Zone() == "" {
				return a.Unmap()
			}
			return netip.Addr{}
		})
		require.Equal(t, want, got)
		if strings.Count(s, ",") < 90 {
			holds(t, clientIP, xForwardedFor, s, "x")
		}
	})
}

func validPort(s string) bool {
	_, err := netip.ParseAddrPort("1.1.1.1:" + s)
	return err == nil
}

func FuzzForwarded(f *testing.F) {
	for _, s := range []string{
		"", ",", ";", `for=192.0.2.1`, `for=198.51.100.66, for=192.0.2.1;proto=https, for="[2001:db8:a::1]:_x"`, `for="192.0.2.1`,
		`for=unknown, for=10.0.0.2`, `for=_hidden;by="a,b\"c\\"`, `FOR="10.0.0.2:80" , for="\1.2.3.4"`, `for=1.2.3.4;for=1.2.3.5`, `x="\`,
		"for=10.0.0.2;x=\"\xff\"", `for="", for="[::ffff:10.0.0.2]"`, `"\", for=10.0.0.2`, `for=10.0.0.2;x=",", for=10.0.0.3;y="\","`,
		strings.Repeat("for=10.0.0.2,", 120) + "for=10.0.0.3",
	} {
		f.Add(s)
	}
	const (
		token   = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
		value   = "(?:" + token + `|"(?:[^\x00-\x08\x0a-\x1f\x7f"\\]|\\[^\x00-\x08\x0a-\x1f\x7f])*")`
		pair    = token + "=" + value
		element = "(?:" + pair + ")?(?:;(?:" + pair + ")?)*"
	)
	wellFormed := regexp.MustCompile(`^[ \t]*` + element + `(?:[ \t]*,[ \t]*` + element + `)*[ \t]*$`)
	firstElement := regexp.MustCompile(`^[ \t]*(` + element + `)[ \t]*(?:,|$)`)
	firstPair := regexp.MustCompile(`^;*(` + token + `)=(` + value + `)`)
	quotedPair := regexp.MustCompile(`(?s)\\(.)`)
	node := regexp.MustCompile(`^(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::(?:([0-9]{1,5})|_[A-Za-z0-9._-]+))?$`)
	address := func(element string) netip.Addr {
		found := netip.Addr{}
		seen := map[string]bool{}
		for m := firstPair.FindStringSubmatch(element); m != nil; m = firstPair.FindStringSubmatch(element) {
			element = element[len(m[0]):]
			name := strings.ToLower(m[1])
			if seen[name] {
				return netip.Addr{}
			}
			seen[name] = true
			if name != "for" {
				continue
			}
			text := m[2]
			if strings.HasPrefix(text, `"`) {
				text = quotedPair.ReplaceAllString(text[1:len(text)-1], "$1")
			}
			n := node.FindStringSubmatch(text)
			if n == nil || n[3] != "" && !validPort(n[3]) {
				return netip.Addr{}
			}
			a, err := netip.ParseAddr(n[1] + n[2])
			if err != nil || a.Is6() != (n[1] != "") {
				return netip.Addr{}
			}
			found = a.Unmap()
		}
		return found
	}
	clientIP := rfc7239(f)
	f.Fuzz(func(t *testing.T, s string) {
		got := clientIP(request(proxy, forwarded, s))
		if wellFormed.MatchString(s) {
			var elements []string
			for rest := s; ; {
				m := firstElement.FindStringSubmatch(rest)
				require.NotNil(t, m)
				elements = append(elements, m[1])
				rest = rest[len(m[0]):]
				if rest == "" && !strings.HasSuffix(m[0], ",") {
					break
				}
			}
			assert.Equal(t, oracle(elements, address), got)
		}
		if strings.Count(s, ",") < 90 {
			holds(t, clientIP, forwarded, s, "for=x;proto=https")
			holds(t, clientIP, forwarded, s, `by="_a,\"";for="x:80"`)
		}
	})
}
