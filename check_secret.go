package auth

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// minSecretBits is the least estimate of a random secret's entropy.
	minSecretBits = 128

	// wordBits is what one word of a phrase is worth: log2 of the 7,776 words that are
	// chosen from by dice.
	wordBits = 13

	// letterBits is what a letter of a word is worth, or of words that nothing divides.
	letterBits = 3

	// maxWord is how many letters one word has at most.
	maxWord = 12
)

// typedWords are what people write into secrets. None is made of the letters a to f alone,
// which random hexadecimal digits may spell.
var typedWords = [...]string{ //nolint:gochecknoglobals // a table of constants
	"administrator", "development", "placeholder", "production", "abcdefghij", "1234567890", "signature", "changeit",
	"changeme", "password", "passwort", "security", "insecure", "testing", "default", "example", "letmein", "passwd",
	"private", "refresh", "replace", "session", "welcome", "access", "anyone", "change", "please", "public", "qwerty", "random", "sample",
	"secret", "server", "signing", "string", "tokens", "admin", "hello", "super", "token", "world", "hmac", "login", "test",
	"your", "demo", "local", "auth", "here", "this", "todo", "user", "very",
}

// secretDoubt says why a secret is hardly one from a random generator, "" if it may be. It
// takes no random bytes for something else, whether they are as they come, or 64 and more
// hexadecimal digits, or 43 and more of base64.
func secretDoubt(secret []byte) string {
	secret = bytes.TrimRight(secret, "\x00") // HMAC does not tell it from the same without
	if secretBits(secret) < minSecretBits {
		return "too few different bytes, or a pattern"
	}
	texts := append(decoded(string(secret)), string(secret))
	for _, text := range texts {
		switch {
		case !isPrintable(text):
		case hasTypedWords(text):
			return "words are in it"
		case isPhrase(text):
			return "it is a phrase"
		}
	}
	return ""
}

// secretBits is an estimate of a secret's entropy from above: what is left of a part that
// repeats, by how often each byte is there, and each step from one to the next.
func secretBits(secret []byte) float64 {
	unit := secret
	for n := 1; n <= len(secret)/2; n++ {
		if bytes.Equal(secret[n:], secret[:len(secret)-n]) {
			unit = secret[:n]
			break
		}
	}
	steps := make([]byte, max(0, len(unit)-1))
	for i := range steps {
		steps[i] = unit[i+1] - unit[i]
	}
	return min(shannon(unit), shannon(steps))
}

// shannon is the entropy of all the bytes, if each is drawn as often as it is there.
func shannon(b []byte) float64 {
	var counts [256]int
	for _, c := range b {
		counts[c]++
	}
	bits := 0.0
	for _, n := range counts {
		if n > 0 {
			bits -= float64(n) * math.Log2(float64(n)/float64(len(b)))
		}
	}
	return bits
}

// decoded are the texts that a secret is an encoding of.
func decoded(secret string) []string {
	var out []string
	plain := strings.TrimRight(secret, "=")
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString, base64.RawStdEncoding.DecodeString, base64.RawURLEncoding.DecodeString,
	} {
		if b, err := decode(plain); err == nil {
			out = append(out, string(b))
		}
	}
	return out
}

func isPrintable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) && !unicode.IsSpace(r) })
}

// hasTypedWords says whether there are more letters of typedWords in the text than chance
// would put there: it may put some into digits and letters, as base32 and base64 have.
func hasTypedWords(text string) bool {
	left, all, longest := strings.ToLower(text), 0, 0
	for _, word := range typedWords {
		n := strings.Count(left, word) * len(word)
		if n == 0 {
			continue
		}
		left = strings.ReplaceAll(left, word, " ")
		all += n
		longest = max(longest, len(word))
	}
	if strings.ContainsFunc(text, unicode.IsDigit) {
		return all >= 10
	}
	return all >= 8 || longest >= 6
}

// isPhrase says whether the text is words and numbers with something between them, and too
// few of them: each word is of one case, but for its first letter, and may end in digits.
func isPhrase(text string) bool {
	fields := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	bits := 0.0
	for _, field := range fields {
		word := strings.TrimRightFunc(field, unicode.IsDigit)
		rest := strings.TrimLeftFunc(word, unicode.IsUpper)
		upper := utf8.RuneCountInString(word) - utf8.RuneCountInString(rest)
		if strings.ContainsFunc(rest, func(r rune) bool { return !unicode.IsLower(r) }) || upper > 1 && rest != "" {
			return false
		}
		bits += float64(utf8.RuneCountInString(field[len(word):])) * math.Log2(10)
		switch letters := utf8.RuneCountInString(word); {
		case letters > maxWord:
			bits += letterBits * float64(letters)
		case letters > 0:
			bits += wordBits
		}
	}
	return len(fields) > 0 && bits < minSecretBits
}
