package foreignhash

import (
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // HMAC-SHA-1 in PBKDF2, of hashes that were made so
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"hash"
	"math"
	"regexp"
	"strconv"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"
)

// The most work that a text may ask for: what takes a core some one and a half seconds, so
// that a refused login, which is answered after two where there are foreign hashes, does not
// tell whose hash is one. It is more than what the systems write by default and than what
// OWASP's Password Storage Cheat Sheet advises.
const (
	maxIterations   = 3_000_000 // of PBKDF2, times the blocks that the key takes
	maxBcryptCost   = 14
	maxScryptMemory = 256 << 20 // bytes, 128·N·r
	maxScryptWork   = 512 << 20 // bytes, 128·N·r·p
	maxArgon2Memory = 256 << 10 // KiB
	maxArgon2Work   = 1 << 20   // KiB, times the passes over them
	maxArgon2Lanes  = 16
)

// digest returns the hash function that Werkzeug calls so, and the bytes of its output.
func digest(name string) (func() hash.Hash, int) {
	switch name {
	case "sha1":
		return sha1.New, sha1.Size
	case "sha256":
		return sha256.New, sha256.Size
	case "sha512":
		return sha512.New, sha512.Size
	default:
		return nil, 0
	}
}

// newPBKDF2 returns a key of PBKDF2 (RFC 8018, 5.2). The name is one of digest's.
func newPBKDF2(name string, iterations int, salt, key []byte) hashed {
	newHash, size := digest(name)
	blocks := (len(key) + size - 1) / size
	return hashed{
		cost: float64(iterations) * float64(blocks) / maxIterations,
		matches: func(password string) (bool, error) {
			got, err := pbkdf2.Key(newHash, password, salt, iterations, len(key))
			return subtle.ConstantTimeCompare(got, key) == 1, err
		},
	}
}

// newScrypt returns a key of scrypt (RFC 7914).
func newScrypt(n, r, p int, salt, key []byte) (hashed, error) {
	if n < 2 || n&(n-1) != 0 {
		return hashed{}, ErrMalformed
	}
	memory := 128 * float64(n) * float64(r)
	return hashed{
		cost: math.Max(memory/maxScryptMemory, memory*float64(p)/maxScryptWork),
		matches: func(password string) (bool, error) {
			got, err := scrypt.Key([]byte(password), salt, n, r, p, len(key))
			return subtle.ConstantTimeCompare(got, key) == 1, err
		},
	}, nil
}

var bcryptText = regexp.MustCompile(`^\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}$`)

// newBcrypt returns a hash of bcrypt of what input makes of the password.
func newBcrypt(text string, input func(password string) []byte) (hashed, error) {
	m := bcryptText.FindStringSubmatch(text)
	if m == nil {
		return hashed{}, ErrMalformed
	}
	cost, err := strconv.Atoi(m[1])
	if err != nil || cost < bcrypt.MinCost || cost > bcrypt.MaxCost {
		return hashed{}, ErrMalformed
	}
	return hashed{
		cost: math.Ldexp(1, cost-maxBcryptCost),
		matches: func(password string) (bool, error) {
			return bcrypt.CompareHashAndPassword([]byte(text), input(password)) == nil, nil
		},
	}, nil
}

var argon2Text = regexp.MustCompile(`^\$argon2(id?)\$v=19\$m=([1-9][0-9]{0,6}),t=([1-9][0-9]{0,6}),p=([1-9][0-9]?)` +
	`\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$`)

// newArgon2 returns a hash of argon2id or argon2i (RFC 9106).
func newArgon2(text string) (hashed, error) {
	m := argon2Text.FindStringSubmatch(text)
	if m == nil {
		return hashed{}, ErrMalformed
	}
	numbers, err := atoi(m[2:5])
	if err != nil {
		return hashed{}, err
	}
	memory, time, lanes := numbers[0], numbers[1], numbers[2]
	if lanes > maxArgon2Lanes {
		return hashed{}, ErrMalformed
	}
	salt, err := decode(base64.RawStdEncoding, m[5])
	if err != nil {
		return hashed{}, err
	}
	key, err := decode(base64.RawStdEncoding, m[6])
	if err != nil {
		return hashed{}, err
	}
	derive := argon2.IDKey
	if m[1] == "i" {
		derive = argon2.Key
	}
	return hashed{
		cost: max(float64(memory)/maxArgon2Memory, float64(memory)*float64(time)/maxArgon2Work),
		matches: func(password string) (bool, error) {
			got := derive([]byte(password), salt, uint32(time), uint32(memory), uint8(lanes), uint32(len(key))) //nolint:gosec // of 7, 7 and 2 digits, and at most 64
			return subtle.ConstantTimeCompare(got, key) == 1, nil
		},
	}, nil
}

// atoi reads whole numbers of digits alone.
func atoi(texts []string) ([]int, error) {
	numbers := make([]int, len(texts))
	for i, text := range texts {
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, ErrMalformed
		}
		numbers[i] = n
	}
	return numbers, nil
}

// decode reads base64 of which there is one form.
func decode(e *base64.Encoding, text string) ([]byte, error) {
	b, err := e.Strict().DecodeString(text)
	if err != nil || e.EncodeToString(b) != text { // decoding skips new lines
		return nil, ErrMalformed
	}
	return b, nil
}
