package auth_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

const jsonType = "application/json"

// site is a handler behind a real server, as a client sees it.
type site struct {
	url string
}

// serve serves h until the test ends.
func serve(t *testing.T, h http.Handler) site {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return site{s.URL}
}

// reply is a response, read whole.
type reply struct {
	status int
	header http.Header
	body   string
}

// do sends a request, with the body as JSON unless that is empty, and checks what every
// response of ours must be. headers are names and values in turn; they come last.
func (s site) do(t *testing.T, method, path, body string, headers ...string) reply {
	t.Helper()
	return s.send(t, newRequest(t, method, s.url+path, body, headers...))
}

func (s site) send(t *testing.T, r *http.Request) reply {
	t.Helper()
	res, err := http.DefaultTransport.RoundTrip(r) // a client would follow redirects
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	got := reply{res.StatusCode, res.Header, string(data)}
	got.check(t, r.Method)
	return got
}

// direct is do without a server and a client between, which refuse some requests
// themselves.
func direct(t *testing.T, h http.Handler, r *http.Request) reply {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	got := reply{rec.Code, rec.Header(), rec.Body.String()}
	got.check(t, "")
	return got
}

func newRequest(t *testing.T, method, url, body string, headers ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	r.RemoteAddr = "192.0.2.1:1234"
	if body != "" {
		r.Header.Set("Content-Type", jsonType)
	}
	require.Zero(t, len(headers)%2)
	for i := 0; i < len(headers); i += 2 {
		r.Header[headers[i]] = []string{headers[i+1]}
	}
	return r
}

// fromHost marks the responses of a test's own handlers.
const fromHost = "X-From-Host"

// sqlWords are what a database, its driver or its schema would say.
var sqlWords = regexp.MustCompile(`(?i)sql|mariadb|\bselect\b|\binsert\b|\bupdate\b|\bdelete\b|\btable\b|column|duplicate entry|driver|database|refresh_tokens|goroutine|panic`)

// check is what holds of every response of ours.
func (r reply) check(t *testing.T, method string) {
	t.Helper()
	if r.header.Get(fromHost) != "" {
		return
	}
	assert.Equal(t, "nosniff", r.header.Get("X-Content-Type-Options"))
	if r.header.Get("ETag") != "" { // the key set alone has one, and is no message of ours
		assert.Contains(t, []int{http.StatusOK, http.StatusNotModified}, r.status)
		assert.Equal(t, "public, max-age=300", r.header.Get("Cache-Control"))
		return
	}
	assert.Equal(t, "application/json; charset=utf-8", r.header.Get("Content-Type"))
	assert.Equal(t, "no-store", r.header.Get("Cache-Control"))
	assert.Equal(t, r.status == http.StatusUnauthorized, strings.HasPrefix(r.header.Get("WWW-Authenticate"), "Bearer"), "WWW-Authenticate")
	assert.Equal(t, r.status == http.StatusMethodNotAllowed, r.header.Get("Allow") != "", "Allow")
	waits := r.status == http.StatusTooManyRequests || r.status == http.StatusServiceUnavailable
	assert.Equal(t, waits, r.header.Get("Retry-After") != "", "Retry-After")
	if method == http.MethodHead {
		assert.Empty(t, r.body)
		return
	}
	var body struct {
		Status int `json:"status"`
	}
	if assert.NoError(t, json.Unmarshal([]byte(r.body), &body), r.body) {
		assert.Equal(t, r.status, body.Status, "the body's status")
	}
	if r.status >= http.StatusBadRequest {
		assert.NotRegexp(t, sqlWords, r.body)
	}
}

// message is the body of an error; a body that is not one has empty fields.
type message struct {
	Code    string            `json:"code"`
	Message string            `json:"message"`
	Errors  map[string]string `json:"errors"`
}

func (r reply) message(t *testing.T) message {
	t.Helper()
	return decodeJSON[message](t, r.body)
}

// tokens are those in the body of a login or a refresh.
func (r reply) tokens(t *testing.T) auth.Tokens {
	t.Helper()
	require.Equal(t, http.StatusOK, r.status, r.body)
	body := decodeJSON[struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}](t, r.body)
	require.NotEmpty(t, body.Access)
	require.NotEmpty(t, body.Refresh)
	return auth.Tokens{AccessToken: body.Access, RefreshToken: body.Refresh}
}

func decodeJSON[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal([]byte(text), &v), text)
	return v
}

// object is a JSON object of text members: names and values in turn.
func object(t *testing.T, members ...string) string {
	t.Helper()
	require.Zero(t, len(members)%2)
	m := map[string]string{}
	for i := 0; i < len(members); i += 2 {
		m[members[i]] = members[i+1]
	}
	text, err := json.Marshal(m)
	require.NoError(t, err)
	return string(text)
}
