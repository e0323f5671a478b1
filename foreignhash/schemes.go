package foreignhash

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"regexp"
	"strings"
)

// How these systems write positive numbers. Those below 100 are the r and p of scrypt,
// which nobody sets higher.
const (
	number   = `([1-9][0-9]{0,9})`
	below100 = `([1-9][0-9]?)`
)

var (
	passlibPBKDF2  = regexp.MustCompile(`^\$pbkdf2(?:-(sha256|sha512))?\$` + number + `\$([A-Za-z0-9./]{1,86})\$([A-Za-z0-9./]{1,86})$`)
	werkzeugPBKDF2 = regexp.MustCompile(`^pbkdf2:(sha1|sha256|sha512):` + number + `\$([^$]{1,128})\$([0-9a-f]{1,128})$`)
	passlibScrypt  = regexp.MustCompile(`^\$scrypt\$ln=` + below100 + `,r=` + below100 + `,p=` + below100 + `\$([A-Za-z0-9+/]{1,86})\$([A-Za-z0-9+/]{43})$`)
	werkzeugScrypt = regexp.MustCompile(`^scrypt:` + number + `:` + below100 + `:` + below100 + `\$([^$]{1,128})\$([0-9a-f]{128})$`)
	djangoPBKDF2   = regexp.MustCompile(`^pbkdf2_(sha1|sha256)\$` + number + `\$([^$]{1,128})\$([A-Za-z0-9+/=]{1,88})$`)
	djangoScrypt   = regexp.MustCompile(`^scrypt\$` + number + `\$([^$]{1,128})\$` + below100 + `\$` + below100 + `\$([A-Za-z0-9+/=]{88})$`)
)

func parsePBKDF2(stored string) (hashed, error) {
	switch {
	case strings.HasPrefix(stored, "$pbkdf2$"), strings.HasPrefix(stored, "$pbkdf2-"):
		m := passlibPBKDF2.FindStringSubmatch(stored)
		if m == nil {
			return hashed{}, ErrMalformed
		}
		name := m[1]
		if name == "" {
			name = "sha1"
		}
		salt, err := decodeAdapted(m[3])
		if err != nil {
			return hashed{}, err
		}
		key, err := decodeAdapted(m[4])
		if err != nil {
			return hashed{}, err
		}
		return wholePBKDF2(name, m[2], salt, key)
	case strings.HasPrefix(stored, "pbkdf2:"):
		m := werkzeugPBKDF2.FindStringSubmatch(stored)
		if m == nil {
			return hashed{}, ErrMalformed
		}
		key, err := hex.DecodeString(m[4])
		if err != nil {
			return hashed{}, ErrMalformed
		}
		return wholePBKDF2(m[1], m[2], []byte(m[3]), key)
	default:
		return hashed{}, ErrUnknownScheme
	}
}

// decodeAdapted reads passlib's base64: a dot for the plus, and no padding.
func decodeAdapted(text string) ([]byte, error) {
	return decode(base64.RawStdEncoding, strings.ReplaceAll(text, ".", "+"))
}

// wholePBKDF2 returns a key of PBKDF2 that has the length of the function's output, as all
// systems but ASP.NET's have it.
func wholePBKDF2(name, iterations string, salt, key []byte) (hashed, error) {
	numbers, err := atoi([]string{iterations})
	if err != nil {
		return hashed{}, err
	}
	if _, size := digest(name); len(key) != size {
		return hashed{}, ErrMalformed
	}
	return newPBKDF2(name, numbers[0], salt, key), nil
}

func parseScrypt(stored string) (hashed, error) {
	switch {
	case strings.HasPrefix(stored, "$scrypt$"):
		m := passlibScrypt.FindStringSubmatch(stored)
		if m == nil {
			return hashed{}, ErrMalformed
		}
		numbers, err := atoi(m[1:4])
		if err != nil || numbers[0] > 30 {
			return hashed{}, ErrMalformed
		}
		salt, err := decode(base64.RawStdEncoding, m[4])
		if err != nil {
			return hashed{}, err
		}
		key, err := decode(base64.RawStdEncoding, m[5])
		if err != nil {
			return hashed{}, err
		}
		return newScrypt(1<<numbers[0], numbers[1], numbers[2], salt, key)
	case strings.HasPrefix(stored, "scrypt:"):
		m := werkzeugScrypt.FindStringSubmatch(stored)
		if m == nil {
			return hashed{}, ErrMalformed
		}
		numbers, err := atoi(m[1:4])
		if err != nil {
			return hashed{}, err
		}
		key, err := hex.DecodeString(m[5])
		if err != nil {
			return hashed{}, ErrMalformed
		}
		return newScrypt(numbers[0], numbers[1], numbers[2], []byte(m[4]), key)
	default:
		return hashed{}, ErrUnknownScheme
	}
}

func parseDjango(stored string) (hashed, error) {
	scheme, rest, _ := strings.Cut(stored, "$")
	switch {
	case strings.HasPrefix(stored, "!"):
		return hashed{matches: func(string) (bool, error) { return false, nil }}, nil
	case scheme == "pbkdf2_sha256", scheme == "pbkdf2_sha1":
		m := djangoPBKDF2.FindStringSubmatch(stored)
		if m == nil {
			return hashed{}, ErrMalformed
		}
		key, err := decode(base64.StdEncoding, m[4])
		if err != nil {
			return hashed{}, err
		}
		return wholePBKDF2(m[1], m[2], []byte(m[3]), key)
	case scheme == "bcrypt_sha256":
		return newBcrypt(rest, func(password string) []byte {
			sum := sha256.Sum256([]byte(password))
			return hex.AppendEncode(nil, sum[:])
		})
	case scheme == "bcrypt":
		return newBcrypt(rest, func(password string) []byte { return []byte(password) })
	case scheme == "scrypt":
		m := djangoScrypt.FindStringSubmatch(stored)
		if m == nil {
			return hashed{}, ErrMalformed
		}
		numbers, err := atoi([]string{m[1], m[3], m[4]})
		if err != nil {
			return hashed{}, err
		}
		key, err := decode(base64.StdEncoding, m[5])
		if err != nil {
			return hashed{}, err
		}
		return newScrypt(numbers[0], numbers[1], numbers[2], []byte(m[2]), key)
	case scheme == "argon2":
		return newArgon2("$" + rest)
	default:
		return hashed{}, ErrUnknownScheme
	}
}

func parseASPNET(stored string) (hashed, error) {
	b, err := decode(base64.StdEncoding, stored)
	if err != nil || len(b) == 0 || b[0] > 1 {
		return hashed{}, ErrUnknownScheme
	}
	const salted, least, most = 13, 16, 64 // bytes in front of the salt; of a salt or a key
	if b[0] == 0 {
		if len(b) != 1+16+32 {
			return hashed{}, ErrMalformed
		}
		return newPBKDF2("sha1", 1000, b[1:17], b[17:]), nil
	}
	if len(b) < salted+least+least {
		return hashed{}, ErrMalformed
	}
	names := []string{"sha1", "sha256", "sha512"}
	function, iterations, saltLen := binary.BigEndian.Uint32(b[1:]), binary.BigEndian.Uint32(b[5:]), binary.BigEndian.Uint32(b[9:])
	if int64(function) >= int64(len(names)) || iterations == 0 || int64(iterations) > maxIterations || saltLen < least || saltLen > most || len(b) < salted+int(saltLen) {
		return hashed{}, ErrMalformed
	}
	salt, key := b[salted:salted+saltLen], b[salted+saltLen:]
	if len(key) < least || len(key) > most {
		return hashed{}, ErrMalformed
	}
	return newPBKDF2(names[function], int(iterations), salt, key), nil
}
