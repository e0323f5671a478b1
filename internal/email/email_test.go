package email_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"

	"github.com/ostiary/auth/internal/email"
)

func TestParseAccepts(t *testing.T) {
	for _, c := range []struct{ in, text, key string }{
		{"ann@example.com", "ann@example.com", "ann@example.com"},
		{"BOB@Example.COM", "BOB@Example.COM", "bob@example.com"},
		{" \t\r\n\u00A0ann@example.com\u2003\u0085\n", "ann@example.com", "ann@example.com"},
		{"zoë@example.com", "zoë@example.com", "zoë@example.com"},
		{"ZOE\u0308@example.com", "ZOE\u0308@example.com", "zoë@example.com"},
		{"李小龙@例え.テスト", "李小龙@例え.テスト", "李小龙@xn--r8jz45g.xn--zckzah"},
		{"a@xn--R8JZ45G.xn--zckzah", "a@xn--R8JZ45G.xn--zckzah", "a@xn--r8jz45g.xn--zckzah"},
		{"a@例え。テスト", "a@例え。テスト", "a@xn--r8jz45g.xn--zckzah"},
		{"a@faß.de", "a@faß.de", "a@xn--fa-hia.de"},
		{"a@FASS.de", "a@FASS.de", "a@fass.de"},
		{"a@ｅｘａｍｐｌｅ.com", "a@ｅｘａｍｐｌｅ.com", "a@example.com"},
		{"ǰ@example.com", "ǰ@example.com", "ǰ@example.com"},
		{"ΣΑΣ@example.com", "ΣΑΣ@example.com", "σασ@example.com"},
		{"\u212Aelvin@example.com", "\u212Aelvin@example.com", "kelvin@example.com"},
		{"İ@example.com", "İ@example.com", "i@example.com"},
		{"😀@example.com", "😀@example.com", "😀@example.com"},
		{"!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com"},
		{"a.b.c+tag@d.e.f", "a.b.c+tag@d.e.f", "a.b.c+tag@d.e.f"},
		{"0@1.example", "0@1.example", "0@1.example"},
	} {
		got, err := email.Parse(c.in)
		require.NoError(t, err, "%q", c.in)
		assert.Equal(t, email.Address{Text: c.text, Key: c.key}, got)
	}
}

// ASVS: 2.2.1.
// Advisory: GHSA-7rqj-j65f-68wh, CVE-2022-35924.
func TestParseRefuses(t *testing.T) {
	const replacement = "\uFFFD"
	for name, in := range map[string]string{
		"empty": "", "space alone": " \t ", "no at-sign": "example.com",
		"no local part": "@example.com", "no domain": "a@", "at-sign alone": "@",
		"two at-signs": "a@b@example.com", "two at-signs at the end": "a@example.com@",

		"display name": "Bob <a@example.com>", "angle brackets": "<a@example.com>",
		"comment behind": "a@example.com (x)", "comment in front": "(x)a@example.com",
		"comment in the local part": "a(x)@example.com", "group": "g:a@example.com;",
		"quoted": `"a"@example.com`, "quoted at-sign": `"a@b"@example.com`, "escape": `a\b@example.com`,
		"comma list": "a@example.com,b@example.com", "comma list with a space": "a@example.com, b@example.com",
		"semicolon list": "a@example.com;b@example.com", "percent-encoded": "a%40b.example",
		"CR LF and a header": "a@example.com\r\nBcc: b@example.com", "LF inside": "a\nb@example.com",
		"CR LF before the at-sign": "a\r\n@example.com", "folded": "a@example\r\n .com",

		"dot first": ".a@example.com", "dot last": "a.@example.com", "two dots": "a..b@example.com",
		"dot alone": ".@example.com", "space inside": "a b@example.com", "tab inside": "a\tb@example.com",
		"NUL": "a\x00@example.com", "NUL at the end": "a@example.com\x00", "DEL": "a\x7f@example.com",
		"C1 control": "a\u0085b@example.com", "no-break space": "a\u00A0b@example.com",
		"zero width space": "a\u200B@example.com", "zero width space in the domain": "a@exam\u200Bple.com",
		"zero width joiner": "a\u200D@example.com", "byte order mark": "a\uFEFF@example.com",
		"byte order mark in front": "\uFEFFa@example.com", "line separator": "a\u2028b@example.com",
		"paragraph separator": "a\u2029b@example.com", "soft hyphen": "a\u00ADb@example.com",
		"soft hyphen in the domain": "a@exam\u00ADple.com", "right-to-left override": "a\u202Eb@example.com",
		"private use": "a\uE000@example.com", "private use in plane 16": "a\U00100000@example.com",
		"unassigned": "a\u0378@example.com", "noncharacter": "a\uFFFE@example.com", "tag": "a\U000E0041@example.com",
		"ideographic space": "a\u3000b@example.com",

		"fullwidth at-sign": "a＠example.com", "small at-sign": "a﹫example.com",
		"fullwidth at-sign in the local part": "a＠b@example.com", "fullwidth at-sign in the domain": "a@b＠example.com",
		"small at-sign in the local part": "a﹫b@example.com",
		"small at-sign in the domain":     "a@b﹫example.com",

		"invalid UTF-8": "a\xff@example.com", "invalid UTF-8 in the domain": "a@exa\xc3mple.com",
		"surrogate in UTF-8": "a\xed\xa0\x80@example.com", "overlong slash": "a\xc0\xaf@example.com",
		"Greek question mark, whose NFC is a semicolon": "a\u037E@example.com",

		"no dot": "a@localhost", "dot last in the domain": "a@example.com.", "dot first in the domain": "a@.example.com",
		"two dots in the domain": "a@example..com", "ideographic full stop last": "a@example.com。",
		"hyphen first": "a@-b.com", "hyphen last": "a@b-.com", "underscore": "a@b_c.com", "colon": "a@example.com:25",
		"address literal": "a@[127.0.0.1]", "IPv4 address": "a@127.0.0.1", "IPv6 literal": "a@[IPv6:::1]", "slash": "a@example.com/x",
		"replacement in the domain": "a@" + replacement + ".com", "bad punycode": "a@xn--a.com",
		"punycode of ASCII": "a@xn--example-.com", "punycode of an upper case letter": "a@xn--wca.com",
		"punycode that is not in NFC": "a@xn--ex-8tb.com", "punycode of a zero width space": "a@xn--ab-g1t.com",
		"mark first in a label":            "a@\u0301x.com",
		"label of 64 bytes":                "a@" + strings.Repeat("x", 64) + ".com",
		"label of 64 bytes in ASCII alone": "a@" + strings.Repeat("ü", 58) + ".com",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := email.Parse(in)
			require.ErrorIs(t, err, email.ErrInvalid)
			assert.Zero(t, got)
		})
	}
}

// One person's spellings.
//
// Advisory: GHSA-7rqj-j65f-68wh.
func TestParseMakesOneKey(t *testing.T) {
	for _, c := range [][]string{
		{"a@example.com", "A@example.com", " a@EXAMPLE.COM ", "a@ｅxample.com"},
		{"jos\u00E9@example.com", "jose\u0301@example.com", "JOS\u00C9@example.com", "JOSE\u0301@example.com"},
		{"a@b\u00FCcher.de", "a@bu\u0308cher.de", "a@BU\u0308CHER.de", "a@xn--bcher-kva.de"},
		{"\u03C9@example.com", "\u03A9@example.com", "\u2126@example.com"},
		{"\u01F0@example.com", "j\u030C@example.com", "J\u030C@example.com"},
		{"\u0130@example.com", "I\u0307@example.com"},
	} {
		for _, in := range c {
			assert.Equal(t, key(t, c[0]), key(t, in), "%q", in)
		}
	}
}

// People whom a collation of the server, a case folding or a compatibility form merges.
func TestParseKeepsPeopleApart(t *testing.T) {
	for _, c := range [][]string{
		{"straße@example.com", "strasse@example.com", "strase@example.com"},
		{"ﬁsh@example.com", "fish@example.com"},
		{"a@faß.de", "a@fass.de"},
		{"josé@example.com", "jose@example.com"},
		{"gıthub@example.com", "github@example.com"},
		{"a@gıthub.com", "a@github.com", "a@gİthub.com"},
		{"😀@example.com", "😁@example.com"},
		{"ａ@example.com", "a@example.com", "ª@example.com", "а@example.com"},
		{"ſ@example.com", "s@example.com"},
		{"ς@example.com", "σ@example.com"},
		{"ﬀ@example.com", "ff@example.com"},
		{"²@example.com", "2@example.com"},
		{"ŉ@example.com", "ʼn@example.com"},
		{"a.b@example.com", "ab@example.com", "a+b@example.com"},
		{"a@example.com", "a@example.org", "a@a.example.com"},
	} {
		seen := map[string]string{}
		for _, in := range c {
			k := key(t, in)
			assert.NotContains(t, seen, k, "%q and %q", in, seen[k])
			seen[k] = in
		}
	}
}

// Advisory: CVE-2025-61725.
func TestParseLengths(t *testing.T) {
	domain := "@" + strings.Repeat("d", 60) + ".example" // 69 bytes
	full := strings.Repeat("a", 254-len(domain)) + domain
	require.Len(t, full, 254)
	got, err := email.Parse("\t " + full + " \n")
	require.NoError(t, err)
	assert.Equal(t, full, got.Key)

	label := strings.Repeat("x", 63)
	_, err = email.Parse("a@" + label + "." + label + ".com")
	require.NoError(t, err)

	for name, in := range map[string]string{
		"255 bytes":                        "a" + full,
		"255 bytes, 254 code points":       "é" + full[1:],
		"254 bytes whose domain has more":  strings.Repeat("a", 200) + "@" + strings.Repeat("例え.", 6) + "com",
		"254 bytes whose local part grows": strings.Repeat("Ⱥ", 120) + "@example.co",
		"1 MB of local part":               strings.Repeat("a", 1<<20) + "@example.com",
		"1 MB of domain":                   "a@" + strings.Repeat("a.", 1<<19) + "com",
		"1 MB of at-signs":                 strings.Repeat("@", 1<<20),
		"1 MB of dots":                     strings.Repeat(".", 1<<20),
		"1 MB of combining marks":          "a" + strings.Repeat("\u0301", 1<<19) + "@example.com",
		"1 MB of white space":              strings.Repeat("\u2003", 1<<20/3),
		"1 MB of invalid UTF-8":            strings.Repeat("\xff", 1<<20),
		"1 MB of comments":                 strings.Repeat("(", 1<<20) + "a@example.com",
	} {
		_, err := email.Parse(in)
		require.ErrorIs(t, err, email.ErrInvalid, name)
	}
	got, err = email.Parse(strings.Repeat(" ", 1<<20) + "a@example.com" + strings.Repeat("\n", 1<<20))
	require.NoError(t, err)
	assert.Equal(t, email.Address{Text: "a@example.com", Key: "a@example.com"}, got)
}

// Advisory: GHSA-7rqj-j65f-68wh.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "@", "a@example.com", " BOB@Example.COM ", "zoe\u0308@example.com", "a@faß.de", "a@例え。テスト", "İ@ǰ.com",
		"a\u037E@example.com", "\u212A@\u212A.com", "a@xn--fa-hia.de", "a@xn--R8JZ45G.xn--zckzah", "a@b@c.d", "a＠b.c",
		"\u1E9E@b.cd", "ΐ@b.cd", "\u0345\u0301a@b.cd", "Ⱥ@Ⱥ.com", "a@\u0660.com", "a@ab--c.com", "!#$%@1.2", "\u1100\u1161\u11A8@b.cd",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := email.Parse(s)
		if err != nil {
			require.ErrorIs(t, err, email.ErrInvalid)
			assert.Zero(t, got)
			return
		}
		again, err := email.Parse(got.Key)
		require.NoError(t, err, "key %q of %q", got.Key, s)
		assert.Equal(t, email.Address{Text: got.Key, Key: got.Key}, again)

		same, err := email.Parse(got.Text)
		require.NoError(t, err, "text %q of %q", got.Text, s)
		assert.Equal(t, got, same)
		assert.Equal(t, strings.TrimSpace(s), got.Text)

		local, domain, found := strings.Cut(got.Key, "@")
		assert.True(t, found)
		assert.NotContains(t, domain, "@")
		assert.NotEmpty(t, local)
		assert.LessOrEqual(t, len(got.Key), 254)
		assert.LessOrEqual(t, len(got.Text), 254)
		assert.True(t, utf8.ValidString(got.Key))
		assert.True(t, norm.NFC.IsNormalString(local), "%q", local)
		assert.NotRegexp(t, `[A-Z\pC\pZ]`, got.Key)
		assert.NotRegexp(t, `[\pC\pZ]`, got.Text)
		assert.Regexp(t, `^[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+$`, domain)
	})
}

func key(t *testing.T, s string) string {
	t.Helper()
	a, err := email.Parse(s)
	require.NoError(t, err, "%q", s)
	return a.Key
}
