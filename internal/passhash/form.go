package passhash

import (
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"github.com/ostiary/auth/internal/tutorial"
)

// Bounds of bcrypt's cost. A hash with one above MaxStoredCost is malformed: a single
// compare at cost 18 takes some 15 seconds of a core, and a row of the store must not be
// able to ask for more.
const (
	MinCost       = bcrypt.MinCost
	MaxStoredCost = 18
)

// ErrMalformed says that a stored text is no hash of this package's.
var ErrMalformed = errors.New("passhash: malformed hash")

// form is how a password becomes a hash: which function, and what of the password.
type form int

const (
	formBcrypt form = iota
	formSHA384
	formTutorial
	formArgon2id
	formArgon2idTutorial
)

// marker is what stands in front of the hash itself.
func (f form) marker() string {
	switch f {
	case formSHA384:
		return "bcrypt-sha384:"
	case formTutorial:
		return "bcrypt-tutorial:"
	case formArgon2idTutorial:
		return "argon2id-tutorial:"
	default:
		return ""
	}
}

// isTutorial says whether passwords are trimmed and cut.
func (f form) isTutorial() bool { return f == formTutorial || f == formArgon2idTutorial }

func (f form) isArgon2id() bool { return f == formArgon2id || f == formArgon2idTutorial }

const maxInput = 72 // bytes that bcrypt reads

// storedBcrypt has the cost of a bcrypt hash in it.
var storedBcrypt = regexp.MustCompile(`^\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}$`)

// input returns the bytes to hash, a bounded number of them, and whether they stand for
// the whole password.
func (f form) input(password string) (in []byte, whole bool) {
	switch f {
	case formSHA384:
		sum := sha512.Sum384([]byte(password))
		return base64.StdEncoding.AppendEncode(nil, sum[:]), true
	case formTutorial, formArgon2idTutorial:
		password = tutorial.Trim(password)
		return []byte(password[:min(len(password), maxInput)]), true
	case formArgon2id:
		return []byte(password[:min(len(password), MaxPassword)]), len(password) <= MaxPassword
	default:
		return []byte(password[:min(len(password), maxInput)]), len(password) <= maxInput
	}
}

// hash is a stored text, taken apart. The zero value is a hash that took no work.
type hash struct {
	form form

	// Of bcrypt.
	bcrypt string
	cost   int

	// Of argon2id.
	argon2id tagged
}

func parse(stored string) (hash, error) {
	h := hash{form: formBcrypt}
	for _, f := range []form{formSHA384, formTutorial, formArgon2idTutorial} {
		if rest, ok := strings.CutPrefix(stored, f.marker()); ok {
			h.form, stored = f, rest
			break
		}
	}
	if h.form == formBcrypt && strings.HasPrefix(stored, "$argon2id$") {
		h.form = formArgon2id
	}
	var err error
	if h.form.isArgon2id() {
		h.argon2id, err = parseArgon2id(stored)
		return h, err
	}
	h.bcrypt = stored
	h.cost, err = parseBcrypt(stored)
	return h, err
}

func parseBcrypt(text string) (cost int, err error) {
	m := storedBcrypt.FindStringSubmatch(text)
	if m == nil {
		return 0, ErrMalformed
	}
	cost, err = strconv.Atoi(m[1])
	if err != nil || cost < MinCost || cost > MaxStoredCost {
		return 0, ErrMalformed
	}
	return cost, nil
}

// Cost returns bcrypt's cost of a stored hash of whichever form, 0 for one of argon2id,
// which has none, or ErrMalformed.
func Cost(stored string) (int, error) {
	h, err := parse(stored)
	return h.cost, err
}

// MarkTutorial marks a bcrypt hash that the tutorial's application made. It returns an
// error that Is ErrMalformed for anything but a plain bcrypt hash, a marked one included.
func MarkTutorial(bcryptHash string) (string, error) {
	h, err := parse(bcryptHash)
	if err != nil {
		return "", err
	}
	if h.form != formBcrypt {
		return "", fmt.Errorf("%w: it is no plain hash of bcrypt", ErrMalformed)
	}
	return formTutorial.marker() + bcryptHash, nil
}
