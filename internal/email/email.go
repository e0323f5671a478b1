// Package email reads e-mail addresses and gives each its canonical key: the text under
// which it is unique. Two addresses of one mailbox, written in another case or in
// another Unicode form, share a key; addresses that a mail server could tell apart for
// any other reason do not.
package email

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// ErrInvalid is Parse's answer to every text that is no address it accepts.
var ErrInvalid = errors.New("email: invalid address")

const (
	maxBytes      = 254 // of an address and of a key; RFC 5321, 4.5.3.1.3 less the angle brackets
	maxLabelBytes = 63  // RFC 1035, 2.3.4
)

// Address is an e-mail address that Parse has accepted.
type Address struct {
	Text string // without white space at its ends and else as typed: for display, and to send mail to
	Key  string // the canonical form; Parse of it gives the same Key
}

// Parse reads an address: a dot-atom (RFC 5322, 3.2.3, with the UTF-8 of RFC 6531), the
// last at-sign, and a domain of two labels or more that can be looked up (RFC 5891 and
// UTS 46) and is no IPv4 address. White space at the ends does not count. Display names, comments, quotes and
// address literals are refused, and so are control, format, private and unassigned
// characters, spaces, the at-signs U+FF20 and U+FE6B, and any text of more than 254
// bytes. The error is ErrInvalid.
//
// The key is the local part in NFC and lower case, each rune by itself, and the domain
// in ASCII. It has at most 254 bytes too. An address whose key has another key is
// refused.
func Parse(s string) (Address, error) {
	text := strings.TrimSpace(s)
	key, err := canonical(text)
	if err != nil {
		return Address{}, err
	}
	if again, err := canonical(key); err != nil || again != key {
		return Address{}, ErrInvalid
	}
	return Address{Text: text, Key: key}, nil
}

func canonical(s string) (string, error) {
	if len(s) > maxBytes || !utf8.ValidString(s) || strings.ContainsFunc(s, isForbidden) {
		return "", ErrInvalid
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 || !isDotAtom(s[:at]) {
		return "", ErrInvalid
	}
	domain, err := idna.Lookup.ToASCII(s[at+1:])
	if err != nil || !isDomain(domain) {
		return "", ErrInvalid
	}
	local := norm.NFC.String(strings.Map(unicode.ToLower, norm.NFC.String(s[:at])))
	return local + "@" + domain, nil
}

func isForbidden(r rune) bool {
	const fullwidthAt, smallAt = '\uFF20', '\uFE6B'
	return !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == fullwidthAt || r == smallAt
}

func isDotAtom(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" || strings.ContainsFunc(atom, func(r rune) bool { return !isAtext(r) }) {
			return false
		}
	}
	return true
}

func isAtext(r rune) bool {
	switch {
	case r >= utf8.RuneSelf, 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return true
	}
	return strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
}

// isDomain wants two labels or more, the last of them not of digits alone, as an IPv4
// address would have it (RFC 3696, section 2).
func isDomain(ascii string) bool {
	labels, last := 0, ""
	for label := range strings.SplitSeq(ascii, ".") {
		if label == "" || len(label) > maxLabelBytes {
			return false
		}
		labels, last = labels+1, label
	}
	return labels > 1 && strings.Trim(last, "0123456789") != ""
}
