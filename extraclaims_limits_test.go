package auth_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// unencodable is what encoding/json refuses.
type unencodable struct{}

func (unencodable) MarshalJSON() ([]byte, error) { return nil, errors.New("no JSON of me") }

// nested is an object with objects in it, n deep in all.
func nested(n int) json.RawMessage {
	return json.RawMessage(strings.Repeat(`{"x":`, n-1) + "{}" + strings.Repeat("}", n-1))
}

// sized is an object of n bytes.
func sized(n int) any { return map[string]string{"x": strings.Repeat("x", n-len(`{"x":""}`))} }

func TestExtraClaimsLimits(t *testing.T) {
	raw := func(s string) any { return json.RawMessage(s) }
	type self struct {
		Self *self `json:"self"`
	}
	loop := &self{}
	loop.Self = loop
	for name, c := range map[string]struct {
		claims any
		want   string // what the error says; "": there is none
	}{
		"nil":                     {nil, ""},
		"typed nil":               {(*role)(nil), ""},
		"nil map":                 {map[string]string(nil), ""},
		"nil RawMessage":          {json.RawMessage(nil), ""},
		"null":                    {raw("null"), ""},
		"empty":                   {struct{}{}, ""},
		"empty map":               {map[string]any{}, ""},
		"empty, with space":       {raw(" { } "), ""},
		"a struct":                {role{"admin"}, ""},
		"a pointer":               {&role{"admin"}, ""},
		"of any name else":        {raw(`{"":1,"role":"admin","gen":1,"max":1,"email":"a","scope":"a b","client_id":"c","é":[{"iss":"inside","iss2":1}]}`), ""},
		"HTML":                    {role{"<script>&</script>"}, ""},
		"white space":             {raw("{\n\t\"role\" : \"admin\" }\n"), ""},
		"4,096 bytes":             {sized(4096), ""},
		"4,097 bytes":             {sized(4097), "4097 bytes, more than 4096"},
		"1 MiB":                   {sized(1 << 20), "more than 4096"},
		"escapes count":           {role{strings.Repeat("<", 700)}, "more than 4096"},
		"32 deep":                 {nested(32), ""},
		"33 deep":                 {nested(33), "nested too deep"},
		"33 deep, arrays":         {raw(`{"x":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + "}"), "nested too deep"},
		"an array":                {[]string{"admin"}, "no JSON object"},
		"nil slice in a struct":   {struct{ X []string }{}, ""},
		"a text":                  {"admin", "no JSON object"},
		"a number":                {42, "no JSON object"},
		"true":                    {true, "no JSON object"},
		"bytes":                   {[]byte("{}"), "no JSON object"},
		"twice":                   {raw(`{"role":"a","role":"b"}`), "duplicate"},
		"twice inside":            {raw(`{"x":{"role":"a","role":"b"}}`), "duplicate"},
		"twice, escaped":          {raw(`{"role":"a","r\u006fle":"b"}`), "duplicate"},
		"half a surrogate":        {raw(`{"role":"\ud800"}`), "invalid syntax"},
		"invalid UTF-8":           {raw("{\"role\":\"\xff\"}"), "UTF-8"},
		"invalid UTF-8, a string": {role{"\xff"}, ""}, // U+FFFD
		"two objects":             {raw(`{}{}`), "json: "},
		"no JSON":                 {raw(`{`), "json: "},
		"closing and opening":     {raw(`},"sub":"2",{`), "json: "},
		"a channel":               {make(chan int), "json: "},
		"a function":              {map[string]any{"f": func() {}}, "json: "},
		"infinity":                {map[string]float64{"x": math.Inf(1)}, "json: "},
		"an error of its own":     {unencodable{}, "no JSON of me"},
		"a loop":                  {loop, "json: "},
	} {
		t.Run(name, func(t *testing.T) { assertClaims(t, c.claims, c.want) })
	}
	for _, name := range []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "auth_time"} {
		for _, value := range []string{`"1"`, "1", "null", "{}"} {
			assertClaims(t, raw(`{"role":"admin","`+name+`":`+value+`}`), fmt.Sprintf("the claim %q is not the host's to set", name))
		}
		assertClaims(t, raw(`{`+escapedName(name)+`:1}`), "is not the host's to set")
		for _, variant := range caseVariants(name) {
			assertClaims(t, raw(`{`+variant+`:1}`), "differs from a known one only in case")
		}
	}
}

// assertClaims checks whether the claims are taken, and that ours stand beside them.
func assertClaims(t *testing.T, claims any, want string) {
	t.Helper()
	w := onMemory(t)
	id := w.signUp(t, ann)
	hook := &claimsHook{claims: claims}
	a, script := w.scripted(t, hook.on)
	tokens, err := a.StartSession(t.Context(), id, auth.Client{})
	if want != "" {
		require.ErrorIs(t, err, auth.ErrUnavailable, "%.60v", claims)
		require.ErrorContains(t, err, "Config.ExtraClaims: ")
		require.ErrorContains(t, err, want)
		assert.NotContains(t, script.calls(), createSession)
		return
	}
	require.NoError(t, err)
	said, err := w.Verify(tokens.AccessToken)
	require.NoError(t, err)
	assert.Equal(t, id, said.UserID)
	encoded, err := json.Marshal(claims)
	require.NoError(t, err)
	members := payloadOf(t, tokens.AccessToken)
	for _, name := range []string{"iss", "aud", "sub", "iat", "exp", "jti", "sid", "auth_time"} {
		assert.Contains(t, members, name)
		delete(members, name)
	}
	rest, err := json.Marshal(members)
	require.NoError(t, err)
	if string(encoded) == "null" {
		encoded = []byte("{}")
	}
	assert.JSONEq(t, string(encoded), string(rest))
	refreshed, err := a.Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
	require.NoError(t, err)
	_, err = a.Refresh(t.Context(), refreshed.RefreshToken, auth.Client{})
	require.NoError(t, err)
}

func TestClaimsDecode(t *testing.T) {
	hook := &claimsHook{claims: json.RawMessage(`{"role":"admin","tenants":[1,9007199254740993],"nested":{"a":"é\u0000<"}}`)}
	w := onMemory(t, hook.on)
	id := w.signUp(t, ann)
	tokens := w.logIn(t, ann)
	claims, err := w.Verify(tokens.AccessToken)
	require.NoError(t, err)

	var own struct {
		Role    string            `json:"role"`
		Tenants []int64           `json:"tenants"`
		Nested  map[string]string `json:"nested"`
		Missing string            `json:"missing"`
	}
	own.Missing = "as it was"
	require.NoError(t, claims.Decode(&own))
	assert.Equal(t, "admin", own.Role)
	assert.Equal(t, []int64{1, 9007199254740993}, own.Tenants)
	assert.Equal(t, map[string]string{"a": "é\u0000<"}, own.Nested)
	assert.Equal(t, "as it was", own.Missing)

	var all map[string]any
	require.NoError(t, claims.Decode(&all))
	assert.Equal(t, "admin", all["role"])
	assert.Equal(t, string(id), all["sub"])
	assert.Equal(t, claims.ID, all["jti"])

	var bad *json.UnmarshalTypeError
	err = claims.Decode(&struct {
		Role int `json:"role"`
	}{})
	require.ErrorAs(t, err, &bad)
	require.ErrorContains(t, err, "auth: decode claims: ")
	var invalid *json.InvalidUnmarshalError
	for _, into := range []any{nil, role{}, (*role)(nil)} {
		require.ErrorAs(t, claims.Decode(into), &invalid)
	}

	// Two verifications are equal, and so are copies; each can be decoded any time.
	again, err := w.Verify(tokens.AccessToken)
	require.NoError(t, err)
	assert.True(t, claims == again) //nolint:testifylint // whether they can be compared at all
	hook.claims = role{"reader"}
	assert.Equal(t, "admin", w.roleOf(t, tokens.AccessToken))

	// Behind a guard the claims of the request's token are read.
	h := w.Require(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set(fromHost, "yes")
		claims, _ := auth.FromContext(r.Context())
		var mine role
		assert.NoError(t, claims.Decode(&mine))
		_, _ = rw.Write([]byte(mine.Role))
	}))
	got := direct(t, h, newRequest(t, http.MethodGet, "/", "", "Authorization", "Bearer "+tokens.AccessToken))
	assert.Equal(t, "admin", got.body)
}

// Claims that are from no token have none of the host's, and are no error.
func TestClaimsDecodeWithoutAToken(t *testing.T) {
	for _, claims := range []auth.Claims{{}, {UserID: "1", SessionID: auth.SessionID{1}, ID: "x"}} {
		r := role{"as it was"}
		require.NoError(t, claims.Decode(&r))
		assert.Equal(t, role{"as it was"}, r)
		var all map[string]any
		require.NoError(t, claims.Decode(&all))
		assert.Nil(t, all)
	}
	w := onMemory(t)
	w.signUp(t, ann)
	claims, err := w.Verify(w.logIn(t, ann).AccessToken)
	require.NoError(t, err)
	r := role{"as it was"}
	require.NoError(t, claims.Decode(&r))
	assert.Equal(t, role{"as it was"}, r, "a token without claims of the host's")
}
