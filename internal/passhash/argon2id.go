package passhash

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"golang.org/x/crypto/argon2"
)

// Bounds of argon2id's parameters, of what is configured and of what is stored. A stored
// hash beyond them is malformed: a row of the store must not be able to ask for more than
// MaxMemory of memory, or for some seconds of a core.
const (
	MaxMemory  = 256 << 10 // KiB
	MaxTime    = 16
	MaxThreads = 16
)

const (
	saltLen = 16 // bytes of a new salt (RFC 9106, 3.1)
	tagLen  = 32 // bytes of a new tag

	memoryPerThread = 8 // KiB, the least that argon2 works with (RFC 9106, 3.1)
)

// Argon2id is the parameters of argon2id (RFC 9106). The zero value means that it is off.
type Argon2id struct {
	Memory  uint32 // in KiB
	Time    uint32 // passes over the memory
	Threads uint8  // lanes, worked on at the same time where there are cores
}

// isStrong says whether the parameters are at least one of the choices that OWASP's
// Password Storage Cheat Sheet names, all of the same strength.
func (a Argon2id) isStrong() bool {
	for _, least := range []Argon2id{
		{Memory: 47104, Time: 1},
		{Memory: 19456, Time: 2},
		{Memory: 12288, Time: 3},
		{Memory: 9216, Time: 4},
		{Memory: 7168, Time: 5},
	} {
		if a.Memory >= least.Memory && a.Time >= least.Time {
			return true
		}
	}
	return false
}

// Check says what is wrong with the parameters for new hashes: that they are outside of
// the bounds, or, unless insecure, below each pair of memory and time that OWASP's
// Password Storage Cheat Sheet takes for strong enough. The zero value is outside of the
// bounds.
func (a Argon2id) Check(insecure bool) error {
	switch {
	case a.Threads < 1 || a.Threads > MaxThreads:
		return fmt.Errorf("passhash: argon2id with %d threads: it must be from 1 to %d", a.Threads, MaxThreads)
	case a.Time < 1 || a.Time > MaxTime:
		return fmt.Errorf("passhash: argon2id with time %d: it must be from 1 to %d", a.Time, MaxTime)
	case a.Memory < memoryPerThread*uint32(a.Threads) || a.Memory > MaxMemory:
		return fmt.Errorf("passhash: argon2id with %d KiB of memory: it must be from %d for each thread to %d", a.Memory, memoryPerThread, MaxMemory)
	}
	if insecure || a.isStrong() {
		return nil
	}
	return errors.New("passhash: argon2id with too little memory or time: at least 19456 KiB and time 2, or 47104 and 1, or 7168 and 5")
}

// on says whether argon2id is configured.
func (a Argon2id) on() bool { return a != Argon2id{} }

// work is what a run takes, in KiB written.
func (a Argon2id) work() uint64 { return uint64(a.Memory) * uint64(a.Time) }

// less returns the parameters of a run that takes the work of a run of a without what
// was done, and whether there is any left. There is none of what Check refuses, since
// argon2 panics then.
func (a Argon2id) less(done Argon2id) (Argon2id, bool) {
	if done.work() >= a.work() || a.Check(true) != nil {
		return Argon2id{}, false
	}
	left, time := a.work()-done.work(), uint64(a.Time)
	a.Memory = max(uint32((left+time-1)/time), memoryPerThread*uint32(a.Threads)) //nolint:gosec // at most a.Memory
	return a, true
}

// tagged is an argon2id hash, taken apart.
type tagged struct {
	Argon2id

	salt, tag []byte
}

// storedArgon2id is the one form of a hash: what argon2's reference implementation
// writes, whose base64 has no padding. Salts are of 8 to 64 bytes and tags of 16 to 64.
var storedArgon2id = regexp.MustCompile(`^\$argon2id\$v=19\$m=([1-9][0-9]{0,6}),t=([1-9][0-9]?),p=([1-9][0-9]?)` +
	`\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$`)

func parseArgon2id(text string) (tagged, error) {
	m := storedArgon2id.FindStringSubmatch(text)
	if m == nil {
		return tagged{}, ErrMalformed
	}
	var numbers [3]uint64
	for i := range numbers {
		n, err := strconv.ParseUint(m[1+i], 10, 32)
		if err != nil {
			return tagged{}, ErrMalformed
		}
		numbers[i] = n
	}
	t := tagged{Argon2id: Argon2id{
		Memory: uint32(numbers[0]), Time: uint32(numbers[1]), Threads: uint8(numbers[2]), //nolint:gosec // of 7, 2 and 2 digits
	}}
	var err error
	if t.Check(true) != nil {
		return tagged{}, ErrMalformed
	}
	if t.salt, err = base64.RawStdEncoding.Strict().DecodeString(m[4]); err != nil {
		return tagged{}, ErrMalformed
	}
	if t.tag, err = base64.RawStdEncoding.Strict().DecodeString(m[5]); err != nil {
		return tagged{}, ErrMalformed
	}
	return t, nil
}

func (t tagged) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, t.Memory, t.Time, t.Threads,
		base64.RawStdEncoding.EncodeToString(t.salt), base64.RawStdEncoding.EncodeToString(t.tag))
}

// generateArgon2id returns the hash of the input with a new salt.
func (h Hasher) generateArgon2id(in []byte) (string, error) {
	if err := h.Argon2id.Check(true); err != nil {
		return "", err
	}
	t := tagged{Argon2id: h.Argon2id, salt: make([]byte, saltLen)}
	if _, err := rand.Read(t.salt); err != nil {
		return "", fmt.Errorf("passhash: %w", err)
	}
	t.tag = h.argon2id(t, in, tagLen)
	return t.String(), nil
}

func (h Hasher) compareArgon2id(t tagged, in []byte) bool {
	return subtle.ConstantTimeCompare(h.argon2id(t, in, len(t.tag)), t.tag) == 1
}

// dummyArgon2id does the work of a run of argon2id.
func (h Hasher) dummyArgon2id(a Argon2id, in []byte) {
	h.argon2id(tagged{Argon2id: a, salt: make([]byte, saltLen)}, in, tagLen)
}

func (h Hasher) argon2id(t tagged, in []byte, tagLen int) []byte {
	if h.OnArgon2id != nil {
		h.OnArgon2id(t.Argon2id)
	}
	return argon2.IDKey(in, t.salt, t.Time, t.Memory, t.Threads, uint32(tagLen)) //nolint:gosec // at most 64
}
