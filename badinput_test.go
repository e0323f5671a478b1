package auth_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// rows is how many users and sessions are stored, none where the store cannot count.
func (w *world) rows(t *testing.T) (users, sessions int) {
	t.Helper()
	if w.db == nil {
		return 0, 0
	}
	const count = "SELECT (SELECT COUNT(*) FROM users), (SELECT COUNT(*) FROM refresh_tokens)"
	require.NoError(t, w.db.QueryRowContext(t.Context(), count).Scan(&users, &sessions))
	return users, sessions
}

// nothingStored has do run, and fails if a store was asked to write anything meanwhile.
func nothingStored(t *testing.T, w *world, s *script, do func()) {
	t.Helper()
	users, sessions := w.rows(t)
	s.reset()
	do()
	for _, name := range s.calls() {
		assert.Contains(t, []string{userByEmail, userByID, sessionByID, readSession}, name, "a write")
	}
	usersAfter, sessionsAfter := w.rows(t)
	assert.Equal(t, users, usersAfter, "users")
	assert.Equal(t, sessions, sessionsAfter, "sessions")
}

// ASVS: 2.2.1, 2.2.2, 4.1.1, 14.3.2, 15.3.5, 15.3.7.
func TestBadBodies(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, "eve@example.com")
		tokens := w.logIn(t, "eve@example.com")
		a, script := w.scripted(t, noLimits)
		s := serve(t, a.Handler(""))
		for path, bodies := range map[string][]badBody{
			"/signup": badSignups(), "/login": badLogins(), "/refresh": badRefreshes(tokens.RefreshToken),
		} {
			for _, test := range bodies {
				t.Run(path[1:]+"/"+test.name, func(t *testing.T) {
					nothingStored(t, w, script, func() { test.assert(t, s.do(t, http.MethodPost, path, test.body, "Content-Type", jsonType)) })
				})
			}
		}
		// What was spoiled above is right by itself.
		assert.Equal(t, http.StatusCreated, s.do(t, http.MethodPost, "/signup", signupBody(t, "ann@example.com")).status)
		s.do(t, http.MethodPost, "/login", loginBody(t, "eve@example.com")).tokens(t)
		s.do(t, http.MethodPost, "/refresh", object(t, "refresh_token", tokens.RefreshToken)).tokens(t)
	})
}

// Bodies that are refused for their form cost nothing; of those that are somebody's guess,
// whatever is guessed, the sixth is refused as one too many, the right one too.
//
// Advisory: authboss 2.4.1, CVE-2024-32868.
func TestBadLoginsAreLimited(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, "eve@example.com")
		a, script := w.scripted(t)
		s := serve(t, a.Handler(""))
		const guesses = 5
		guessed := 0
		for _, test := range badLogins() {
			if test.status != http.StatusUnauthorized {
				test.assert(t, s.do(t, http.MethodPost, "/login", test.body))
			}
		}
		for _, test := range badLogins() {
			if test.status != http.StatusUnauthorized || !strings.Contains(test.body, "eve@example.com") {
				continue
			}
			if guessed++; guessed > guesses {
				test.status, test.code = http.StatusTooManyRequests, "rate_limited"
				script.reset()
			}
			test.assert(t, s.do(t, http.MethodPost, "/login", test.body))
		}
		assert.Greater(t, guessed, guesses)
		assert.Equal(t, http.StatusTooManyRequests, s.do(t, http.MethodPost, "/login", loginBody(t, "eve@example.com")).status)
		assert.Empty(t, script.calls(), "the user is not looked at")
	})
}

func (b badBody) assert(t *testing.T, got reply) {
	t.Helper()
	assert.Equal(t, b.status, got.status, got.body)
	m := got.message(t)
	assert.Equal(t, b.code, m.Code)
	switch b.field {
	case "":
		assert.NotEmpty(t, m.Message)
		assert.Empty(t, m.Errors)
	case "*":
		assert.Greater(t, len(m.Errors), 1)
	default:
		assert.Len(t, m.Errors, 1)
		assert.NotEmpty(t, m.Errors[b.field])
	}
}

// The limits are where they are said to be.
func TestBodiesAtTheirLimits(t *testing.T) {
	w := onMemory(t)
	s := serve(t, w.Handler(""))
	for i, test := range []struct{ name, body string }{
		{"16 KiB", `"x":1`}, // is filled up below
		{"32 deep", `"x":` + strings.Repeat("[", 31) + strings.Repeat("]", 31)},
		{"other members", `"x":null,"y":[1,"é",{"z":true}],"":0,"names":["Ann"],"pass_word":"x"`},
		{"white space", " \t\r\n\"x\" : 1 \t\r\n"},
	} {
		address := fmt.Sprintf("user%d@example.com", i)
		body := strings.TrimSuffix(signupBody(t, address), "}") + "," + test.body + "}"
		if i == 0 {
			body += strings.Repeat(" ", maxBody-len(body))
		}
		assert.Equal(t, http.StatusCreated, s.do(t, http.MethodPost, "/signup", body).status, test.name)
	}
	for _, name := range []string{repeated("a", 3), repeated("a", 255), repeated("😀", 255), repeated(`e\u0301`, 255)} {
		got := s.do(t, http.MethodPost, "/signup", `{"password":"short","email":"x@example.com","name":`+name+"}")
		assert.Len(t, got.message(t).Errors, 1, "the name %s is fine: %s", name, got.body)
	}
	for i, pass := range []string{
		repeated("a", 8), repeated("😀", 8), repeated("a", 1024), repeated("😀", 256), repeated(" ", 8), `"\u0001\u0002\n\r\t\u007f\u0085\u200b"`,
	} {
		got := s.do(t, http.MethodPost, "/signup", fmt.Sprintf(`{"name":"Ann Lee","email":"pass%d@example.com","password":%s}`, i, pass))
		assert.Equal(t, http.StatusCreated, got.status, "%s: %s", pass, got.body)
	}
}

// A body that does not say its length is cut off all the same.
//
// ASVS: 15.2.2.
func TestBodiesOfUnknownLength(t *testing.T) {
	w := onMemory(t)
	a, script := w.scripted(t)
	s := serve(t, a.Handler(""))
	for _, size := range []int{maxBody + 1, 1_000_000, tenMillion} {
		nothingStored(t, w, script, func() {
			r := newRequest(t, http.MethodPost, s.url+"/signup", "{}")
			good := signupBody(t, "ann@example.com")
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader(good), strings.NewReader(strings.Repeat(" ", size-len(good)))))
			r.ContentLength = -1
			got := s.send(t, r)
			assert.Equal(t, http.StatusRequestEntityTooLarge, got.status)
			assert.Equal(t, tooLarge, got.message(t).Code)
		})
	}
	r := newRequest(t, http.MethodPost, "/signup", "{}")
	r.Body = io.NopCloser(&brokenReader{})
	r.ContentLength = -1
	got := direct(t, a.Handler(""), r)
	assert.Equal(t, http.StatusBadRequest, got.status)
	assert.Equal(t, message{Code: "invalid_body", Message: "The body could not be read"}, got.message(t))
}

// brokenReader is the body of a client that hangs up.
type brokenReader struct{ read bool }

func (b *brokenReader) Read(p []byte) (int, error) {
	if b.read {
		return 0, io.ErrUnexpectedEOF
	}
	b.read = true
	return copy(p, `{"name":`), nil
}

// What is refused by its head is not read.
func TestBodiesThatAreNotRead(t *testing.T) {
	w := onMemory(t)
	for _, test := range []struct {
		method, path string
		length       int64
		status       int
	}{
		{http.MethodPost, "/signup", maxBody + 1, http.StatusRequestEntityTooLarge},
		{http.MethodPut, "/signup", -1, http.StatusMethodNotAllowed},
		{http.MethodPost, "/nothing-here", -1, http.StatusNotFound},
	} {
		r := newRequest(t, test.method, test.path, "{}")
		body := &brokenReader{}
		r.Body, r.ContentLength = io.NopCloser(body), test.length
		assert.Equal(t, test.status, direct(t, w.Handler(""), r).status)
		assert.False(t, body.read, test.path)
	}
}

// ASVS: 3.5.2.
func TestContentTypes(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, "eve@example.com")
	a, script := w.scripted(t)
	s := serve(t, a.Handler(""))
	for path, body := range map[string]string{
		"/signup": signupBody(t, "ann@example.com"), "/login": loginBody(t, "eve@example.com"),
		"/refresh": object(t, "refresh_token", w.logIn(t, "eve@example.com").RefreshToken),
	} {
		send := func(t *testing.T, contentTypes ...string) reply {
			t.Helper()
			r := newRequest(t, http.MethodPost, s.url+path, body)
			r.Header["Content-Type"] = contentTypes
			return s.send(t, r)
		}
		for _, types := range [][]string{
			nil,
			{""},
			{"text/plain"},
			{"text/plain; charset=utf-8"},
			{"text/plain; application/json"},
			{"text/json"},
			{"text/html"},
			{"application/x-www-form-urlencoded"},
			{"multipart/form-data; boundary=x"},
			{"application/xml"},
			{"application/octet-stream"},
			{"application/jsonp"},
			{"application/json5"},
			{"application/problem+json"},
			{"application/vnd.api+json"},
			{"application/jwt"},
			{"application/json, text/plain"},
			{"application/json x"},
			{"application /json"},
			{"json"},
			{"*/*"},
			{"application/*"},
			{"application/json; charset=utf-16"},
			{"application/json; charset=iso-8859-1"},
			{`application/json; charset=""`},
			{"application/json; charset"},
			{"application/json; charset=utf-8; charset=utf-16"},
			{jsonType, jsonType},
			{jsonType, "text/plain"},
			{"text/plain", jsonType},
		} {
			nothingStored(t, w, script, func() {
				got := send(t, types...)
				assert.Equal(t, http.StatusUnsupportedMediaType, got.status, "%s %q: %s", path, types, got.body)
				assert.Equal(t, badType, got.message(t).Code)
			})
		}
		for _, contentType := range []string{
			"application/json; charset=utf-8", "application/json;charset=UTF-8", `application/json; charset="utf-8"`, "Application/JSON",
			" application/json ", "application/json;", "application/json; foo=bar",
		} {
			got := send(t, contentType)
			assert.NotEqual(t, http.StatusUnsupportedMediaType, got.status, "%s %q: %s", path, contentType, got.body)
			assert.NotEqual(t, http.StatusBadRequest, got.status, "%s %q: %s", path, contentType, got.body)
		}
	}
}

// No content coding is undone: a bomb stays small.
func TestCompressedBodies(t *testing.T) {
	w := onMemory(t)
	a, script := w.scripted(t)
	s := serve(t, a.Handler(""))
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := z.Write([]byte(signupBody(t, "ann@example.com")))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	for _, coding := range []string{"gzip", "deflate", "br", "identity"} {
		nothingStored(t, w, script, func() {
			got := s.do(t, http.MethodPost, "/signup", packed.String(), "Content-Encoding", coding)
			assert.Equal(t, http.StatusBadRequest, got.status)
			assert.Equal(t, badJSON, got.message(t).Code)
		})
	}
}

// No header makes another method of a method.
//
// ASVS: 4.1.4.
func TestBadMethods(t *testing.T) {
	w := onMemory(t)
	a, script := w.scripted(t)
	s := serve(t, a.Handler(""))
	for _, path := range []string{"/signup", "/login", "/profile", "/refresh"} {
		for _, method := range []string{"PUT", "PATCH", "DELETE", "OPTIONS", "LOCK"} {
			nothingStored(t, w, script, func() {
				got := s.do(t, method, path, signupBody(t, "ann@example.com"), "X-Http-Method-Override", "POST")
				assert.Equal(t, http.StatusMethodNotAllowed, got.status)
			})
		}
	}
}

// What a body cannot hold, a direct call can: the checks are the same.
//
// ASVS: 2.2.2.
func TestBadInputByDirectCalls(t *testing.T) {
	for _, tutorial := range []bool{false, true} {
		w := onMemory(t, func(c *auth.Config) { c.InsecureTutorialMode = tutorial })
		w.signUp(t, "eve@example.com")
		a, script := w.scripted(t, func(c *auth.Config) { c.InsecureTutorialMode = tutorial })
		for _, bad := range []string{"correct \xff horse", "correct horse\xc0\xaf", "\xed\xa0\x80 correct horse", "correct\x00horse", strings.Repeat("a", tenMillion), ""} {
			for field, in := range map[string]auth.SignupInput{
				"name":     {Name: bad, Email: "ann@example.com", Password: password},
				"email":    {Name: "Ann Lee", Email: bad + "@example.com", Password: password},
				"password": {Name: "Ann Lee", Email: "ann@example.com", Password: bad},
			} {
				nothingStored(t, w, script, func() {
					user, err := a.Signup(t.Context(), in)
					assertInvalid(t, err, field)
					assert.Zero(t, user)
				})
			}
			for field, in := range map[string]auth.LoginInput{
				"email": {Email: bad + "@example.com", Password: password}, "password": {Email: "eve@example.com", Password: bad},
			} {
				nothingStored(t, w, script, func() {
					tokens, err := a.Login(t.Context(), in)
					assertInvalid(t, err, field)
					assert.Zero(t, tokens)
				})
			}
			for _, id := range []auth.UserID{auth.UserID(bad), "1 ", "01", "1\xff"} {
				nothingStored(t, w, script, func() {
					_, err := a.Profile(t.Context(), id)
					require.ErrorIs(t, err, auth.ErrUserNotFound)
					_, err = a.StartSession(t.Context(), id, auth.Client{})
					require.ErrorIs(t, err, auth.ErrUserNotFound)
				})
			}
		}
	}
}

func assertInvalid(t *testing.T, err error, field string) {
	t.Helper()
	var invalid *auth.ValidationError
	require.ErrorAs(t, err, &invalid)
	assert.Len(t, invalid.Fields, 1)
	assert.NotEmpty(t, invalid.Fields[field])
}
