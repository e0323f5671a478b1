// Package strictjson reads one JSON object the way a request body and a token's claims
// must be read: so that no two readers of the same bytes can see different members.
// RFC 8259 leaves to each reader what repeated names, lone surrogates and invalid UTF-8
// mean; here all three are errors, and so is a name that a reader which ignores case
// would take for one of ours.
package strictjson

import (
	"errors"
	"strconv"
	"unicode/utf8"
)

// What Parse refuses. The errors are distinct, and hold nothing of the input. Of several
// faults in one input any one may be reported, but ErrUTF8 before all others.
var (
	// ErrSyntax says that the input is not JSON (RFC 8259), or has an escape of half a
	// surrogate pair, which is no character. Empty input, a byte order mark, and anything
	// but white space after the object are ErrSyntax too.
	ErrSyntax = errors.New("strictjson: invalid syntax")

	// ErrUTF8 says that the input is not valid UTF-8, be it inside or outside a string.
	ErrUTF8 = errors.New("strictjson: invalid UTF-8")

	// ErrDuplicate says that an object, at whatever depth, has two members of one name,
	// compared after escapes are decoded.
	ErrDuplicate = errors.New("strictjson: duplicate name")

	// ErrCase says that a name at the top differs from a known one only in case, under
	// Unicode's simple case folding: "passWord", and "paſſword" with two U+017F.
	ErrCase = errors.New("strictjson: name differs from a known one only in case")

	// ErrDepth says that objects and arrays are nested more than 32 deep, the object at
	// the top being the first.
	ErrDepth = errors.New("strictjson: nested too deep")

	// ErrNotObject says that the input begins with another JSON value than an object. What
	// follows in it is not looked at.
	ErrNotObject = errors.New("strictjson: not an object")
)

// Object is what Parse keeps of a JSON object. The zero value has no members. It is safe
// for concurrent use. It refers to the bytes that were parsed, so those must not change
// while it is in use; the strings that it returns are copies.
type Object struct {
	members []member // one for each known name
	unknown bool
}

// member is a known name, and the literal of its value once it was met.
type member struct {
	name    string
	kind    kind
	literal []byte // as in the input, a string's with its quotes
}

// kind is what a member's literal is.
type kind uint8

const (
	absent  kind = iota
	plain        // a string without escapes
	escaped      // a string with escapes
	number
	other // an object, an array, true, false, null
)

// Parse reads data as one JSON object (RFC 8259) with white space around it at most. It
// keeps the members named in known, byte for byte after escapes are decoded; all others
// are checked by the same rules and dropped. The error is one of this package's, and the
// Object then is the zero value. Time is O(n log n) in the length of data, whatever is in
// it.
func Parse(data []byte, known ...string) (Object, error) {
	if !utf8.Valid(data) {
		return Object{}, ErrUTF8
	}
	s := scanner{data: data}
	s.space()
	if s.peek() != '{' {
		return Object{}, s.notObject()
	}
	s.members = make([]member, len(known))
	for i, name := range known {
		s.members[i].name = name
	}
	if err := s.object(1); err != nil {
		return Object{}, err
	}
	s.space()
	if s.pos < len(data) {
		return Object{}, ErrSyntax
	}
	return Object{members: s.members, unknown: s.unknown}, nil
}

// Has says whether the object has the member, whatever its value, null included. It is
// false for every name that Parse was not told of.
func (o Object) Has(name string) bool {
	return o.member(name).kind != absent
}

// String returns the member's text, its escapes decoded. It is "" and false if the member
// is absent, null or no string.
func (o Object) String(name string) (string, bool) {
	switch m := o.member(name); m.kind {
	case plain:
		return string(m.literal[1 : len(m.literal)-1]), true
	case escaped:
		return string(decode(m.literal[1 : len(m.literal)-1])), true
	default:
		return "", false
	}
}

// Int64 returns the member's number. It is 0 and false if the member is absent, no number,
// out of range, or written other than as an integer: with a fraction or an exponent, or as
// -0.
func (o Object) Int64(name string) (int64, bool) {
	m := o.member(name)
	if m.kind != number || len(m.literal) > len("-9223372036854775808") {
		return 0, false
	}
	n, err := strconv.ParseInt(string(m.literal), 10, 64)
	if err != nil || n == 0 && m.literal[0] == '-' {
		return 0, false
	}
	return n, true
}

// Bool returns the member's truth value. It is false and false if the member is absent or
// neither true nor false.
func (o Object) Bool(name string) (value, ok bool) {
	switch string(o.member(name).literal) {
	case "true":
		return true, true
	case "false":
		return false, true
	default:
		return false, false
	}
}

// Unknown says whether the object has a member whose name is not among the known ones.
func (o Object) Unknown() bool {
	return o.unknown
}

// member is the known member of this name, or one that is absent.
func (o Object) member(name string) member {
	for i := range o.members {
		if o.members[i].name == name {
			return o.members[i]
		}
	}
	return member{}
}
