package token

import (
	"encoding/hex"
	"time"

	"github.com/ostiary/auth/internal/strictjson"
)

// MaxSubject is the length in bytes of the longest user ID.
const MaxSubject = 64

// Claims reads claims that must all be there: OK turns false at the first that is not, or
// is of another type. Its zero value has none.
type Claims struct {
	object strictjson.Object
	failed bool
}

// ReadClaims reads a payload as strictjson does, of which known are the names to keep. The
// error is ErrMalformed.
func ReadClaims(payload []byte, known ...string) (*Claims, error) {
	object, err := strictjson.Parse(payload, known...)
	if err != nil {
		return nil, ErrMalformed
	}
	return &Claims{object: object}, nil
}

// OK says whether all claims that were read were there.
func (c *Claims) OK() bool { return !c.failed }

// Has says whether a claim is there, whatever its value.
func (c *Claims) Has(name string) bool { return c.object.Has(name) }

// Unknown says whether there are claims of other names.
func (c *Claims) Unknown() bool { return c.object.Unknown() }

func (c *Claims) want(ok bool) { c.failed = c.failed || !ok }

// Text is a text, which must not be empty.
func (c *Claims) Text(name string) string {
	s, ok := c.object.String(name)
	c.want(ok && s != "")
	return s
}

// Int is an integer.
func (c *Claims) Int(name string) int64 {
	n, ok := c.object.Int64(name)
	c.want(ok)
	return n
}

// Instant is a time in whole seconds, up to the year 9999: what [time.Time]'s arithmetic
// does not wrap around.
func (c *Claims) Instant(name string) time.Time {
	const year9999 = 253402300799
	n := c.Int(name)
	c.want(0 <= n && n <= year9999)
	return time.Unix(n, 0).UTC()
}

// Subject is the claim sub, the ID of a user.
func (c *Claims) Subject() string {
	id := c.Text("sub")
	c.want(len(id) <= MaxSubject)
	return id
}

// SessionID is the claim sid: 16 bytes in lower-case hexadecimal.
func (c *Claims) SessionID() [16]byte {
	var id [16]byte
	text := c.Text("sid")
	ok := len(text) == hex.EncodedLen(len(id))
	if ok {
		_, err := hex.Decode(id[:], []byte(text))
		ok = err == nil && hex.EncodeToString(id[:]) == text
	}
	c.want(ok)
	return id
}
