package auth_test

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ostiary/auth"
)

// What a person makes is found.
func TestSecretsThatLookTyped(t *testing.T) {
	const words, few, phrase = "words are in it", "too few different bytes, or a pattern", "it is a phrase"
	for secret, want := range map[string]string{
		accessSecret:  words,
		refreshSecret: words,
		"change-me-change-me-change-me-change-me":                                                 few,
		"please_change_this_value_before_you_start":                                               words,
		"this-is-an-example-of-32-bytes-or-more!!":                                                words,
		"MySuperSecretKeyForJWTTokens2026Production":                                              words,
		"your-256-bit-secret-your-256-bit-secret":                                                 words,
		"S3cur1ty Password 1234567890 of Acme GmbH":                                               words,
		"SECRETSECRETSECRETSECRETSECRET12":                                                        few,
		"QWERTYUIOPasdfghjklZXCVBNM1234567890":                                                    few,
		"test test test test test test test 1":                                                    few,
		"the quick brown fox jumps over the dog":                                                  phrase,
		"Tr0ub4dor&3 is no good idea, nor is this":                                                "", // by its looks there is chance in it
		"correct horse battery staple horse correct":                                              phrase,
		"Correct-Horse-Battery-Staple-2026-11-24":                                                 phrase,
		"GENERATE_WITH_OPENSSL_RAND_BASE64_32_BYTES":                                              phrase,
		"put_random_bytes1_here_or_there2_please":                                                 words,
		"ThisIsMyJWTKeyDoNotShareItWithAnyone":                                                    words,
		"thequickbrownfoxjumpsoverthelazydog":                                                     phrase,
		"THEQUICKBROWNFOXJUMPSOVERTHELAZYDOG":                                                     phrase,
		"bluemonday tuesdaywednesday42 fridayagain":                                               phrase,
		"qkzvbtwmrxjhplgdncyfqkwsbvxzrtmhjpldnwgkc":                                               phrase, // so few letters of one case are
		"qkzvbtwmrxjhplgdncyfqkwsbvxzrtmhjpldnwgkczt":                                             "",
		strings.Repeat("a", 32):                                                                   few,
		strings.Repeat("ab", 32):                                                                  few,
		strings.Repeat("k8Jd9xQz", 8):                                                             few,
		strings.Repeat("k8Jd9xQzR4tYw", 3):                                                        few,
		"abcdefghijklmnopqrstuvwxyzABCDEF":                                                        few,
		"0123456789abcdef0123456789abcdef":                                                        few,
		"00000000000000000000000000000001":                                                        few,
		"98765432109876543210987654321098":                                                        few,
		"31415926535897932384626433832795":                                                        few, // digits alone
		strings.Repeat("\x00\x01", 32):                                                            few,
		"550e8400-e29b-41d4-a716-446655440000":                                                    few, // of a UUID's 128 bits 6 are fixed
		hex.EncodeToString([]byte(accessSecret)):                                                  words,
		strings.ToUpper(hex.EncodeToString([]byte("correct horse battery staple horse correct"))): phrase,
		base64.StdEncoding.EncodeToString([]byte(accessSecret)):                                   words,
		base64.RawURLEncoding.EncodeToString([]byte("the password of the whole wide site?")):      words,
		accessSecret + "\x00\x00":                                                                 words,
	} {
		assert.Equal(t, want, auth.SecretDoubt([]byte(secret)), "%q", secret)
	}
}

// A phrase of enough words is as good as random bytes.
func TestSecretsOfManyWords(t *testing.T) {
	const words = "tripod sandal unmade blemish rocket dwindle moisten quilt jockey panda"
	assert.Empty(t, auth.SecretDoubt([]byte(words)))
	assert.NotEmpty(t, auth.SecretDoubt([]byte(words[:strings.LastIndex(words, " ")])))
}

// What a generator makes is not, in any of the ways in which it is written down.
func TestSecretsThatAreRandom(t *testing.T) {
	encodings := map[string]func([]byte) string{
		"bytes":             func(b []byte) string { return string(b) },
		"hexadecimal":       hex.EncodeToString,
		"HEXADECIMAL":       func(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) },
		"base64":            base64.StdEncoding.EncodeToString,
		"base64, no pad":    base64.RawStdEncoding.EncodeToString,
		"base64url":         base64.URLEncoding.EncodeToString,
		"base64url, no pad": base64.RawURLEncoding.EncodeToString,
		"base32":            base32.StdEncoding.EncodeToString,
	}
	for name, encode := range encodings {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{32, 48, 64} {
				secret := make([]byte, size)
				for range 10_000 {
					_, _ = rand.Read(secret)
					if text := encode(secret); !assert.Empty(t, auth.SecretDoubt([]byte(text)), "%q", text) {
						return
					}
				}
			}
		})
	}
}
