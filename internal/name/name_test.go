package name_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ostiary/auth/internal/name"
)

// ASVS: 2.2.1.
func TestParse(t *testing.T) {
	for _, tt := range []struct {
		in, want string
		err      error
	}{
		{in: "Ann Lee", want: "Ann Lee"},
		{in: "  Bob\t", want: "Bob"},
		{in: "李小龙", want: "李小龙"},
		{in: "O'Neil & <b>", want: "O'Neil & <b>"},
		{in: "Zoe\u0308", want: "Zo\u00eb"},
		{in: "e\u0308e\u0308", err: name.ErrShort},
		{in: "", err: name.ErrEmpty},
		{in: " \u00a0\u2003", err: name.ErrEmpty},
		{in: " Al ", err: name.ErrShort},
		{in: strings.Repeat("😀", name.Max), want: strings.Repeat("😀", name.Max)},
		{in: strings.Repeat("a", name.Max+1), err: name.ErrLong},
		{in: strings.Repeat("e\u0308", name.Max), want: strings.Repeat("\u00eb", name.Max)},
		{in: strings.Repeat("a", 1<<20), err: name.ErrLong},
		{in: "Ann\x00Lee", err: name.ErrInvalid},
		{in: "Ann\r\nLee", err: name.ErrInvalid},
		{in: "Ann\u0085Lee", err: name.ErrInvalid},
		{in: "Ann\xffLee", err: name.ErrInvalid},
	} {
		got, err := name.Parse(tt.in)
		assert.ErrorIs(t, err, tt.err, "%.40q", tt.in)
		assert.Equal(t, tt.want, got, "%.40q", tt.in)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"Ann Lee", "Zoe\u0308", "\u0085ab\u0085", "  Al  "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once, err := name.Parse(s)
		if err != nil {
			return
		}
		twice, err := name.Parse(once)
		assert.NoError(t, err)
		assert.Equal(t, once, twice)
	})
}
