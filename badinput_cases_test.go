package auth_test

import (
	"fmt"
	"strconv"
	"strings"
)

// badBody is a body and the answer to it.
type badBody struct {
	name, body string
	status     int
	code       string
	field      string // the one that a 422 names
}

const (
	tooLarge   = "body_too_large"
	badJSON    = "invalid_json"
	badField   = "validation_failed"
	badType    = "unsupported_media_type"
	noToken    = "no_token"
	badToken   = "invalid_token"
	badLogin   = "invalid_credentials"
	maxBody    = 16 << 10
	tenMillion = 10_000_000
)

// repeated is the JSON text of a string.
func repeated(s string, n int) string { return `"` + strings.Repeat(s, n) + `"` }

// badShapes are bodies that are wrong whatever the field holds, and empty ones, whose
// answer is empty's.
func badShapes(base members, field string, empty badBody) []badBody {
	var out []badBody
	add := func(name, body string, status int, code string) {
		out = append(out, badBody{field + ": " + name, body, status, code, ""})
	}
	nothing := func(name, body string) {
		out = append(out, badBody{field + ": " + name, body, empty.status, empty.code, empty.field})
	}
	nothing("missing", base.without(field).String())
	for _, value := range []string{
		"null", "true", "false", "0", "-1.5e3", "[]", `["x"]`, `[null]`, "{}", `{"$ne":null}`, `{"toString":"x"}`, `""`,
	} {
		nothing(value, base.with(field, value).String())
	}
	for name, value := range map[string]string{
		"control character, raw":      "\"a\x07b\"",
		"line break, raw":             "\"a\nb\"",
		"NUL, raw":                    "\"a\x00b\"",
		"no UTF-8":                    "\"a\xffb\"",
		"overlong UTF-8":              "\"a\xc0\xafb\"",
		"surrogate in UTF-8":          "\"a\xed\xa0\x80b\"",
		"half a surrogate pair":       `"a\ud800b"`,
		"halves in the wrong order":   `"a\udc00\ud800b"`,
		"escape that JSON lacks":      `"a\x41b"`,
		"escape that is cut":          `"a\u00"`,
		"single quotes":               `'x'`,
		"no quotes":                   `x`,
		"NaN":                         `NaN`,
		"leading zero":                `01`,
		"closed twice":                `"x""`,
		"not closed":                  `"x`,
		"two values":                  `"x" "y"`,
		"no value":                    ``,
		"comment":                     `"x" /* y */`,
		"nested too deep":             strings.Repeat("[", 32) + strings.Repeat("]", 32),
		"nested much too deep":        strings.Repeat("[", 7000) + strings.Repeat("]", 7000),
		"nested too deep, not closed": strings.Repeat(`{"a":`, 3000),
		"a name twice, inside":        `{"a":1,"a":2}`,
	} {
		add(name, base.with(field, value).String(), 400, badJSON)
	}
	good := base.String()
	more := func(name string) string {
		return strings.TrimSuffix(good, "}") + "," + name + `:"other"}`
	}
	for _, name := range append(caseVariants(field), `"`+field+`"`, escapedName(field)) {
		add("twice, as "+name, more(name), 400, badJSON)
	}
	for _, name := range caseVariants(field) {
		add("only as "+name, strings.Replace(good, `"`+field+`"`, name, 1), 400, badJSON)
	}
	add("1 MB", base.with(field, repeated("a", 1_000_000)).String(), 413, tooLarge)
	add("1 MB of NUL", base.with(field, repeated(`\u0000`, 1_000_000/6)).String(), 413, tooLarge)
	return out
}

// caseVariants are names, in quotes, that a reader takes for this one if it ignores case.
func caseVariants(name string) []string {
	upper := strings.ToUpper(name)
	out := []string{`"` + upper + `"`, `"` + upper[:1] + name[1:] + `"`, `"` + name[:len(name)-1] + upper[len(upper)-1:] + `"`}
	if long := strings.NewReplacer("s", "ſ", "k", "\u212a").Replace(name); long != name {
		out = append(out, `"`+long+`"`)
	}
	return out
}

// escapedName is the name with its first letter escaped: to a reader it is the same.
func escapedName(name string) string { return fmt.Sprintf(`"\u%04x%s"`, name[0], name[1:]) }

// badWholes are bodies that are wrong as a whole.
func badWholes(base members, empty badBody) []badBody {
	good := base.String()
	out := []badBody{
		{"no body", "", empty.status, empty.code, empty.field},
		{"no members", "{}", empty.status, empty.code, empty.field},
		{"10 MB of spaces", good + strings.Repeat(" ", tenMillion), 413, tooLarge, ""},
		{"10 MB of nesting", strings.Repeat(`[`, tenMillion), 413, tooLarge, ""},
		{"10 MB of other members", strings.TrimSuffix(good, "}") + `,"x":` + repeated("x", tenMillion) + "}", 413, tooLarge, ""},
		{"a byte too many", good + strings.Repeat(" ", maxBody-len(good)+1), 413, tooLarge, ""},
	}
	for name, body := range map[string]string{
		"spaces":                 "  ",
		"array":                  "[]",
		"array around":           "[" + good + "]",
		"string":                 `"x"`,
		"string around":          strconv.Quote(good),
		"number":                 "1",
		"null":                   "null",
		"true":                   "true",
		"byte order mark":        "\ufeff" + good,
		"UTF-16":                 "\xff\xfe{\x00}\x00",
		"another object":         good + good,
		"another object, spaced": good + "\n" + good,
		"a bracket":              good + "]",
		"a brace":                good + "}",
		"a comma":                good + ",",
		"a comma inside":         strings.TrimSuffix(good, "}") + ",}",
		"a NUL after":            good + "\x00",
		"no-break space after":   good + "\u00a0",
		"form":                   "name=Ann&email=ann%40example.com",
		"XML":                    "<a/>",
		"comment before":         "// x\n" + good,
		"prefix against XSSI":    ")]}'\n" + good,
		"nested too deep":        strings.TrimSuffix(good, "}") + `,"x":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + "}",
		"nested too deep, mixed": strings.TrimSuffix(good, "}") + `,"x":` + strings.Repeat(`[{"x":`, 16) + "1" + strings.Repeat("}]", 16) + "}",
		"another member twice":   strings.TrimSuffix(good, "}") + `,"x":1,"x":1}`,
		"a name that is no text": `{1:2}`,
	} {
		out = append(out, badBody{name, body, 400, badJSON, ""})
	}
	for i := 1; i < len(good); i += 3 {
		out = append(out, badBody{"cut at " + strconv.Itoa(i), good[:i], 400, badJSON, ""})
	}
	return out
}

// badAddresses are the JSON texts of what is nobody's address.
func badAddresses() []string {
	return []string{
		`"ann＠example.com"`, `"ann\uff20example.com"`, `"ann@example。com."`, `"ann"`, `"@example.com"`, `"ann@"`, `"ann@@example.com"`,
		`"ann@example"`, `"ann@example.com."`, `"ann@-example.com"`, `"ann@example..com"`, `"ann@[127.0.0.1]"`, `"a\u0000nn@example.com"`,
		`"ann@example.com\u0000"`, `"an\u0007n@example.com"`, `"an\u007fn@example.com"`, `"an\u0085n@example.com"`, `"an\u200bn@exam\u200bple.c\u0000om"`,
		`"ann@example.com\r\nBcc: eve@example.com"`, `"ann@example.com,eve@example.com"`, `"ann@example.com eve@example.com"`,
		`"Ann <ann@example.com>"`, `"<ann@example.com>"`, `"\"a b\"@example.com"`, `"ann@example.com (x)"`, `"mailto:ann@example.com"`,
		`"` + strings.Repeat("a", 243) + `@example.com"`, `"` + strings.Repeat("a", 15_000) + `@example.com"`, repeated("a@", 7000), repeated(".", 15_000),
	}
}

func badSignups() []badBody {
	base := members{{"name", `"Ann Lee"`}, {"email", `"ann@example.com"`}, {"password", `"correct horse"`}}
	var out []badBody
	refuse := func(field string, values ...string) {
		for _, v := range values {
			out = append(out, badBody{fmt.Sprintf("%s: %.60s", field, v), base.with(field, v).String(), 422, badField, field})
		}
	}
	refuse("name", `"Al"`, `"   "`, `" Al "`, `"\u3000\u00a0"`, `"Ann\u0000Lee"`, `"Ann\u0007Lee"`, `"Ann\nLee"`, `"Ann\u007fLee"`, `"Ann\u0085Lee"`, `"Ann\u009fLee"`,
		repeated("a", 256), repeated("é", 256), repeated("😀", 256), repeated("a", 15_000), repeated(`e\u0301`, 300))
	refuse("email", badAddresses()...)
	refuse("password", `"correct"`, `"1234567"`, `"😀😀😀😀😀😀😀"`, `"correct\u0000horse"`, `"\u0000correct horse"`, `"correct horse\u0000"`,
		repeated("a", 1025), repeated("😀", 257), repeated("a", 15_000))
	for _, x := range base {
		out = append(out, badShapes(base, x.name, badBody{status: 422, code: badField, field: x.name})...)
	}
	return append(out, badWholes(base, badBody{status: 422, code: badField, field: "*"})...)
}

func badLogins() []badBody {
	base := members{{"email", `"eve@example.com"`}, {"password", `"correct horse"`}}
	var out []badBody
	refuse := func(field string, status int, code string, values ...string) {
		for _, v := range values {
			named := field
			if status != 422 {
				named = ""
			}
			out = append(out, badBody{fmt.Sprintf("%s: %.60s", field, v), base.with(field, v).String(), status, code, named})
		}
	}
	refuse("email", 422, badField, badAddresses()...)
	refuse("email", 401, badLogin, `"nobody@example.com"`, `"eve@example.org"`, `"%@example.com"`, `"ev_@example.com"`, `"'or'1'='1@example.com"`, `"eve'#@example.com"`)
	refuse("password", 422, badField, `"correct\u0000horse"`, `"correct horse\u0000correct horse"`, repeated("a", 1025), repeated("a", 15_000))
	refuse("password", 401, badLogin, `"x"`, `"Correct horse"`, `" correct horse"`, `"correct horse "`, `"correct\u00a0horse"`, `"correct horse\u0007"`,
		`"correct horse\n"`, `"correct\u200b horse"`, `"ｃorrect horse"`, `"' OR '1'='1"`, repeated("a", 1024))
	for _, x := range base {
		out = append(out, badShapes(base, x.name, badBody{status: 422, code: badField, field: x.name})...)
	}
	return append(out, badWholes(base, badBody{status: 422, code: badField, field: "*"})...)
}

func badRefreshes(good string) []badBody {
	base := members{{"refresh_token", `"` + good + `"`}}
	var out []badBody
	for _, v := range []string{
		`" "`, `"x"`, `"\u0000"`, `"` + good + `\u0000"`, `"` + good + `\r\n"`, `" ` + good + `"`, `"Bearer ` + good + `"`, `"` + good + ` "`, `"` + good + `="`,
		`"` + strings.Replace(good, ".", "．", 1) + `"`, `"` + strings.Replace(good, ".", "\u2024", 1) + `"`,
		repeated(".", 15_000), repeated("a", 15_000), repeated("a.b.c", 3000), `"null"`, `"{}"`,
	} {
		out = append(out, badBody{fmt.Sprintf("refresh_token: %.60s", v), base.with("refresh_token", v).String(), 401, badToken, ""})
	}
	out = append(out, badShapes(base, "refresh_token", badBody{status: 401, code: noToken})...)
	return append(out, badWholes(base, badBody{status: 401, code: noToken})...)
}
