// Package passhash hashes passwords with bcrypt and checks them, so that every byte of
// a password counts and a refused one takes the same work whoever it was for.
//
// A stored hash has one of three forms, all of them ASCII and at most 76 bytes:
//
//   - $2a$… is bcrypt of a password of up to 72 bytes, which is what bcrypt reads. $2b$
//     and $2y$ are the same function. No longer password matches it.
//   - bcrypt-sha384:$2a$… is bcrypt of the base64 of the SHA-384 of the password, for
//     longer ones. Every password is compared with it so.
//   - bcrypt-tutorial:$2b$… was taken over from the tutorial's application, which trimmed
//     passwords and whose bcrypt cut them at 72 bytes. A password is trimmed as
//     [tutorial.Trim] does and cut before it is compared. That weakness is a property of
//     the hash: it lasts until the password is set anew by [Hasher.Hash].
package passhash

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// MaxPassword is how many bytes a password may have.
const MaxPassword = 1024

// Hasher makes and checks hashes. It is safe for concurrent use if OnHash is.
type Hasher struct {
	// Cost is bcrypt's, of the hashes made and of the work of a refused password, from
	// MinCost to MaxStoredCost. The zero value is refused by Hash.
	Cost int

	// OnHash is called before each run of bcrypt with its cost. Default: nil, nobody
	// counts.
	OnHash func(cost int)
}

// Hash returns a hash of the password at h.Cost. It refuses passwords that are empty,
// have a NUL, or are longer than MaxPassword.
func (h Hasher) Hash(password string) (string, error) {
	if len(password) > maxInput {
		return h.generate(formSHA384, password)
	}
	return h.generate(formPlain, password)
}

// Verify says whether stored is a hash of the password. An empty stored matches nothing;
// a malformed one matches nothing either, and the error Is ErrMalformed. Passwords that
// Hash refuses do not match.
//
// The work of an answer of false is that of Unknown: the sum of 2^cost over all runs of
// bcrypt is 2^h.Cost. A stored cost above h.Cost alone costs more, its own.
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
	matches := h.compare(parsed.bcrypt, parsed.cost, in)
	if matches && whole && isUsable(password) {
		return true, nil
	}
	for cost := parsed.cost; cost < h.Cost; cost++ {
		h.compareDummy(cost, in)
	}
	return false, nil
}

// Unknown does the work of a wrong password, for a user that does not exist.
func (h Hasher) Unknown(password string) {
	in, _ := formPlain.input(password)
	h.compareDummy(h.Cost, in)
}

// NeedsRehash says whether stored is a hash whose cost is below h.Cost.
func (h Hasher) NeedsRehash(stored string) bool {
	cost, err := Cost(stored)
	return err == nil && cost < h.Cost
}

// Rehash returns a hash at h.Cost of the form that stored has, so that it matches what
// stored matches. The password must be one that Verify has just accepted for stored:
// Rehash does not look again. Its errors are Verify's and Hash's.
func (h Hasher) Rehash(stored, password string) (string, error) {
	parsed, err := parse(stored)
	if err != nil {
		return "", err
	}
	return h.generate(parsed.form, password)
}

func (h Hasher) generate(f form, password string) (string, error) {
	if !isUsable(password) {
		return "", errors.New("passhash: password is empty, too long or has a NUL")
	}
	if h.Cost < MinCost || h.Cost > MaxStoredCost {
		return "", fmt.Errorf("passhash: cost %d is not between %d and %d", h.Cost, MinCost, MaxStoredCost)
	}
	in, whole := f.input(password)
	if !whole {
		return "", errors.New("passhash: password is too long for the form of the hash")
	}
	h.count(h.Cost)
	b, err := bcrypt.GenerateFromPassword(in, h.Cost)
	if err != nil {
		return "", fmt.Errorf("passhash: %w", err)
	}
	return string(f) + string(b), nil
}

func (h Hasher) compare(bcryptHash string, cost int, in []byte) bool {
	h.count(cost)
	return bcrypt.CompareHashAndPassword([]byte(bcryptHash), in) == nil
}

func (h Hasher) compareDummy(cost int, in []byte) {
	_ = h.compare(dummy(cost), cost, in)
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
