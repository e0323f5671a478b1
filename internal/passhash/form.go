package passhash

import (
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"golang.org/x/crypto/bcrypt"

	"github.com/ostiary/auth/internal/tutorial"
)

// Bounds of the cost of a hash. One above MaxStoredCost is malformed: a single compare
// at cost 18 takes some 15 seconds of a core, and a row of the store must not be able
// to ask for more.
const (
	MinCost       = bcrypt.MinCost
	MaxStoredCost = 18
)

// ErrMalformed says that a stored text is no hash of this package's.
var ErrMalformed = errors.New("passhash: malformed hash")

// form is how a password becomes bcrypt's input; its value is the marker in front of
// the hash.
type form string

const (
	formPlain    form = ""
	formSHA384   form = "bcrypt-sha384:"
	formTutorial form = "bcrypt-tutorial:"
)

const maxInput = 72 // bytes that bcrypt reads

// storedHash splits a stored text into its marker, its bcrypt hash and the hash's cost.
var storedHash = regexp.MustCompile(`^(|` + string(formSHA384) + `|` + string(formTutorial) + `)` +
	`(\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53})$`)

// input returns the bytes to hash, never more than bcrypt reads, and whether they stand
// for the whole password.
func (f form) input(password string) (in []byte, whole bool) {
	switch f {
	case formSHA384:
		sum := sha512.Sum384([]byte(password))
		return base64.StdEncoding.AppendEncode(nil, sum[:]), true
	case formTutorial:
		password = tutorial.Trim(password)
		return []byte(password[:min(len(password), maxInput)]), true
	default:
		return []byte(password[:min(len(password), maxInput)]), len(password) <= maxInput
	}
}

// hash is a stored text, taken apart.
type hash struct {
	form   form
	cost   int
	bcrypt string
}

func parse(stored string) (hash, error) {
	m := storedHash.FindStringSubmatch(stored)
	if m == nil {
		return hash{}, ErrMalformed
	}
	cost, err := strconv.Atoi(m[3])
	if err != nil || cost < MinCost || cost > MaxStoredCost {
		return hash{}, ErrMalformed
	}
	return hash{form: form(m[1]), bcrypt: m[2], cost: cost}, nil
}

// Cost returns the cost of a stored hash of whichever form, or ErrMalformed.
func Cost(stored string) (int, error) {
	h, err := parse(stored)
	return h.cost, err
}

// MarkTutorial marks a bcrypt hash that the tutorial's application made. It returns an
// error that Is ErrMalformed for anything but a plain hash, a marked one included.
func MarkTutorial(bcryptHash string) (string, error) {
	h, err := parse(bcryptHash)
	if err != nil {
		return "", err
	}
	if h.form != formPlain {
		return "", fmt.Errorf("%w: it has a marker already", ErrMalformed)
	}
	return string(formTutorial) + bcryptHash, nil
}
