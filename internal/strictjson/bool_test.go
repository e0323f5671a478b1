package strictjson_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/strictjson"
)

func TestBool(t *testing.T) {
	for _, test := range []struct {
		input     string
		value, ok bool
	}{
		{`{"k":true}`, true, true},
		{`{"k":false}`, false, true},
		{"{ \"k\" :\n true }", true, true},
		{`{"\u006b":true}`, true, true},
		{`{"x":false,"k":true,"y":null}`, true, true},
		{`{}`, false, false},
		{`{"x":true}`, false, false},
		{`{"x":{"k":true}}`, false, false},
		{`{"k":null}`, false, false},
		{`{"k":"true"}`, false, false},
		{`{"k":"false"}`, false, false},
		{`{"k":"tr\u0075e"}`, false, false},
		{`{"k":""}`, false, false},
		{`{"k":1}`, false, false},
		{`{"k":0}`, false, false},
		{`{"k":[true]}`, false, false},
		{`{"k":{"k":true}}`, false, false},
		{`{"k":[]}`, false, false},
	} {
		o, err := strictjson.Parse([]byte(test.input), "k", "other")
		require.NoError(t, err, test.input)
		value, ok := o.Bool("k")
		assert.Equal(t, test.value, value, test.input)
		assert.Equal(t, test.ok, ok, test.input)
		value, ok = o.Bool("other")
		assert.False(t, value || ok, test.input)
		value, ok = o.Bool("x")
		assert.False(t, value || ok, "a name that Parse was not told of")
	}
}

// Of an Object without members, the zero value and that of a refused input, nothing is
// true or false.
func TestBoolOfNothing(t *testing.T) {
	refused, err := strictjson.Parse([]byte(`{"k":true,"k":true}`), "k")
	require.ErrorIs(t, err, strictjson.ErrDuplicate)
	for _, o := range []strictjson.Object{{}, refused} {
		value, ok := o.Bool("k")
		assert.False(t, value || ok)
	}
}

// Each kind of value is read by one of the readers at most.
func TestOneReaderForEachValue(t *testing.T) {
	for _, value := range values {
		o, err := strictjson.Parse([]byte(`{"k":`+value+`}`), "k")
		require.NoError(t, err, value)
		_, isText := o.String("k")
		_, isNumber := o.Int64("k")
		truth, isBool := o.Bool("k")
		assert.Equal(t, strings.HasPrefix(value, `"`), isText, value)
		assert.Equal(t, value == "true" || value == "false", isBool, value)
		assert.Equal(t, value == "true", truth, value)
		assert.False(t, isNumber && (isText || isBool), value)
	}
}
