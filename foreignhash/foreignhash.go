// Package foreignhash checks passwords against the hashes that other systems stored, for
// Config.VerifyForeign: their users log in as before, and each login that is right gets a
// hash of this library's own.
//
// It knows the texts of
//
//   - passlib and Werkzeug (Flask): PBKDF2 with SHA-1, SHA-256 and SHA-512, and scrypt;
//   - Django: PBKDF2, scrypt, bcrypt with and without SHA-256, argon2;
//   - ASP.NET Identity, versions 2 and 3.
//
// Plain hashes of bcrypt and argon2id ($2b$…, $argon2id$…) are no foreign ones.
//
// All functions here are safe for concurrent use, compare in constant time and take a text
// that they were given for what it says, but for its cost: what would take more than some one and
// a half seconds of a core, or 256 MiB, is malformed, so that a row of a database cannot stop
// a server, nor show in when a refused login is answered. The most is cost 14 of bcrypt;
// 3,000,000 iterations of PBKDF2, times the blocks of the key; 512 MiB of scrypt's memory
// times p; and 1 GiB of argon2's times the passes.
//
// They take their text strictly, in the one way that its system writes it, and don't look at
// a password that is empty or has a NUL, which matches nothing: HMAC and bcrypt find some
// passwords with a NUL equal to others without.
package foreignhash

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrUnknownScheme says that a text is of none of the schemes that were asked.
	ErrUnknownScheme = errors.New("foreignhash: unknown scheme")

	// ErrMalformed says that a text begins like one of a scheme and is none, or asks for
	// more work than is allowed.
	ErrMalformed = errors.New("foreignhash: malformed hash")
)

// maxLen is how many bytes a text may have. None of any scheme has as many.
const maxLen = 512

// Verify says whether stored, of whichever scheme, is a hash of the password. Its errors
// are ErrUnknownScheme, one that Is ErrMalformed, or the context's: a hash that has begun
// is not interrupted. None of them has a part of the text or of the password in it.
func Verify(ctx context.Context, stored, password string) (bool, error) {
	return verify(ctx, parse, stored, password)
}

// PBKDF2 is Verify for the texts of passlib and Werkzeug alone:
//
//	$pbkdf2$ITERATIONS$SALT$HASH, $pbkdf2-sha256$…, $pbkdf2-sha512$…
//	pbkdf2:sha256:ITERATIONS$SALT$HASH, pbkdf2:sha1:…, pbkdf2:sha512:…
func PBKDF2(ctx context.Context, stored, password string) (bool, error) {
	return verify(ctx, parsePBKDF2, stored, password)
}

// Scrypt is Verify for the texts of passlib and Werkzeug alone:
//
//	$scrypt$ln=LOG2N,r=R,p=P$SALT$HASH
//	scrypt:N:R:P$SALT$HASH
func Scrypt(ctx context.Context, stored, password string) (bool, error) {
	return verify(ctx, parseScrypt, stored, password)
}

// Django is Verify for Django's texts alone:
//
//	pbkdf2_sha256$ITERATIONS$SALT$HASH, pbkdf2_sha1$…
//	bcrypt_sha256$$2b$…, bcrypt$$2b$…
//	scrypt$N$SALT$R$P$HASH
//	argon2$argon2id$…, argon2$argon2i$…
//
// A text that begins with "!" is of a user who has no password: nothing matches it. Where
// Django used bcrypt without SHA-256, what follows a password's 72nd byte does not count.
func Django(ctx context.Context, stored, password string) (bool, error) {
	return verify(ctx, parseDjango, stored, password)
}

// ASPNETIdentity is Verify for ASP.NET Identity's texts alone, the base64 of either
//
//   - 0, a salt of 16 bytes and a key of 32: PBKDF2 with HMAC-SHA-1 in 1,000 iterations, or
//   - 1, the numbers of the function (SHA-1, SHA-256, SHA-512), of the iterations and of the
//     salt's bytes in 4 bytes each, the salt and the key, both of 16 to 64 bytes.
func ASPNETIdentity(ctx context.Context, stored, password string) (bool, error) {
	return verify(ctx, parseASPNET, stored, password)
}

// hashed is a stored text, taken apart.
type hashed struct {
	// cost is the work of matches, as a part of the most that is allowed.
	cost float64

	// matches says whether the password, which is not empty and has no NUL, is the one.
	matches func(password string) (bool, error)
}

// parser takes a text apart. Its errors are ErrUnknownScheme and ErrMalformed.
type parser func(stored string) (hashed, error)

func verify(ctx context.Context, parse parser, stored, password string) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if len(stored) > maxLen {
		return false, ErrUnknownScheme
	}
	h, err := parse(stored)
	if err != nil {
		return false, err
	}
	if h.cost > 1 {
		return false, fmt.Errorf("%w: it takes too much work", ErrMalformed)
	}
	if password == "" || strings.IndexByte(password, 0) >= 0 {
		return false, nil
	}
	ok, err := h.matches(password)
	if err != nil {
		return false, fmt.Errorf("foreignhash: %w", err)
	}
	return ok, nil
}

func parse(stored string) (hashed, error) {
	for _, p := range []parser{parsePBKDF2, parseScrypt, parseDjango, parseASPNET} {
		if h, err := p(stored); !errors.Is(err, ErrUnknownScheme) {
			return h, err
		}
	}
	return hashed{}, ErrUnknownScheme
}
