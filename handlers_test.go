package auth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

func signupBody(t *testing.T, address string) string {
	t.Helper()
	return object(t, "name", "Ann Lee", "email", address, "password", password)
}

func loginBody(t *testing.T, address string) string {
	t.Helper()
	return object(t, "email", address, "password", password)
}

// ASVS: 4.1.1, 4.1.2.
func TestHandlerServesEveryRouteUnderItsPrefix(t *testing.T) {
	for _, test := range []struct{ prefix, at string }{
		{"", ""}, {"/", ""}, {"/api", "/api"}, {"/api/", "/api"}, {"api", "/api"}, {"/a/b", "/a/b"},
	} {
		t.Run(test.prefix, func(t *testing.T) {
			w := onMemory(t)
			s := serve(t, w.Handler(test.prefix))
			exercise(t, s, test.at)
			for _, path := range []string{
				"/", test.at + "/", "/api", "/login/", test.at + "/login/", "//login", test.at + "//login",
				test.at + "/LOGIN", test.at + "/login/x", test.at + "/logi", "/other" + test.at + "/login",
				test.at + "/logout/", test.at + "/logout/none", "/%00", test.at + "/login%20",
			} {
				got := s.do(t, http.MethodPost, path, loginBody(t, "ann@example.com"))
				assert.Equal(t, http.StatusNotFound, got.status, path)
				assert.Equal(t, message{Code: "not_found", Message: "Not Found"}, got.message(t))
			}
			if test.at != "" {
				assert.Equal(t, http.StatusNotFound, s.do(t, http.MethodPost, "/login", loginBody(t, "ann@example.com")).status)
			}
		})
	}
}

// exercise signs Ann up and uses every route under the prefix at.
func exercise(t *testing.T, s site, at string) {
	t.Helper()
	got := s.do(t, http.MethodPost, at+"/signup", signupBody(t, "ann@example.com"))
	require.Equal(t, http.StatusCreated, got.status, got.body)
	tokens := s.do(t, http.MethodPost, at+"/login", loginBody(t, "ann@example.com")).tokens(t)
	got = s.do(t, http.MethodGet, at+"/profile", "", "Authorization", "Bearer "+tokens.AccessToken)
	assert.Equal(t, http.StatusOK, got.status)
	assert.Contains(t, got.body, `"email":"ann@example.com"`)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		tokens = s.do(t, method, at+"/refresh", "", "Authorization", "Bearer "+tokens.RefreshToken).tokens(t)
	}
	s.do(t, http.MethodPost, at+"/refresh", object(t, "refresh_token", tokens.RefreshToken)).tokens(t)
}

// Handlers take the whole path, so that the mux of the standard library, as others, needs
// no StripPrefix.
func TestHandlerInServeMux(t *testing.T) {
	w := onMemory(t)
	mux := http.NewServeMux()
	mux.Handle("/api/", w.Handler("/api"))
	s := serve(t, mux)
	exercise(t, s, "/api")
	assert.Equal(t, http.StatusNotFound, s.do(t, http.MethodGet, "/api/other", "").status)
	assert.Equal(t, http.StatusNotFound, s.do(t, http.MethodGet, "/api/", "").status)
	got := s.do(t, http.MethodDelete, "/api/refresh", "")
	assert.Equal(t, http.StatusMethodNotAllowed, got.status)
	assert.Equal(t, "GET, POST", got.header.Get("Allow"))
}

func TestRoutesMountOneByOne(t *testing.T) {
	w := onMemory(t)
	mux := http.NewServeMux()
	var got []string
	for _, route := range w.Routes("/api") {
		mux.Handle(route.Method+" "+route.Path, route.Handler)
		got = append(got, route.Method+" "+route.Path)
	}
	assert.Equal(t, []string{
		"POST /api/signup", "POST /api/login", "GET /api/profile", "POST /api/refresh", "GET /api/refresh", "GET /api/jwks.json",
		"POST /api/logout", "POST /api/logout/all", "GET /api/sessions", "DELETE /api/sessions/{id}", "POST /api/reauth",
	}, got)
	s := serve(t, mux)
	exercise(t, s, "/api")

	tokens := w.logIn(t, "ann@example.com")
	before := w.state(t, tokens.SessionID)
	for _, path := range []string{"/api/refresh", "/api/profile"} {
		for _, token := range []string{tokens.RefreshToken, tokens.AccessToken} {
			head := s.do(t, http.MethodHead, path, "", "Authorization", "Bearer "+token)
			assert.Equal(t, http.StatusMethodNotAllowed, head.status, "ServeMux takes HEAD for GET")
			assert.Equal(t, "GET", head.header.Get("Allow"))
		}
	}
	assert.Equal(t, before, w.state(t, tokens.SessionID), "a HEAD refreshes nothing")
}

// A route's handler keeps to its method, wherever a host mounts it.
//
// ASVS: 7.6.2.
func TestRoutesKeepToTheirMethod(t *testing.T) {
	w := onMemory(t)
	for _, route := range w.Routes("") {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "get", "BREW", ""} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, route.Path, nil)
			r.Method = method
			got := direct(t, route.Handler, r)
			if method == route.Method {
				assert.NotEqual(t, http.StatusMethodNotAllowed, got.status, "%s %s", method, route.Path)
				continue
			}
			assert.Equal(t, http.StatusMethodNotAllowed, got.status, "%s %s", method, route.Path)
			assert.Equal(t, route.Method, got.header.Get("Allow"))
			assert.Equal(t, message{Code: "method_not_allowed", Message: "Method Not Allowed"}, got.message(t))
		}
	}
}

// ASVS: 3.2.1, 3.5.3, 4.1.4.
func TestOtherMethodsAreNotAllowed(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, "ann@example.com")
	tokens := w.logIn(t, "ann@example.com")
	before := w.state(t, tokens.SessionID)
	s := serve(t, w.Handler(""))
	for path, allow := range map[string]string{
		"/signup": "POST", "/login": "POST", "/profile": "GET", "/refresh": "GET, POST", "/logout": "POST", "/logout/all": "POST",
		"/sessions": "GET", "/sessions/" + tokens.SessionID.String(): "DELETE", "/reauth": "POST", "/jwks.json": "GET",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} {
			if strings.Contains(", "+allow+",", ", "+method+",") {
				continue
			}
			got := s.do(t, method, path, "", "Authorization", "Bearer "+tokens.RefreshToken)
			assert.Equal(t, http.StatusMethodNotAllowed, got.status, "%s %s", method, path)
			assert.Equal(t, allow, got.header.Get("Allow"), "%s %s", method, path)
		}
	}
	assert.Equal(t, before, w.state(t, tokens.SessionID))
}

// The token comes in the Authorization header or, by POST and without the header, in
// the body; in a URL never (RFC 6750, sections 2.2 and 2.3).
//
// ASVS: 14.2.1.
func TestRefreshTakesItsToken(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, "ann@example.com")
	s := serve(t, w.Handler(""))
	good := w.logIn(t, "ann@example.com").RefreshToken
	inBody := object(t, "refresh_token", good)
	for name, test := range map[string]struct {
		method, path, body string
		headers            []string
		status             int
		code               string
	}{
		"POST, bearer":                      {"POST", "/refresh", "", []string{"Authorization", "Bearer " + good}, 200, ""},
		"POST, bearer, no look at the body": {"POST", "/refresh", "no JSON", []string{"Authorization", "Bearer " + good, "Content-Type", "text/plain"}, 200, ""},
		"POST, body":                        {"POST", "/refresh", inBody, nil, 200, ""},
		"POST, a bad bearer counts":         {"POST", "/refresh", inBody, []string{"Authorization", "Bearer abc"}, 401, "invalid_token"},
		"POST, another scheme counts":       {"POST", "/refresh", inBody, []string{"Authorization", "Basic YTpi"}, 401, "invalid_token"},
		"POST, an empty header":             {"POST", "/refresh", inBody, []string{"Authorization", ""}, 200, ""},
		"POST, none":                        {"POST", "/refresh", "", nil, 401, "no_token"},
		"POST, query":                       {"POST", "/refresh?refresh_token=" + good, "{}", nil, 401, "no_token"},
		"POST, form":                        {"POST", "/refresh", "refresh_token=" + good, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"},
		"POST, cookie":                      {"POST", "/refresh", "", []string{"Cookie", "refresh_token=" + good}, 401, "no_token"},
		"POST, another name":                {"POST", "/refresh", object(t, "token", good), nil, 401, "no_token"},
		"GET, bearer":                       {"GET", "/refresh", "", []string{"Authorization", "Bearer " + good}, 200, ""},
		"GET, body":                         {"GET", "/refresh", inBody, nil, 401, "no_token"},
		"GET, query":                        {"GET", "/refresh?refresh_token=" + good + "&access_token=" + good, "", nil, 401, "no_token"},
		"GET, cookie":                       {"GET", "/refresh", "", []string{"Cookie", "refresh_token=" + good}, 401, "no_token"},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.do(t, test.method, test.path, test.body, test.headers...)
			assert.Equal(t, test.status, got.status, got.body)
			assert.Equal(t, test.code, got.message(t).Code)
			if test.status == http.StatusOK {
				got.tokens(t)
			}
		})
	}
}

// ASVS: 3.2.1, 3.4.4, 4.1.1, 14.2.2, 14.3.2.
func TestTokenResponses(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, "ann@example.com")
		s := serve(t, w.Handler(""))
		type body struct {
			Status       int    `json:"status"`
			AccessToken  string `json:"access_token"`
			RefreshToken string `json:"refresh_token"`
			TokenType    string `json:"token_type"`
			ExpiresIn    int    `json:"expires_in"`
		}
		got := s.do(t, http.MethodPost, "/login", loginBody(t, "ann@example.com"))
		login := decodeJSON[body](t, got.body)
		assert.Equal(t, "Bearer", login.TokenType)
		assert.Equal(t, 1200, login.ExpiresIn)
		got = s.do(t, http.MethodPost, "/refresh", "", "Authorization", "Bearer "+login.RefreshToken)
		refresh := decodeJSON[body](t, got.body)
		assert.Equal(t, "Bearer", refresh.TokenType)
		assert.Equal(t, 1200, refresh.ExpiresIn)
		assert.NotEqual(t, login.RefreshToken, refresh.RefreshToken)
		assert.NotEqual(t, login.AccessToken, refresh.AccessToken)
	})
}

// User IDs are numbers where the store says that they are, in bodies alone.
func TestUserIDsInBodies(t *testing.T) {
	for _, test := range []struct {
		integers bool
		want     any
	}{{true, float64(1)}, {false, "1"}} {
		w := onMemory(t)
		w.stores.IntegerIDs = test.integers
		w.Authenticator = w.another(t)
		s := serve(t, w.Handler(""))
		got := s.do(t, http.MethodPost, "/signup", signupBody(t, "ann@example.com"))
		assert.Equal(t, test.want, decodeJSON[map[string]any](t, got.body)["user_id"])
		tokens := w.logIn(t, "ann@example.com")
		got = s.do(t, http.MethodGet, "/profile", "", "Authorization", "Bearer "+tokens.AccessToken)
		assert.Equal(t, map[string]any{"id": test.want, "name": "Ann Lee", "email": "ann@example.com"},
			decodeJSON[map[string]any](t, got.body)["user"])
		assert.Equal(t, "1", payloadOf(t, tokens.AccessToken)["sub"])
	}
}

// A name is data: it comes back as it was typed, and whoever shows it escapes it. The
// tutorial's front end does not, so its mode escapes, once, when it answers.
func TestNamesComeBackAsTyped(t *testing.T) {
	names := map[string]string{ // in default mode equal, in tutorial mode this
		`O'Neil & <b>Sons</b>`:                      `O&#x27;Neil &amp; &lt;b&gt;Sons&lt;&#x2F;b&gt;`,
		`<script>alert("1")</script>`:               `&lt;script&gt;alert(&quot;1&quot;)&lt;&#x2F;script&gt;`,
		`&amp; &lt;`:                                `&amp;amp; &amp;lt;`,
		"a`b\\c/d":                                  `a&#96;b&#x5C;c&#x2F;d`,
		"Zoë 李小龙 😀👩‍👩‍👧":                            "Zoë 李小龙 😀👩‍👩‍👧",
		"Robert'); DROP TABLE users;--":             `Robert&#x27;); DROP TABLE users;--`,
		"%s \u2028 %d ${jndi:ldap://example.com/a}": "%s \u2028 %d ${jndi:ldap:&#x2F;&#x2F;example.com&#x2F;a}",
		strings.Repeat("\U0001F600", 255):           strings.Repeat("\U0001F600", 255),
	}
	for _, tutorial := range []bool{false, true} {
		everywhere(t, func(t *testing.T, w *world) {
			s := serve(t, w.Handler(""))
			i := 0
			for name, escaped := range names {
				i++
				address := fmt.Sprintf("user%d@example.com", i)
				got := s.do(t, http.MethodPost, "/signup", object(t, "name", name, "email", address, "password", password))
				require.Equal(t, http.StatusCreated, got.status, "%q: %s", name, got.body)
				tokens := w.logIn(t, address)
				got = s.do(t, http.MethodGet, "/profile", "", "Authorization", "Bearer "+tokens.AccessToken)
				want := name
				if tutorial {
					want = escaped
				}
				assert.Equal(t, want, decodeJSON[struct{ User struct{ Name string } }](t, got.body).User.Name)
				user, err := w.Profile(t.Context(), tokens.UserID)
				require.NoError(t, err)
				assert.Equal(t, name, user.Name, "a direct call never escapes")
			}
		}, func(c *auth.Config) { c.InsecureTutorialMode = tutorial })
	}
}

// What a body says beyond its fields binds to nothing (mass assignment).
//
// ASVS: 6.4.2, 15.3.3.
// Advisory: CVE-2025-61928.
func TestUnknownMembersBindToNothing(t *testing.T) {
	const more = `"id":4711,"user_id":"4711","ID":4711,"role":"admin","email_verified":true,"auth_version":99,` +
		`"created_at":"2000-01-01","status":"disabled","password_hash":"x","email_key":"eve@example.com",` +
		`"__proto__":{"role":"admin"},"constructor":{"prototype":{}},"nested":{"email":"eve@example.com"}}`
	everywhere(t, func(t *testing.T, w *world) {
		s := serve(t, w.Handler(""))
		body := func(text string) string { return strings.TrimSuffix(text, "}") + "," + more }
		got := s.do(t, http.MethodPost, "/signup", body(signupBody(t, "ann@example.com")))
		require.Equal(t, http.StatusCreated, got.status, got.body)
		assert.Equal(t, map[string]any{
			"status": 201.0, "message": "You have been successfully registered.", "user_id": 1.0,
		}, decodeJSON[map[string]any](t, got.body))

		user, err := w.stores.Users.UserByID(t.Context(), "1")
		require.NoError(t, err)
		assert.Equal(t, auth.User{ID: "1", Name: "Ann Lee", Email: "ann@example.com"}, user.User)
		assert.Equal(t, "ann@example.com", user.EmailKey)
		assert.EqualValues(t, 1, user.AuthVersion)
		assert.Less(t, time.Since(user.CreatedAt).Abs(), 365*24*time.Hour)

		got = s.do(t, http.MethodPost, "/login", body(loginBody(t, "ann@example.com")))
		tokens := got.tokens(t)
		assert.Equal(t, "1", payloadOf(t, tokens.AccessToken)["sub"])
		got = s.do(t, http.MethodPost, "/refresh", body(object(t, "refresh_token", tokens.RefreshToken)))
		assert.Equal(t, "1", payloadOf(t, got.tokens(t).AccessToken)["sub"])
	})
}

// The host's clients see the session's end as the tutorial's do, save that the status
// says so too.
func TestRefreshAfterTheSessionsEnd(t *testing.T) {
	for _, test := range []struct {
		tutorial bool
		want     message
	}{
		{false, message{Code: "session_ended", Message: "Unauthorized: Invalid Refresh Token."}},
		{true, message{Message: "Unauthorized: Invalid Refresh Token."}},
	} {
		w := onMemory(t, func(c *auth.Config) { c.InsecureTutorialMode = test.tutorial })
		w.signUp(t, "ann@example.com")
		s := serve(t, w.Handler(""))
		tokens := w.logIn(t, "ann@example.com")
		next := s.do(t, http.MethodGet, "/refresh", "", "Authorization", "Bearer "+tokens.RefreshToken).tokens(t)
		w.advance(61 * time.Second)
		for _, token := range []string{tokens.RefreshToken, next.RefreshToken} {
			got := s.do(t, http.MethodGet, "/refresh", "", "Authorization", "Bearer "+token)
			assert.Equal(t, http.StatusUnauthorized, got.status)
			assert.Equal(t, test.want, got.message(t))
			assert.Equal(t, `Bearer error="invalid_token"`, got.header.Get("WWW-Authenticate"))
		}
	}
}

func TestTooManyRotationsSayWhenToComeBack(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, "ann@example.com")
	s := serve(t, w.Handler(""))
	refreshToken := w.logIn(t, "ann@example.com").RefreshToken
	refresh := func() reply {
		return s.do(t, http.MethodPost, "/refresh", "", "Authorization", "Bearer "+refreshToken)
	}
	for range auth.RetiredKept {
		refreshToken = refresh().tokens(t).RefreshToken
		w.advance(1500 * time.Millisecond)
	}
	got := refresh()
	assert.Equal(t, http.StatusTooManyRequests, got.status)
	assert.Equal(t, message{Code: "rate_limited", Message: "Too many requests"}, got.message(t))
	assert.Equal(t, "48", got.header.Get("Retry-After"), "60 s from the first of the eight, which was 12 s ago")
	w.advance(500 * time.Millisecond)
	assert.Equal(t, "48", refresh().header.Get("Retry-After"), "47.5 s, rounded up")
	w.advance(48 * time.Second)
	refresh().tokens(t)
}

// A handler of the host's that starts a session answers as the routes do.
func TestWriteTokens(t *testing.T) {
	answer := func(w *world) reply {
		id := w.signUp(t, ann)
		h := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			tokens, err := w.StartSession(r.Context(), id, auth.Client{})
			assert.NoError(t, err)
			w.WriteTokens(rw, r, tokens)
		})
		return direct(t, h, newRequest(t, http.MethodPost, ownOrigin+"/sso", ""))
	}
	w := onMemory(t)
	got := answer(w)
	assertNoCookies(t, got)
	tokens := got.tokens(t)
	assert.Equal(t, fmt.Sprintf(`{"status":200,"access_token":%q,"refresh_token":%q,"token_type":"Bearer","expires_in":1200}`,
		tokens.AccessToken, tokens.RefreshToken), got.body)
	w.refresh(t, tokens.RefreshToken)

	w = onMemory(t, withCookies)
	w.refresh(t, assertCookies(t, answer(w), 20*time.Minute, 24*time.Hour).RefreshToken)
}

// A client's address and its user agent are the peer's own, whatever other headers say.
//
// ASVS: 4.1.3, 15.3.4.
// Advisory: GHSA-3fxj-6jh8-hvhx.
func TestSessionsRecordTheirClient(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, "ann@example.com")
	for _, test := range []struct{ peer, ip, agent, kept string }{
		{"192.0.2.7:40000", "192.0.2.7", "curl/8", "curl/8"},
		{"[2001:db8::7%eth0]:40000", "2001:db8::7", "", ""},
		{"[::ffff:192.0.2.7]:1", "192.0.2.7", "a\x00b\r\nc\xffd", "abc\uFFFDd"},
		{"@", "invalid IP", strings.Repeat("é", 300), strings.Repeat("é", 255)},
	} {
		r := newRequest(t, http.MethodPost, "/login", loginBody(t, "ann@example.com"),
			"User-Agent", test.agent, "X-Forwarded-For", "203.0.113.9", "X-Real-Ip", "203.0.113.9", "Forwarded", "for=203.0.113.9")
		r.RemoteAddr = test.peer
		tokens := direct(t, w.Handler(""), r).tokens(t)
		claims, err := w.Verify(tokens.AccessToken)
		require.NoError(t, err)
		client := w.state(t, claims.SessionID).Client
		assert.Equal(t, test.ip, client.IP.String())
		assert.Equal(t, test.kept, client.UserAgent)
	}
}

// An adapter may call the handler with a request that has no body at all.
func TestHandlerWithoutABody(t *testing.T) {
	w := onMemory(t)
	r := newRequest(t, http.MethodPost, "/login", "")
	r.Body = nil
	assert.Equal(t, http.StatusUnprocessableEntity, direct(t, w.Handler(""), r).status)
}
