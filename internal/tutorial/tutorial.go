// Package tutorial does to text what the libraries of the Node tutorial did to it, so
// that a database which that application filled, and a front end written for it, can
// be taken over. It follows ECMAScript's String.prototype.trim and the functions escape
// and unescape of validator.js.
package tutorial

import (
	"strings"
	"unicode"
)

// Trim returns s without the white space and line terminators at its ends, as
// ECMAScript defines the two (ECMA-262, 12.2 and 12.3). U+FEFF is white space there and
// U+0085 is not; [strings.TrimSpace] has it the other way round.
func Trim(s string) string { return strings.TrimFunc(s, isSpace) }

func isSpace(r rune) bool {
	switch r {
	case '\t', '\n', '\v', '\f', '\r', '\u2028', '\u2029', '\uFEFF':
		return true
	}
	return unicode.Is(unicode.Zs, r)
}

// Escape returns s with the eight characters & " ' < > / \ ` replaced by character
// references. What is a reference in s already is escaped once more.
func Escape(s string) string {
	return strings.NewReplacer(
		"&", "&amp;",
		`"`, "&quot;",
		"'", "&#x27;",
		"<", "&lt;",
		">", "&gt;",
		"/", "&#x2F;",
		`\`, "&#x5C;",
		"`", "&#96;",
	).Replace(s)
}

// Unescape returns s with the eight references that [Escape] writes replaced by their
// characters, once: "&amp;lt;" becomes "&lt;". Other references, and other spellings
// of these eight, stay as they are. It is the inverse of Escape for every string.
func Unescape(s string) string {
	return strings.NewReplacer(
		"&amp;", "&",
		"&quot;", `"`,
		"&#x27;", "'",
		"&lt;", "<",
		"&gt;", ">",
		"&#x2F;", "/",
		"&#x5C;", `\`,
		"&#96;", "`",
	).Replace(s)
}
