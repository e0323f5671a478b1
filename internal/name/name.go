// Package name holds the rules for people's names.
package name

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// The shortest and the longest name, in code points.
const (
	Min = 3
	Max = 255
)

// Why Parse refuses a name.
var (
	ErrEmpty   = errors.New("name: empty")
	ErrShort   = errors.New("name: too short")
	ErrLong    = errors.New("name: too long")
	ErrInvalid = errors.New("name: control characters or invalid UTF-8")
)

// Parse returns s without white space around it and in Unicode's Normalization Form C,
// if that has Min to Max code points and no control characters, else one of the errors
// above. It is never escaped: whoever shows a name escapes it for where it is shown.
func Parse(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", ErrInvalid
	}
	s = strings.TrimSpace(s)
	if s == "" {
		return "", ErrEmpty
	}
	// A character never composes out of more than a few code points, so that what is far
	// too long need not be normalized to be refused.
	if len(s) > 16*utf8.UTFMax*Max {
		return "", ErrLong
	}
	s = norm.NFC.String(s)
	switch n := utf8.RuneCountInString(s); {
	case n < Min:
		return "", ErrShort
	case n > Max:
		return "", ErrLong
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return "", ErrInvalid
	}
	return s, nil
}
