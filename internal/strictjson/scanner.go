package strictjson

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds the nesting, and with it the scanner's recursion.
const maxDepth = 32

// scanner walks over data, which is valid UTF-8. Its methods begin at pos and leave it
// behind what they read; after an error it is of no use.
type scanner struct {
	data    []byte
	pos     int
	members []member // the known members of the object at the top
	unknown bool     // the object at the top has others
	names   [][]byte // the decoded names of others, and of all objects inside, as far as those are open
}

// peek returns the next byte, or 0 at the end of data. Outside of strings JSON has no NUL,
// so that both are wrong wherever a byte is wanted.
func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

// skip steps over the next byte if it is c, and says whether it was.
func (s *scanner) skip(c byte) bool {
	if s.pos < len(s.data) && s.data[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

// space steps over white space, which in JSON is these four bytes and no others.
func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// notObject is the error for data whose first byte begins no object.
func (s *scanner) notObject() error {
	if s.peek() != '[' {
		if _, err := s.value(0); err != nil {
			return err
		}
	}
	return ErrNotObject
}

// value reads any value inside a container at the given depth.
func (s *scanner) value(depth int) (kind, error) {
	switch c := s.peek(); {
	case c == '"':
		return s.text()
	case c == '-' || isDigit(c):
		return number, s.number()
	case c == '{' || c == '[':
		if depth == maxDepth {
			return other, ErrDepth
		}
		if c == '{' {
			return other, s.object(depth + 1)
		}
		return other, s.array(depth + 1)
	default:
		return other, s.word()
	}
}

// object reads an object whose own depth is given.
func (s *scanner) object(depth int) error {
	s.pos++
	s.space()
	if s.skip('}') {
		return nil
	}
	open := len(s.names)
	for {
		if err := s.member(depth); err != nil {
			return err
		}
		s.space()
		if s.skip('}') {
			break
		}
		if !s.skip(',') {
			return ErrSyntax
		}
		s.space()
	}
	if repeats(s.names[open:]) {
		return ErrDuplicate
	}
	s.names = s.names[:open]
	return nil
}

// member reads a name and its value in an object whose depth is given.
func (s *scanner) member(depth int) error {
	name, err := s.name()
	if err != nil {
		return err
	}
	s.space()
	if !s.skip(':') {
		return ErrSyntax
	}
	s.space()
	slot := -1
	if depth == 1 {
		if slot, err = s.slot(name); err != nil {
			return err
		}
	}
	if slot < 0 {
		if s.names == nil {
			s.names = make([][]byte, 0, 16) // enough for most inputs, and none at all for claims that are all known
		}
		s.names = append(s.names, name)
	}
	start := s.pos
	k, err := s.value(depth)
	if err != nil {
		return err
	}
	if slot >= 0 {
		s.members[slot].kind = k
		s.members[slot].literal = s.data[start:s.pos]
	}
	return nil
}

// name reads a member's name and returns it decoded.
func (s *scanner) name() ([]byte, error) {
	start := s.pos
	if s.peek() != '"' {
		return nil, ErrSyntax
	}
	k, err := s.text()
	if err != nil {
		return nil, err
	}
	name := s.data[start+1 : s.pos-1]
	if k == escaped {
		return decode(name), nil
	}
	return name, nil
}

// slot returns the index of the known member of this name, which must not have been met
// before, or -1 if the name is like none of the known ones.
func (s *scanner) slot(name []byte) (int, error) {
	for i := range s.members {
		if s.members[i].name != string(name) {
			continue
		}
		if s.members[i].kind != absent {
			return -1, ErrDuplicate
		}
		return i, nil
	}
	for i := range s.members {
		if strings.EqualFold(s.members[i].name, string(name)) {
			return -1, ErrCase
		}
	}
	s.unknown = true
	return -1, nil
}

// repeats says whether two of the names are equal. It sorts them, so that many names cost
// neither quadratic time nor a map.
func repeats(names [][]byte) bool {
	slices.SortFunc(names, bytes.Compare)
	for i := 1; i < len(names); i++ {
		if bytes.Equal(names[i-1], names[i]) {
			return true
		}
	}
	return false
}

// array reads an array whose own depth is given.
func (s *scanner) array(depth int) error {
	s.pos++
	s.space()
	if s.skip(']') {
		return nil
	}
	for {
		if _, err := s.value(depth); err != nil {
			return err
		}
		s.space()
		if s.skip(']') {
			return nil
		}
		if !s.skip(',') {
			return ErrSyntax
		}
		s.space()
	}
}

// text reads a string and says whether it is plain or escaped.
func (s *scanner) text() (kind, error) {
	k := plain
	for i := s.pos + 1; i < len(s.data); i++ {
		switch c := s.data[i]; {
		case c == '"':
			s.pos = i + 1
			return k, nil
		case c < ' ':
			return k, ErrSyntax
		case c == '\\':
			_, size := unescape(s.data[i:])
			if size == 0 {
				return k, ErrSyntax
			}
			k = escaped
			i += size - 1
		}
	}
	return k, ErrSyntax
}

// decode returns a string's content, which text has accepted, with its escapes decoded.
func decode(content []byte) []byte {
	out := make([]byte, 0, len(content))
	for {
		i := bytes.IndexByte(content, '\\')
		if i < 0 {
			return append(out, content...)
		}
		r, size := unescape(content[i:])
		out = utf8.AppendRune(append(out, content[:i]...), r)
		content = content[i+size:]
	}
}

// unescape decodes the escape at the start of b, which begins with its backslash. Size is
// how many bytes it takes, 12 for a surrogate pair, and 0 if it is invalid.
func unescape(b []byte) (r rune, size int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch b[1] {
	case '"', '\\', '/':
		return rune(b[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	}
	r, ok := codeUnit(b)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	low, ok := codeUnit(b[6:])
	if !ok {
		return 0, 0
	}
	if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
		return 0, 0
	}
	return r, 12
}

// codeUnit returns the UTF-16 code unit that the escape \uXXXX at the start of b stands
// for, and false if there is none.
func codeUnit(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var u rune
	for _, c := range b[2:6] {
		switch {
		case isDigit(c):
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		u = u<<4 | rune(c)
	}
	return u, true
}

// number reads a number. A further digit after a leading zero is left to the caller, to
// whom no number may be followed by one.
func (s *scanner) number() error {
	s.skip('-')
	if !s.skip('0') && !s.digits() {
		return ErrSyntax
	}
	if s.skip('.') && !s.digits() {
		return ErrSyntax
	}
	if s.skip('e') || s.skip('E') {
		if !s.skip('+') {
			s.skip('-')
		}
		if !s.digits() {
			return ErrSyntax
		}
	}
	return nil
}

// digits steps over decimal digits and says whether there was one.
func (s *scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.data) && isDigit(s.data[s.pos]) {
		s.pos++
	}
	return s.pos > start
}

func isDigit(c byte) bool {
	return '0' <= c && c <= '9'
}

// word reads true, false or null.
func (s *scanner) word() error {
	for _, word := range [...]string{"true", "false", "null"} {
		if bytes.HasPrefix(s.data[s.pos:], []byte(word)) {
			s.pos += len(word)
			return nil
		}
	}
	return ErrSyntax
}
