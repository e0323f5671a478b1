package clientip

import (
	"net/netip"
	"strings"
)

const (
	alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	tokenChars   = alphanumeric + "!#$%&'*+-.^_`|~" // RFC 9110, section 5.6.2
)

// parseElement returns the address that "for" names in a forwarded-element of RFC 7239,
// section 4.
func parseElement(s string) (netip.Addr, bool) {
	var node netip.Addr
	seen := map[string]bool{}
	for s != "" {
		if s[0] == ';' { // pairs may be empty
			s = s[1:]
			continue
		}
		name, rest := cutToken(s)
		rest, ok := strings.CutPrefix(rest, "=")
		name = strings.ToLower(name)
		if name == "" || !ok || seen[name] {
			return netip.Addr{}, false
		}
		seen[name] = true
		value, rest, ok := cutValue(rest)
		if !ok || rest != "" && rest[0] != ';' {
			return netip.Addr{}, false
		}
		if name == "for" {
			if node, ok = parseNode(value); !ok {
				return netip.Addr{}, false
			}
		}
		s = rest
	}
	return node, node.IsValid()
}

// cutToken returns the token that s begins with, which may be empty, and what is behind it.
func cutToken(s string) (token, rest string) {
	rest = strings.TrimLeft(s, tokenChars)
	return s[:len(s)-len(rest)], rest
}

// cutValue returns what the token or the quoted-string means that s begins with, and what is
// behind it.
func cutValue(s string) (value, rest string, ok bool) {
	quoted, ok := strings.CutPrefix(s, `"`)
	if !ok {
		value, rest = cutToken(s)
		return value, rest, value != ""
	}
	var b strings.Builder
	for i := 0; i < len(quoted); i++ {
		switch {
		case quoted[i] == '"':
			return b.String(), quoted[i+1:], true
		case quoted[i] == '\\' && i+1 < len(quoted):
			i++
		}
		if c := quoted[i]; c < ' ' && c != '\t' || c == 0x7f {
			return "", "", false
		}
		b.WriteByte(quoted[i])
	}
	return "", "", false
}

// lastUnquotedComma returns the index of the last comma in s outside of quoted-strings, -1
// if there is none. It reads from the right, so that what a client left open, a quote, can't
// swallow what a proxy has added behind it.
func lastUnquotedComma(s string) int {
	for i := len(s) - 1; i >= 0; i-- {
		switch s[i] {
		case ',':
			return i
		case '"':
			i = openingQuote(s[:i])
		}
	}
	return -1
}

// openingQuote returns the index of the last quote in s that has no odd number of
// backslashes before it, -1 if there is none.
func openingQuote(s string) int {
	for {
		quote := strings.LastIndexByte(s, '"')
		if quote < 0 {
			return -1
		}
		before := len(strings.TrimRight(s[:quote], `\`))
		if (quote-before)%2 == 0 {
			return quote
		}
		s = s[:before]
	}
}
