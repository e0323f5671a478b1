package strictjson_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/strictjson"
)

// The oracle decides with encoding/json, in many passes, what Parse decides in one.

var oracleKnown = []string{"sub", "exp", "s", "Kk", ""}

var (
	backslashes    = regexp.MustCompile(`\\\\`)
	surrogatePairs = regexp.MustCompile(`\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}`)
	surrogates     = regexp.MustCompile(`\\u[dD][89a-fA-F]`)
)

// verdicts are the errors that are right for the input; none, if it is to be accepted.
func verdicts(data []byte) []error {
	if !utf8.Valid(data) {
		return []error{strictjson.ErrUTF8}
	}
	valid := json.Valid(data)
	trimmed := bytes.TrimLeft(data, " \t\r\n")
	if !bytes.HasPrefix(trimmed, []byte("{")) {
		if valid && !loneSurrogate(data) {
			return []error{strictjson.ErrNotObject}
		}
		return []error{strictjson.ErrNotObject, strictjson.ErrSyntax}
	}
	if !valid {
		return []error{strictjson.ErrSyntax, strictjson.ErrDuplicate, strictjson.ErrCase, strictjson.ErrDepth}
	}
	var all []error
	if loneSurrogate(data) {
		all = append(all, strictjson.ErrSyntax)
	}
	w := walker{dec: json.NewDecoder(bytes.NewReader(data))}
	w.dec.UseNumber()
	w.walk(0)
	return append(all, w.found...)
}

func loneSurrogate(data []byte) bool {
	rest := backslashes.ReplaceAll(data, nil)
	return surrogates.Match(surrogatePairs.ReplaceAll(rest, []byte("x")))
}

// walker reads valid JSON token by token and notes what Parse must not let pass.
type walker struct {
	dec   *json.Decoder
	found []error
}

func (w *walker) walk(depth int) {
	token, err := w.dec.Token()
	if err != nil {
		return
	}
	delim, nested := token.(json.Delim)
	if !nested {
		return
	}
	depth++
	if depth > 32 {
		w.found = append(w.found, strictjson.ErrDepth)
	}
	seen := map[string]bool{}
	for w.dec.More() {
		if delim == '{' {
			token, _ := w.dec.Token()
			name, _ := token.(string)
			if seen[name] {
				w.found = append(w.found, strictjson.ErrDuplicate)
			}
			seen[name] = true
			if depth == 1 && onlyCaseDiffers(name) {
				w.found = append(w.found, strictjson.ErrCase)
			}
		}
		w.walk(depth)
	}
	_, _ = w.dec.Token()
}

func onlyCaseDiffers(name string) bool {
	alike := false
	for _, known := range oracleKnown {
		if name == known {
			return false
		}
		alike = alike || strings.EqualFold(name, known)
	}
	return alike
}

// checkAgainstOracle fails the test unless Parse decides and reads as the oracle does.
func checkAgainstOracle(t *testing.T, data []byte) {
	t.Helper()
	want := verdicts(data)
	o, err := strictjson.Parse(data, oracleKnown...)
	if err != nil {
		require.Contains(t, want, err, "%q", data)
		return
	}
	require.Empty(t, want, "%q", data)
	var members map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(data, &members), "%q", data)
	others := len(members)
	for _, name := range oracleKnown {
		raw, has := members[name]
		require.Equal(t, has, o.Has(name), "%q: %q", data, name)
		if has {
			others--
		}
		checkMember(t, o, name, raw)
	}
	require.Equal(t, others > 0, o.Unknown(), "%q", data)
}

func checkMember(t *testing.T, o strictjson.Object, name string, raw json.RawMessage) {
	t.Helper()
	var wantText string
	isText := bytes.HasPrefix(raw, []byte(`"`))
	if isText {
		require.NoError(t, json.Unmarshal(raw, &wantText))
	}
	text, ok := o.String(name)
	require.Equal(t, isText, ok, "%q", raw)
	require.Equal(t, wantText, text, "%q", raw)

	var wantInt int64
	isInt := false
	if len(raw) > 0 && strings.IndexByte("-0123456789", raw[0]) >= 0 {
		var literal json.Number
		require.NoError(t, json.Unmarshal(raw, &literal))
		n, err := strconv.ParseInt(literal.String(), 10, 64)
		if isInt = err == nil && literal != "-0"; isInt {
			wantInt = n
		}
	}
	n, ok := o.Int64(name)
	require.Equal(t, isInt, ok, "%q", raw)
	require.Equal(t, wantInt, n, "%q", raw)
}

// Every byte of a document replaced by every other, dropped and doubled: Parse goes by the
// oracle in all of them.
func TestParseAgreesWithOracleOnMutations(t *testing.T) {
	docs := []string{
		`{"sub":"a\n\u0041\ud83d\ude00é","exp":-10.5e+3}`,
		` {"s":[true,{"a":1,"b":2},null],"x" : 12 } `,
	}
	for _, doc := range docs {
		checkAgainstOracle(t, []byte(doc))
		for i := range len(doc) {
			checkAgainstOracle(t, []byte(doc[:i]+doc[i+1:]))
			checkAgainstOracle(t, []byte(doc[:i+1]+doc[i:]))
			for b := range 256 {
				mutant := []byte(doc)
				mutant[i] = byte(b)
				checkAgainstOracle(t, mutant)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, value := range values {
		f.Add([]byte(`{"sub":` + value + `,"x":{"y":` + value + `}}`))
	}
	for _, value := range notValues {
		f.Add([]byte(`{"exp":` + value + `}`))
	}
	for _, seed := range []string{
		``, ` `, `{}`, `[]`, `null`, `"a"`, `0`, "\ufeff{}", "{}{}", "{\"s\":\"\xff\"}",
		`{"sub":1,"\u0073ub":2}`, `{"x":1,"x":2}`, `{"x":{"":1,"":2}}`, `{"ſub":1}`, "{\"\u212ak\":1}", `{"S":1,"s":2}`, `{"":1}`,
		`{"x":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`,
		`{"x":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`,
		`{` + manyMembers(20) + `}`,
		claims,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		checkAgainstOracle(t, data)
	})
}
