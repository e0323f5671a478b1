package strictjson_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/strictjson"
)

// values are what JSON allows as a value, those of depth one at most.
var values = []string{
	`""`, `"a"`, `"\u0000"`, `"\"\\\/\b\f\n\r\t"`, `"é€😀"`, `"\u00e9\uD83D\ude00"`, "\"\x7f\"", "\"\u0080\u2028\uffff\"",
	`0`, `-0`, `7`, `-7`, `10`, `1.0`, `0.5`, `-0.0`, `1e1`, `1E+1`, `0e-1`, `1.5e0`, `9223372036854775808`, `1e999`,
	`true`, `false`, `null`,
	`[]`, `[ ]`, `[1]`, `[1,"a",null,[],{}]`, "[\t1\n,\r2 ]",
	`{}`, `{ }`, `{"a":1}`, `{"a":{},"b":[]}`, `{"":0}`,
}

// notValues are what JSON allows nowhere as a value.
var notValues = []string{
	``, `,`, `:`, `]`, `)`, `"`, `"a`, `"a""`, `'a'`, `a`, `"\"`, "\x00", "1\x00", "\v1", "\u00a01", "\ufeff1", "1 2",
	`+1`, `-`, `--1`, `01`, `00`, `-01`, `.5`, `1.`, `-.5`, `1.e1`, `1e`, `1e+`, `1e+-1`, `1e1.5`, `0x1`, `1_0`, `1,`, `Infinity`, `-Infinity`, `NaN`, `١`,
	`True`, `tru`, `truee`, `nul`, `NULL`, `undefined`, `fals`,
	`[`, `[1`, `[1,`, `[1,]`, `[,]`, `[,1]`, `[1 2]`, `[1:2]`, `[1}`, `[1]]`,
	`{`, `{"`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{,}`, `{"a" 1}`, `{"a",1}`, `{a:1}`, `{'a':1}`, `{1:1}`, `{null:1}`, `{"a":1 "b":2}`, `{"a"::1}`, `{"a":1]`, `{"a":}`,
	`/**/1`, `1//`, `#`, `{"a":1;}`,
	// Inside strings: control characters, escapes that are none, halves of surrogate pairs.
	"\"\x00\"", "\"\n\"", "\"\t\"", "\"\x1f\"", `"\`, `"\x41"`, `"\'"`, `"\a"`, `"\0"`, `"\U0041"`, `"\u"`, `"\u004"`, `"\u004g"`, `"\u00e"1"`, `"\u+041"`, `"\u 041"`,
	`"\ud800"`, `"\uDBFF"`, `"\udc00"`, `"\udfff"`, `"\ud800\ud800"`, `"\udc00\ud800"`, `"\ud800a"`, `"\ud800\n"`, `"\ud800\\udc00"`, `"\ud800\u0041"`, `"\ud800 \udc00"`, `"\ud800\udc0"`, `"\ud800\u"`, `"\ud800\`,
}

func TestParseAcceptsEveryValue(t *testing.T) {
	for _, value := range values {
		for _, input := range []string{
			`{"k":` + value + `}`,
			"\t\r\n {\t\r\n \"k\"\t\r\n :\t\r\n " + value + "\t\r\n }\t\r\n ",
			`{"x":` + value + `,"k":0}`,
			`{"k":[` + value + `,` + value + `],"x":{"y":` + value + `}}`,
		} {
			o, err := strictjson.Parse([]byte(input), "k")
			require.NoError(t, err, "%q", input)
			assert.True(t, o.Has("k"), "%q", input)
		}
	}
}

func TestParseRefusesWhatIsNoValue(t *testing.T) {
	for _, value := range notValues {
		for _, input := range []string{
			`{"k":` + value + `}`,
			`{"x":` + value + `}`,
			`{"x":[` + value + `],"k":0}`,
			`{"x":[0,` + value + `]}`,
			`{"x":{"y":` + value + `}}`,
			`{"k":` + value,
		} {
			if input == `{"x":[]` || input == `{"x":[],"k":0}` {
				continue // no value in an array is an empty array
			}
			o, err := strictjson.Parse([]byte(input), "k")
			require.ErrorIs(t, err, strictjson.ErrSyntax, "%q", input)
			assert.Zero(t, o, "%q", input)
		}
	}
}

// ASVS: 2.2.1, 15.3.5.
func TestParseErrors(t *testing.T) {
	nested := func(n int) string { // an object with arrays and objects, n deep in all
		s := "0"
		for i := n; i > 1; i-- {
			if i%2 == 0 {
				s = "[" + s + "]"
			} else {
				s = `{"a":` + s + "}"
			}
		}
		return `{"x":` + s + "}"
	}
	tests := []struct {
		name, input string
		want        error
	}{
		{"empty", "", strictjson.ErrSyntax},
		{"white space", " \t\r\n", strictjson.ErrSyntax},
		{"byte order mark", "\ufeff{}", strictjson.ErrSyntax},
		{"byte order mark behind", "{}\ufeff", strictjson.ErrSyntax},
		{"NUL", "\x00", strictjson.ErrSyntax},
		{"NUL behind", "{}\x00", strictjson.ErrSyntax},
		{"form feed", "\f{}", strictjson.ErrSyntax},
		{"no-break space", "{\u00a0}", strictjson.ErrSyntax},
		{"trailing object", "{}{}", strictjson.ErrSyntax},
		{"trailing object on a line", "{}\n{}", strictjson.ErrSyntax},
		{"trailing brace", `{"email":"a"}}`, strictjson.ErrSyntax},
		{"trailing comma", "{},", strictjson.ErrSyntax},
		{"trailing comment", "{} // a", strictjson.ErrSyntax},
		{"lone surrogate in a name", `{"\ud800":1}`, strictjson.ErrSyntax},
		{"control character in a name", "{\"a\n\":1}", strictjson.ErrSyntax},
		{"unclosed", "{", strictjson.ErrSyntax},
		{"closed", "}", strictjson.ErrSyntax},

		{"invalid UTF-8 in a string", "{\"email\":\"a\xff\"}", strictjson.ErrUTF8},
		{"invalid UTF-8 in a name", "{\"a\xc0\xaf\":1}", strictjson.ErrUTF8},
		{"invalid UTF-8 outside", "{}\x80", strictjson.ErrUTF8},
		{"invalid UTF-8 deep inside", "{\"x\":[{\"y\":\"\xe2\x82\"}]}", strictjson.ErrUTF8},
		{"encoded surrogate", "{\"email\":\"\xed\xa0\x80\"}", strictjson.ErrUTF8},
		{"beyond Unicode", "{\"email\":\"\xf4\x90\x80\x80\"}", strictjson.ErrUTF8},
		{"UTF-16", "\xff\xfe{\x00}\x00", strictjson.ErrUTF8},
		{"before a fault of syntax", "{{\xff", strictjson.ErrUTF8},

		{"known twice", `{"email":"a","email":"b"}`, strictjson.ErrDuplicate},
		{"known twice, null", `{"email":null,"email":null}`, strictjson.ErrDuplicate},
		{"known twice, escaped", `{"email":"a","\u0065mail":"b"}`, strictjson.ErrDuplicate},
		{"unknown twice", `{"x":1,"email":"a","x":1}`, strictjson.ErrDuplicate},
		{"unknown twice, escaped", `{"/😀":1,"y":1,"\/\ud83d\ude00":1}`, strictjson.ErrDuplicate},
		{"empty name twice", `{"":1,"":2}`, strictjson.ErrDuplicate},
		{"twice inside", `{"email":{"x":1,"x":2}}`, strictjson.ErrDuplicate},
		{"twice inside an array", `{"x":[0,[{"y":1,"z":1,"y":1}]]}`, strictjson.ErrDuplicate},
		{"twice around an object", `{"x":{"y":1},"x":{"y":1}}`, strictjson.ErrDuplicate},
		{"known name twice inside", `{"x":{"email":1,"email":1}}`, strictjson.ErrDuplicate},
		{"same names in different objects", `{"x":{"x":{"x":1},"email":1},"y":[{"x":1},{"x":1}],"email":1}`, nil},
		{"names that differ in case", `{"x":1,"X":1,"y":{"email":1,"EMAIL":1}}`, nil},
		{"names composed and decomposed", "{\"\u00e9\":1,\"e\u0301\":1}", nil},

		{"upper case", `{"EMAIL":"a"}`, strictjson.ErrCase},
		{"upper case beside ours", `{"email":"a","Email":"b"}`, strictjson.ErrCase},
		{"upper case before ours", `{"Email":"b","email":"a"}`, strictjson.ErrCase},
		{"upper case, escaped", `{"\u0045mail":"a"}`, strictjson.ErrCase},
		{"long s", `{"paſſword":"a"}`, strictjson.ErrCase},
		{"long s, escaped", `{"pa\u017fsword":"a"}`, strictjson.ErrCase},
		{"Kelvin sign", "{\"to\u212aen\":\"a\"}", strictjson.ErrCase},
		{"fullwidth letter", `{"ｅmail":"a"}`, nil},
		{"dotless i", `{"emaıl":"a"}`, nil},
		{"longer", `{"emails":"a","emai":"b"}`, nil},
		{"white space in a name", `{"email ":"a"}`, nil},

		{"depth 32", nested(32), nil},
		{"depth 33", nested(33), strictjson.ErrDepth},
		{"depth 33, object", `{"x":` + strings.Repeat("[", 31) + "{}" + strings.Repeat("]", 31) + "}", strictjson.ErrDepth},
		{"depth 33, known", `{"email":` + strings.Repeat(`{"a":`, 32), strictjson.ErrDepth},
		{"depth, ten thousands", `{"x":` + strings.Repeat("[", 1e5), strictjson.ErrDepth},
		{"wide, not deep", `{"x":[` + strings.Repeat("[],", 100) + "{}]}", nil},

		{"array", `[{"email":"a"}]`, strictjson.ErrNotObject},
		{"array, unclosed", ` [`, strictjson.ErrNotObject},
		{"array, deep", strings.Repeat("[", 1e5), strictjson.ErrNotObject},
		{"string", `"{}"`, strictjson.ErrNotObject},
		{"number", `-1.5e3`, strictjson.ErrNotObject},
		{"true", "\ntrue", strictjson.ErrNotObject},
		{"false", `false`, strictjson.ErrNotObject},
		{"null", `null`, strictjson.ErrNotObject},
		{"string, unclosed", `"{}`, strictjson.ErrSyntax},
		{"no number", `-{}`, strictjson.ErrSyntax},
		{"no word", `nil`, strictjson.ErrSyntax},
		{"form", `email=a&password=b`, strictjson.ErrSyntax},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o, err := strictjson.Parse([]byte(tt.input), "email", "password", "token")
			if tt.want == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, tt.want)
			assert.Zero(t, o)
		})
	}
}

func TestErrorsAreDistinctAndHoldNoInput(t *testing.T) {
	all := []error{
		strictjson.ErrSyntax, strictjson.ErrUTF8, strictjson.ErrDuplicate,
		strictjson.ErrCase, strictjson.ErrDepth, strictjson.ErrNotObject,
	}
	for i, a := range all {
		assert.True(t, strings.HasPrefix(a.Error(), "strictjson: "))
		for j, b := range all {
			if i != j {
				assert.NotErrorIs(t, a, b)
			}
		}
	}
	for _, input := range []string{
		`{"hunter2":`, `{"hunter2":1,"hunter2":1}`, `{"HUNTER2":1}`, `"hunter2"`, "{\"hunter2\xff\":1}",
		`{"hunter2":` + strings.Repeat("[", 40),
	} {
		_, err := strictjson.Parse([]byte(input), "Hunter2")
		require.Error(t, err)
		assert.NotContains(t, strings.ToLower(err.Error()), "hunter2")
	}
}

// Each proper prefix of a document is none.
func TestParseRefusesEveryPrefix(t *testing.T) {
	const doc = `{"s":"a\n\ud83d\ude00","n":-1.5e+3,"w":[true,false,null],"o":{"a":{}}}`
	_, err := strictjson.Parse([]byte(doc), "s", "n")
	require.NoError(t, err)
	for i := range doc {
		_, err := strictjson.Parse([]byte(doc[:i]), "s", "n")
		require.ErrorIs(t, err, strictjson.ErrSyntax, "%q", doc[:i])
	}
}

func TestHas(t *testing.T) {
	o, err := strictjson.Parse([]byte(`{"null":null,"\u0074ext":"","x":1,"object":{"inner":1}}`), "null", "text", "absent", "object", "inner")
	require.NoError(t, err)
	assert.True(t, o.Has("null"))
	assert.True(t, o.Has("text"))
	assert.True(t, o.Has("object"))
	assert.False(t, o.Has("absent"))
	assert.False(t, o.Has("inner"), "only the object at the top counts")
	assert.False(t, o.Has("x"), "Parse was not told of it")
	assert.False(t, o.Has("Text"))
}

func TestString(t *testing.T) {
	tests := []struct {
		value, want string
		ok          bool
	}{
		{`""`, "", true},
		{`"abc"`, "abc", true},
		{`" a\u0020"`, " a ", true},
		{`"\"\\\/\b\f\n\r\t"`, "\"\\/\b\f\n\r\t", true},
		{`"\u0000"`, "\x00", true},
		{`"\u00e9\u20AC\uD83D\uDe00"`, "é€😀", true},
		{`"a\ud83d\ude00b\ud800\udc00c\udbff\udfffd"`, "a😀b\U00010000c\U0010ffffd", true},
		{`"\ufffd\uffff\ue000\ud7ff"`, "\ufffd\uffff\ue000\ud7ff", true},
		{`"é€😀` + "\ufffd" + `"`, "é€😀\ufffd", true},
		{`"\\u0041"`, `\u0041`, true},
		{`"\\"`, `\`, true},
		{`"<b>&amp;"`, "<b>&amp;", true},
		{`null`, "", false},
		{`true`, "", false},
		{`1`, "", false},
		{`["a"]`, "", false},
		{`{"k":"a"}`, "", false},
	}
	for _, tt := range tests {
		o, err := strictjson.Parse([]byte(`{"a":"x","k":`+tt.value+`,"z":"y"}`), "k")
		require.NoError(t, err, "%q", tt.value)
		got, ok := o.String("k")
		assert.Equal(t, tt.want, got, "%q", tt.value)
		assert.Equal(t, tt.ok, ok, "%q", tt.value)
		_, ok = o.Int64("absent")
		assert.False(t, ok)
		_, ok = o.String("a")
		assert.False(t, ok, "Parse was not told of it")
	}
}

func TestInt64(t *testing.T) {
	tests := []struct {
		value string
		want  int64
		ok    bool
	}{
		{`0`, 0, true},
		{`1`, 1, true},
		{`-1`, -1, true},
		{`1764000000`, 1764000000, true},
		{`9223372036854775807`, 9223372036854775807, true},
		{`-9223372036854775808`, -9223372036854775808, true},
		{`9223372036854775808`, 0, false},
		{`-9223372036854775809`, 0, false},
		{`18446744073709551616`, 0, false},
		{`1` + strings.Repeat("0", 5000), 0, false},
		{`-0`, 0, false},
		{`0.0`, 0, false},
		{`1.0`, 0, false},
		{`1.5`, 0, false},
		{`1e0`, 0, false},
		{`1E3`, 0, false},
		{`-1e-0`, 0, false},
		{`"1"`, 0, false},
		{`null`, 0, false},
		{`true`, 0, false},
		{`[1]`, 0, false},
	}
	for _, tt := range tests {
		o, err := strictjson.Parse([]byte(`{"k":`+tt.value+`}`), "k")
		require.NoError(t, err, "%q", tt.value)
		got, ok := o.Int64("k")
		assert.Equal(t, tt.want, got, "%q", tt.value)
		assert.Equal(t, tt.ok, ok, "%q", tt.value)
		assert.True(t, o.Has("k"), "%q", tt.value)
	}
}

func TestUnknown(t *testing.T) {
	tests := []struct {
		input string
		want  bool
	}{
		{`{}`, false},
		{`{"a":1}`, false},
		{`{"a":{"x":1},"\u0062":[{"y":1}]}`, false},
		{`{"a":1,"x":null}`, true},
		{`{"x":1,"a":1}`, true},
		{`{"":1}`, true},
	}
	for _, tt := range tests {
		o, err := strictjson.Parse([]byte(tt.input), "a", "b")
		require.NoError(t, err, tt.input)
		assert.Equal(t, tt.want, o.Unknown(), tt.input)
	}
}

// A name that is known exactly is that name, although it also differs from another known
// one only in case.
func TestParseKnownNamesAlikeButForCase(t *testing.T) {
	o, err := strictjson.Parse([]byte(`{"EXP":1,"exp":2}`), "exp", "EXP")
	require.NoError(t, err)
	upper, _ := o.Int64("EXP")
	lower, _ := o.Int64("exp")
	assert.Equal(t, []int64{1, 2}, []int64{upper, lower})
}

func TestParseWithoutKnownNames(t *testing.T) {
	o, err := strictjson.Parse([]byte(`{"a":1}`))
	require.NoError(t, err)
	assert.True(t, o.Unknown())
	assert.False(t, o.Has("a"))
}

func TestZeroObject(t *testing.T) {
	var o strictjson.Object
	_, isText := o.String("a")
	_, isNumber := o.Int64("a")
	assert.Equal(t, []bool{false, false, false, false}, []bool{o.Has("a"), isText, isNumber, o.Unknown()})
}

func TestStringIsACopy(t *testing.T) {
	data := []byte(`{"a":"plain","b":"esc\u0061ped"}`)
	o, err := strictjson.Parse(data, "a", "b")
	require.NoError(t, err)
	a, _ := o.String("a")
	b, _ := o.String("b")
	clear(data)
	assert.Equal(t, []string{"plain", "escaped"}, []string{a, b})
}

// Of many names, wherever they are, each is still compared with each.
func TestParseFindsADuplicateAmongMany(t *testing.T) {
	for _, n := range []int{2, 15, 16, 17, 18, 33, 1000} {
		for _, format := range []string{"{%}", `{"k":{%}}`, `{"x":[0,{%}],"k":0}`} {
			members := manyMembers(n)
			input := strings.Replace(format, "%", members, 1)
			_, err := strictjson.Parse([]byte(input), "k")
			require.NoError(t, err, "%d names", n)
			for _, again := range []int{0, n / 2, n - 1} {
				input := strings.Replace(format, "%", members+`,"n`+strconv.Itoa(again)+`":0`, 1)
				_, err := strictjson.Parse([]byte(input), "k")
				require.ErrorIs(t, err, strictjson.ErrDuplicate, "%d names, the %d-th again", n, again)
			}
		}
	}
}

// manyMembers are n members, without the braces around them.
func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"n` + strconv.Itoa(i) + `":0`)
	}
	return b.String()
}
