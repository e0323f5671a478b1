// Package passhash hashes passwords with bcrypt or argon2id and checks them, so that every
// byte of a password counts and a refused one takes the same work whoever it was for.
//
// A stored hash has one of five forms, all of them ASCII and at most 255 bytes:
//
//   - $2a$… is bcrypt of a password of up to 72 bytes, which is what bcrypt reads. $2b$
//     and $2y$ are the same function. No longer password matches it.
//   - bcrypt-sha384:$2a$… is bcrypt of the base64 of the SHA-384 of the password, for
//     longer ones. Every password is compared with it so.
//   - bcrypt-tutorial:$2b$… was taken over from the tutorial's application, which trimmed
//     passwords and whose bcrypt cut them at 72 bytes. A password is trimmed as
//     [tutorial.Trim] does and cut before it is compared. That weakness is a property of
//     the hash: it lasts until the password is set anew by [Hasher.Hash].
//   - $argon2id$v=19$m=…,t=…,p=…$salt$tag is argon2id of the password.
//   - argon2id-tutorial:$argon2id$… is argon2id of the password, trimmed and cut like that
//     of the tutorial's application: a hash of it that was rehashed.
package passhash

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// MaxPassword is how many bytes a password may have.
const MaxPassword = 1024

// Hasher makes and checks hashes. It is safe for concurrent use if OnHash and OnArgon2id
// are.
type Hasher struct {
	// Cost is bcrypt's, of the hashes made and of the work of a refused password, from
	// MinCost to MaxStoredCost. The zero value is refused by Hash.
	Cost int

	// Argon2id has hashes made by argon2id with these parameters instead of bcrypt; what
	// their Check refuses, Hash refuses. A refused password then takes the work of both,
	// since while users move from one to the other either may be stored: Cost has to
	// stay that of the hashes there were. The zero value: bcrypt.
	Argon2id Argon2id

	// OnHash is called before each run of bcrypt with its cost. Default: nil, nobody
	// counts.
	OnHash func(cost int)

	// OnArgon2id is called before each run of argon2id with its parameters. Default: nil,
	// nobody counts.
	OnArgon2id func(Argon2id)
}

// Hash returns a hash of the password as configured. It refuses passwords that are empty,
// have a NUL, or are longer than MaxPassword.
func (h Hasher) Hash(password string) (string, error) {
	return h.generate(h.formOf(password, false), password)
}

// Verify says whether stored is a hash of the password, by the parameters that stored
// has. An empty stored matches nothing; a malformed one matches nothing either, and the
// error Is ErrMalformed. Passwords that Hash refuses do not match.
//
// The work of an answer of false is that of Unknown: the sum of 2^cost over all runs of
// bcrypt is 2^h.Cost, and the sum of memory times time over all runs of argon2id is that
// of h.Argon2id, rounded up to what argon2id can do where stored has other parameters. A
// stored hash that takes more than that by itself alone costs more, its own.
func (h Hasher) Verify(stored, password string) (ok bool, err error) {
	if stored == "" {
		h.Unknown(password)
		return false, nil
	}
	parsed, err := parse(stored)
	if err != nil {
		h.Unknown(password)
		return false, err
	}
	in, whole := parsed.form.input(password)
	if h.matches(parsed, in) && whole && isUsable(password) {
		return true, nil
	}
	h.refuse(parsed, in)
	return false, nil
}

// Unknown does the work of a wrong password, for a user that does not exist.
func (h Hasher) Unknown(password string) {
	in, _ := formBcrypt.input(password)
	h.refuse(hash{}, in)
}

// refuse does what is left of the work of a refusal after a compare with the hash.
func (h Hasher) refuse(done hash, in []byte) {
	if done.cost == 0 {
		h.compareDummy(h.Cost, in)
	} else {
		for cost := done.cost; cost < h.Cost; cost++ {
			h.compareDummy(cost, in)
		}
	}
	if left, ok := h.Argon2id.less(done.argon2id.Argon2id); ok {
		h.dummyArgon2id(left, in)
	}
}

// NeedsRehash says whether stored is a hash of another function than is configured, or
// weaker than configured: of a lower cost, less memory, less time, or other threads, which
// make a refusal take another time. So after a change of function, either way, each user's
// next login moves them.
func (h Hasher) NeedsRehash(stored string) bool {
	parsed, err := parse(stored)
	if err != nil {
		return false
	}
	want, has := h.Argon2id, parsed.argon2id
	switch {
	case want.on() != parsed.form.isArgon2id():
		return true
	case want.on():
		return has.Memory < want.Memory || has.Time < want.Time || has.Threads != want.Threads
	default:
		return parsed.cost < h.Cost
	}
}

// Rehash returns a hash as configured that matches what stored matches: where stored trims
// and cuts passwords as the tutorial did, so does the new one. The password must be one
// that Verify has just accepted for stored: Rehash does not look again. Its errors are
// Verify's and Hash's.
func (h Hasher) Rehash(stored, password string) (string, error) {
	parsed, err := parse(stored)
	if err != nil {
		return "", err
	}
	if _, whole := parsed.form.input(password); !whole {
		return "", errors.New("passhash: password is too long for the form of the hash")
	}
	return h.generate(h.formOf(password, parsed.form.isTutorial()), password)
}

// formOf returns the form of a new hash.
func (h Hasher) formOf(password string, isTutorial bool) form {
	switch {
	case h.Argon2id.on() && isTutorial:
		return formArgon2idTutorial
	case h.Argon2id.on():
		return formArgon2id
	case isTutorial:
		return formTutorial
	case len(password) > maxInput:
		return formSHA384
	default:
		return formBcrypt
	}
}

func (h Hasher) generate(f form, password string) (string, error) {
	if !isUsable(password) {
		return "", errors.New("passhash: password is empty, too long or has a NUL")
	}
	in, _ := f.input(password)
	if f.isArgon2id() {
		made, err := h.generateArgon2id(in)
		if err != nil {
			return "", err
		}
		return f.marker() + made, nil
	}
	if h.Cost < MinCost || h.Cost > MaxStoredCost {
		return "", fmt.Errorf("passhash: cost %d is not between %d and %d", h.Cost, MinCost, MaxStoredCost)
	}
	h.count(h.Cost)
	b, err := bcrypt.GenerateFromPassword(in, h.Cost)
	if err != nil {
		return "", fmt.Errorf("passhash: %w", err)
	}
	return f.marker() + string(b), nil
}

func (h Hasher) matches(stored hash, in []byte) bool {
	if stored.form.isArgon2id() {
		return h.compareArgon2id(stored.argon2id, in)
	}
	return h.compare(stored.bcrypt, stored.cost, in)
}

func (h Hasher) compare(bcryptHash string, cost int, in []byte) bool {
	h.count(cost)
	return bcrypt.CompareHashAndPassword([]byte(bcryptHash), in) == nil
}

func (h Hasher) compareDummy(cost int, in []byte) {
	_ = h.compare(dummy(cost), cost, in[:min(len(in), maxInput)])
}

// dummy returns a well-formed bcrypt hash of a cost.
func dummy(cost int) string {
	const salt, sum = "......................", "..............................."
	return fmt.Sprintf("$2a$%02d$%s%s", cost, salt, sum)
}

func (h Hasher) count(cost int) {
	if h.OnHash != nil {
		h.OnHash(cost)
	}
}

func isUsable(password string) bool {
	return password != "" && len(password) <= MaxPassword && strings.IndexByte(password, 0) < 0
}
