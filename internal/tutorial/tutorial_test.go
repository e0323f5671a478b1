package tutorial_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"github.com/ostiary/auth/internal/tutorial"
)

// ecmaSpace is WhiteSpace and LineTerminator of ECMA-262, one by one.
const ecmaSpace = "\t\n\v\f\r \u00A0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200A" +
	"\u2028\u2029\u202F\u205F\u3000\uFEFF"

func TestTrimTakesWhatECMAScriptTakes(t *testing.T) {
	trimmed := 0
	for r := range utf8.MaxRune + 1 {
		if !utf8.ValidRune(r) {
			continue
		}
		s := string(r) + "a" + string(r) + "b" + string(r)
		want := s
		if strings.ContainsRune(ecmaSpace, r) {
			want = "a" + string(r) + "b"
			trimmed++
		}
		if got := tutorial.Trim(s); got != want {
			t.Errorf("U+%04X: %q, want %q", r, got, want)
		}
	}
	assert.Equal(t, 25, trimmed)
}

func TestTrim(t *testing.T) {
	for in, want := range map[string]string{
		"":                              "",
		"a":                             "a",
		ecmaSpace:                       "",
		ecmaSpace + "a b" + ecmaSpace:   "a b",
		"  spaced out  ":                "spaced out",
		"\u0085 kept \u0085":            "\u0085 kept \u0085",
		"\u180E\u200B\u200D\u2060":      "\u180E\u200B\u200D\u2060",
		"\x00 a \x00":                   "\x00 a \x00",
		" \xff ":                        "\xff",
		"\xc2":                          "\xc2",
		"\xe2\x80":                      "\xe2\x80",
		"\uFFFD":                        "\uFFFD",
		strings.Repeat(" \uFEFF", 1000): "",
	} {
		assert.Equal(t, want, tutorial.Trim(in), "%q", in)
	}
}

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"":                         "",
		"Ann Lee":                  "Ann Lee",
		"&\"'<>/\\`":               "&amp;&quot;&#x27;&lt;&gt;&#x2F;&#x5C;&#96;",
		"Tom & Jerry":              "Tom &amp; Jerry",
		"&amp;":                    "&amp;amp;",
		"&lt;b&gt;":                "&amp;lt;b&amp;gt;",
		"<script>alert('x')</x>":   "&lt;script&gt;alert(&#x27;x&#x27;)&lt;&#x2F;x&gt;",
		"李小龙 \u2028 \x00 \xff é;#": "李小龙 \u2028 \x00 \xff é;#",
	} {
		assert.Equal(t, want, tutorial.Escape(in), "%q", in)
	}
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		"":                "",
		"Tom &amp; Jerry": "Tom & Jerry",
		"&amp;&quot;&#x27;&lt;&gt;&#x2F;&#x5C;&#96;": "&\"'<>/\\`",
		"&amp;lt;":           "&lt;",
		"&amp;lt;b&amp;gt;":  "&lt;b&gt;",
		"&amp;amp;lt;":       "&amp;lt;",
		"&amp;#x27;":         "&#x27;",
		"&#x5C;&amp;&#x5C;":  `\&\`,
		"&&lt;;":             "&<;",
		"&amp":               "&amp",
		"&AMP; &Lt; &#X27;":  "&AMP; &Lt; &#X27;",
		"&#x2f; &#x5c;":      "&#x2f; &#x5c;",
		"&#39; &#60; &#x60;": "&#39; &#60; &#x60;",
		"&apos; &nbsp; &#0;": "&apos; &nbsp; &#0;",
		"\xff&lt;\xff":       "\xff<\xff",
	} {
		assert.Equal(t, want, tutorial.Unescape(in), "%q", in)
	}
}

func FuzzUnescape(f *testing.F) {
	for _, s := range []string{"", "&", "&&amp;", "&amp;lt;", "&#x27", "a'b\"c`", "\xff&\x00", "&lt;&amp;&gt;", "&amp;amp;amp;"} {
		f.Add(s)
	}
	references := []string{"&quot;", "&#x27;", "&lt;", "&gt;", "&#x2F;", "&#x5C;", "&#96;", "&amp;"}
	characters := []string{`"`, "'", "<", ">", "/", `\`, "`", "&"}
	f.Fuzz(func(t *testing.T, s string) {
		escaped := tutorial.Escape(s)
		assert.Equal(t, s, tutorial.Unescape(escaped))
		assert.False(t, strings.ContainsAny(escaped, "\"'<>/\\`"), "%q", escaped)

		// validator.js replaces one reference after the other, &amp; last.
		want := s
		for i, reference := range references {
			want = strings.ReplaceAll(want, reference, characters[i])
		}
		assert.Equal(t, want, tutorial.Unescape(s))
	})
}
