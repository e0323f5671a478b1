// Package commonpw knows the most common passwords that have at least 8 code points.
//
// They are from Dropbox's zxcvbn 4.4.2 (the npm package's file lib/frequency_lists.js; MIT
// license, see LICENSE.zxcvbn), which ranks 30,000 passwords by how often they were found
// in leaks. Those that are also words or names it ranks as such alone, so that the first
// 10,000 of each of its lists of words and names are taken with them. All 24,738 that are
// long enough are here, and among them the 3,000 most common passwords of this length, as
// OWASP ASVS 5.0, 6.2.4 asks. They are printable ASCII of at most 20 bytes, with no capital
// letter.
//
// The file passwords.frontcoded holds them sorted. Of each it has one byte, 0x80 plus the
// number of bytes at the word's beginning that are the same in the word before, and then
// the rest of the word. The program in generate writes it.
package commonpw

import (
	_ "embed" // the list
	"strings"
	"unicode"
	"unicode/utf8"
)

//go:generate go run ./generate $ZXCVBN/lib/frequency_lists.js passwords.frontcoded

//go:embed passwords.frontcoded
var list string

const (
	mark     = 0x80 // begins a word; no other byte of the list has this bit
	shortest = 8    // bytes of a word
	longest  = 20
)

// Has reports whether the password is a common one, whatever the case of its letters. It
// looks at the password as a whole: one that only contains a common one is not in the
// list. It allocates nothing, and takes some microseconds.
func Has(password string) bool {
	var buf [longest]byte
	word := buf[:0]
	for _, r := range password {
		r = unicode.ToLower(r)
		if r >= mark || len(word) == longest {
			return false
		}
		word = utf8.AppendRune(word, r)
	}
	if len(word) < shortest {
		return false
	}

	// The first word with this first letter is the only one that shares nothing with the
	// word before it.
	i := strings.Index(list, string([]byte{mark, word[0]}))
	if i < 0 {
		return false
	}
	// Words that share more than this with the one before differ from the password where
	// that one did. One that shares less comes after the password, as all after it do.
	same := 0 // leading bytes that the password shares with the last word compared
	for i < len(list) {
		shared := int(list[i]) - mark
		i++
		rest := i
		for i < len(list) && list[i] < mark {
			i++
		}
		if shared < same {
			return false
		}
		if shared > same {
			continue
		}
		for ; rest < i && same < len(word) && list[rest] == word[same]; rest++ {
			same++
		}
		if rest == i && same == len(word) {
			return true
		}
	}
	return false
}
