package auth_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// bearer is a header with a token, as do takes it.
func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

// assertMessage checks an answer that says only that something was done.
func assertMessage(t *testing.T, want string, got reply) {
	t.Helper()
	assert.Equal(t, http.StatusOK, got.status, got.body)
	assert.Equal(t, fmt.Sprintf(`{"status":200,"message":%q}`, want), got.body)
}

const (
	loggedOut     = "You have been logged out."
	loggedOutAll  = "You have been logged out everywhere."
	sessionGone   = "The session has been ended."
	noSuchSession = `{"status":404,"code":"session_not_found","message":"Session not found"}`
)

// The answer has exactly these members, in this order, and no token.
//
// ASVS: 7.5.2, 14.2.2, 14.2.6, 15.3.1.
func TestSessionsRoute(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, ann)
		w.signUp(t, bob)
		h := w.Handler("")
		from := func(method, path, body, peer, agent string, headers ...string) reply {
			r := newRequest(t, method, path, body, append([]string{"User-Agent", agent}, headers...)...)
			r.RemoteAddr = peer
			return direct(t, h, r)
		}
		first := from(http.MethodPost, "/login", loginBody(t, ann), "192.0.2.1:1", "a phone").tokens(t)
		w.advance(time.Second)
		second := from(http.MethodPost, "/login", loginBody(t, ann), "@", `a "laptop" <é>`).tokens(t)
		from(http.MethodPost, "/login", loginBody(t, bob), "192.0.2.1:1", "bob's")
		w.advance(time.Second)
		refreshed := from(http.MethodPost, "/refresh", "", "[2001:db8::1]:1", "a tablet", bearer(first.RefreshToken)...).tokens(t)

		got := from(http.MethodGet, "/sessions", "", "198.51.100.1:1", "curl", bearer(refreshed.AccessToken)...)
		assert.Equal(t, http.StatusOK, got.status, got.body)
		rows := []auth.SessionState{w.state(t, w.claims(t, second).SessionID), w.state(t, w.claims(t, first).SessionID)}
		instant := func(at time.Time) string {
			b, err := json.Marshal(at.UTC())
			require.NoError(t, err)
			return string(b)
		}
		agent, err := json.Marshal(`a "laptop" <é>`)
		require.NoError(t, err)
		const session = `{"id":"%s","created_at":%s,"last_used_at":%s,"expires_at":%s,"ip":"%s","user_agent":%s,"current":%t}`
		want := `{"status":200,"sessions":[` +
			fmt.Sprintf(session, rows[0].ID, instant(rows[0].CreatedAt), instant(rows[0].CreatedAt), instant(rows[0].ExpiresAt), "", agent, false) + "," +
			fmt.Sprintf(session, rows[1].ID, instant(rows[1].CreatedAt), instant(rows[1].Retired[0]), instant(rows[1].ExpiresAt), "2001:db8::1", `"a tablet"`, true) +
			"]}"
		assert.Equal(t, want, got.body)
		assert.NotContains(t, got.body, "eyJ")
		for _, tokens := range []auth.Tokens{first, second, refreshed} {
			_, _, signature := segments(t, tokens.RefreshToken)
			assert.NotContains(t, got.body, signature)
		}

		got = from(http.MethodGet, "/sessions", "", "198.51.100.1:1", "curl", bearer(second.AccessToken)...)
		assert.Equal(t, strings.NewReplacer(`"current":true`, `"current":false`, `"current":false`, `"current":true`).Replace(want), got.body)
		require.NoError(t, w.Logout(t.Context(), first.RefreshToken))
		got = from(http.MethodGet, "/sessions", "", "198.51.100.1:1", "curl", bearer(second.AccessToken)...)
		assert.Equal(t, 1, strings.Count(got.body, `"id"`))
	})
}

// One's own session, the current one too, as often as it is asked; no other.
//
// ASVS: 7.5.2, 10.4.9.
func TestRevokeSessionRoute(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, ann)
		w.signUp(t, bob)
		s := serve(t, w.Handler(""))
		current, other, others := w.logIn(t, ann), w.logIn(t, ann), w.logIn(t, bob)
		revoke := func(id string) reply {
			return s.do(t, http.MethodDelete, "/sessions/"+id, "", bearer(current.AccessToken)...)
		}
		id := other.SessionID.String()
		for _, none := range []string{
			others.SessionID.String(), strings.Repeat("0", 32), strings.Repeat("f", 32), "x", id[:31], id + "0", "0123456789ABCDEF0123456789ABCDEF",
			"%7Bid%7D", id + "%20", "%00", "..%2F" + id, "1", "-1", id[:31] + "g",
		} {
			got := revoke(none)
			assert.Equal(t, http.StatusNotFound, got.status, none)
			if !strings.Contains(none, "%2F") {
				assert.Equal(t, noSuchSession, got.body, none)
			}
		}
		for _, tokens := range []auth.Tokens{current, other, others} {
			assert.True(t, w.state(t, tokens.SessionID).RevokedAt.IsZero())
		}
		for range 2 {
			assertMessage(t, sessionGone, revoke(id))
			assert.Equal(t, auth.ReasonRevoked, w.state(t, other.SessionID).Reason)
		}
		w.assertOver(t, other)
		w.refresh(t, others.RefreshToken)
		assertMessage(t, sessionGone, revoke(current.SessionID.String()))
		w.assertOver(t, current)
		assert.Equal(t, sessionEnded, revoke(current.SessionID.String()).message(t).Code)
	})
}

// A path that only looks like one of a session is no route.
func TestRevokeSessionPaths(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, ann)
	tokens := w.logIn(t, ann)
	id := tokens.SessionID.String()
	s := serve(t, w.Handler("/api"))
	for _, path := range []string{
		"/api/sessions/", "/api/sessions//" + id, "/api/sessions/" + id + "/", "/api/sessions/" + id + "/x", "/sessions/" + id, "/api/api/sessions/" + id, "/api/" + id,
		"/" + id, "/api/session/" + id, "/api/SESSIONS/" + id,
	} {
		got := s.do(t, http.MethodDelete, path, "", bearer(tokens.AccessToken)...)
		assert.Equal(t, http.StatusNotFound, got.status, path)
		assert.Equal(t, "not_found", got.message(t).Code, path)
	}
	w.refresh(t, tokens.RefreshToken)
	assertMessage(t, sessionGone, s.do(t, http.MethodDelete, "/api/sessions/"+id+"?x=1", "", bearer(w.logIn(t, ann).AccessToken)...))
}

// A mux that matches paths as they were sent gives the route an ID with a slash in it.
func TestRevokeSessionOnAMux(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, ann)
	tokens := w.logIn(t, ann)
	mux := http.NewServeMux()
	for _, route := range w.Routes("/api") {
		mux.Handle(route.Method+" "+route.Path, route.Handler)
	}
	revoke := func(id string) reply {
		return direct(t, mux, newRequest(t, http.MethodDelete, "http://example.com/api/sessions/"+id, "", bearer(tokens.AccessToken)...))
	}
	for _, before := range []string{"x%2F", "%2F", "..%2f", "%2e%2e%2F"} {
		got := revoke(before + tokens.SessionID.String())
		assert.Equal(t, http.StatusNotFound, got.status, before)
		assert.Equal(t, noSuchSession, got.body, before)
	}
	assert.True(t, w.state(t, tokens.SessionID).RevokedAt.IsZero())
	assertMessage(t, sessionGone, revoke(tokens.SessionID.String()))
}

// sessionRoutes are those that take an access token.
func sessionRoutes(id auth.SessionID) map[string]string {
	return map[string]string{
		"/logout/all": http.MethodPost, "/sessions": http.MethodGet, "/sessions/" + id.String(): http.MethodDelete, "/reauth": http.MethodPost,
	}
}

// The routes that take an access token want a good one, of a session that goes on.
func TestSessionRoutesWantALiveAccessToken(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, ann)
		s := serve(t, w.Handler(""))
		kept := w.logIn(t, ann)
		tokens := w.logIn(t, ann)
		body := object(t, "password", password)
		for path, method := range sessionRoutes(kept.SessionID) {
			for name, test := range map[string]struct {
				headers []string
				code    string
			}{
				"none":          {nil, "no_token"},
				"garbage":       {bearer("abc"), "invalid_token"},
				"refresh token": {bearer(kept.RefreshToken), "invalid_token"},
				"another kind":  {[]string{"Authorization", "Basic YTpi"}, "invalid_token"},
			} {
				got := s.do(t, method, path, "", test.headers...)
				assert.Equal(t, http.StatusUnauthorized, got.status, "%s %s", name, path)
				assert.Equal(t, test.code, got.message(t).Code, "%s %s", name, path)
			}
		}
		require.NoError(t, w.Logout(t.Context(), tokens.RefreshToken))
		for path, method := range sessionRoutes(kept.SessionID) {
			send := ""
			if method == http.MethodPost {
				send = body
			}
			got := s.do(t, method, path, send, bearer(tokens.AccessToken)...)
			assert.Equal(t, http.StatusUnauthorized, got.status, path)
			assert.Equal(t, `{"status":401,"code":"session_ended","message":"Unauthorized: session ended"}`, got.body, path)
			assert.Equal(t, invalidTokenChallenge, got.header.Get("WWW-Authenticate"))
		}
		kept = w.refresh(t, kept.RefreshToken)
		w.clock.add(time.Hour)
		for path, method := range sessionRoutes(kept.SessionID) {
			got := s.do(t, method, path, "", bearer(kept.AccessToken)...)
			assert.Equal(t, tokenExpired, got.message(t).Code, path)
		}
		w.refresh(t, kept.RefreshToken)
	})
}

// While the store is busy, each route is 503, and the session goes on; a fault is 500 or,
// where something may have been ended, 503.
//
// ASVS: 16.5.2.
// Advisory: CVE-2020-15223.
func TestSessionRoutesWhileTheStoreIsDown(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, ann)
	tokens := w.logIn(t, ann)
	row := w.row(t, tokens.SessionID)
	a, s := w.scripted(t)
	site := serve(t, a.Handler(""))
	requests := func() map[string]reply {
		all := map[string]reply{
			"/logout":      site.do(t, http.MethodPost, "/logout", "", bearer(tokens.RefreshToken)...),
			"/logout body": site.do(t, http.MethodPost, "/logout", object(t, "refresh_token", tokens.RefreshToken)),
		}
		for path, method := range sessionRoutes(tokens.SessionID) {
			body := ""
			if path == "/reauth" {
				body = object(t, "password", password)
			}
			all[path] = site.do(t, method, path, body, bearer(tokens.AccessToken)...)
		}
		return all
	}
	s.before = failingAll(errBusy)
	for path, got := range requests() {
		assert.Equal(t, http.StatusServiceUnavailable, got.status, path)
		assert.Equal(t, "1", got.header.Get("Retry-After"), path)
		assert.JSONEq(t, `{"status":503,"code":"unavailable","message":"Service Unavailable"}`, got.body, path)
	}
	s.before = failingAll(errFault)
	for path, got := range requests() {
		want := http.StatusInternalServerError
		if strings.HasPrefix(path, "/logout") && path != "/logout/all" {
			want = http.StatusServiceUnavailable
		}
		assert.Equal(t, want, got.status, path)
	}
	assert.Contains(t, w.log.String(), errFault.Error())
	for _, name := range []string{revokeSession, revokeUser, sessionsByUser, rotateSession} { // after the look whether it is live
		for fault, status := range map[error]int{errBusy: http.StatusServiceUnavailable, errFault: http.StatusInternalServerError} {
			if name == revokeSession || name == revokeUser {
				status = http.StatusServiceUnavailable
			}
			s.before = failing(fault, name)
			failed := 0
			for _, path := range []string{"/logout/all", "/sessions", "/sessions/" + tokens.SessionID.String(), "/reauth"} {
				calls := len(s.calls())
				method, body := sessionRoutes(tokens.SessionID)[path], ""
				if path == "/reauth" {
					body = object(t, "password", password)
				}
				if !sends(name, path) {
					continue
				}
				got := site.do(t, method, path, body, bearer(tokens.AccessToken)...)
				assert.Equal(t, status, got.status, "%s %s", name, path)
				assert.Greater(t, len(s.calls()), calls)
				failed++
			}
			assert.Equal(t, 1, failed)
		}
	}
	s.reset()
	assert.Equal(t, row, w.row(t, tokens.SessionID))
	w.refresh(t, tokens.RefreshToken)
}

// sends says whether the route calls that operation of the store, its last one.
func sends(name, path string) bool {
	switch path {
	case "/logout/all":
		return name == revokeUser
	case "/sessions":
		return name == sessionsByUser
	case "/reauth":
		return name == rotateSession
	default:
		return name == revokeSession
	}
}

// The routes mount like the others: under a prefix, as one handler or one by one in
// ServeMux, whose pattern has the variable.
func TestSessionRoutesMount(t *testing.T) {
	for name, mount := range map[string]func(w *world) (http.Handler, string){
		"root":   func(w *world) (http.Handler, string) { return w.Handler(""), "" },
		"prefix": func(w *world) (http.Handler, string) { return w.Handler("/api"), "/api" },
		"deeper": func(w *world) (http.Handler, string) { return w.Handler("/api/v1/"), "/api/v1" },
		"ServeMux": func(w *world) (http.Handler, string) {
			mux := http.NewServeMux()
			mux.Handle("/api/", w.Handler("/api"))
			return mux, "/api"
		},
		"routes": func(w *world) (http.Handler, string) {
			mux := http.NewServeMux()
			for _, route := range w.Routes("/api") {
				mux.Handle(route.Method+" "+route.Path, route.Handler)
			}
			return mux, "/api"
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := onMemory(t)
			w.signUp(t, ann)
			h, at := mount(w)
			s := serve(t, h)
			current, other, third := w.logIn(t, ann), w.logIn(t, ann), w.logIn(t, ann)
			got := s.do(t, http.MethodGet, at+"/sessions", "", bearer(current.AccessToken)...)
			assert.Equal(t, 3, strings.Count(got.body, `"id"`), got.body)
			assertMessage(t, sessionGone, s.do(t, http.MethodDelete, at+"/sessions/"+other.SessionID.String(), "", bearer(current.AccessToken)...))
			assert.Equal(t, noSuchSession, s.do(t, http.MethodDelete, at+"/sessions/x", "", bearer(current.AccessToken)...).body)
			next := s.do(t, http.MethodPost, at+"/reauth", object(t, "password", password), bearer(current.AccessToken)...).tokens(t)
			assertMessage(t, loggedOutAll, s.do(t, http.MethodPost, at+"/logout/all", `{"keep_current":true}`, bearer(next.AccessToken)...))
			w.assertOver(t, other, third)
			assertMessage(t, loggedOut, s.do(t, http.MethodPost, at+"/logout", "", bearer(next.RefreshToken)...))
			w.assertOver(t, next)
		})
	}
}

// Other methods are 405 before any token is looked at, and change nothing.
//
// ASVS: 4.1.4.
func TestSessionRoutesKeepToTheirMethods(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, ann)
	tokens := w.logIn(t, ann)
	row := w.row(t, tokens.SessionID)
	s := serve(t, w.Handler("/api"))
	routes := sessionRoutes(tokens.SessionID)
	routes["/logout"] = http.MethodPost
	for path, allow := range routes {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} {
			if method == allow {
				continue
			}
			for _, headers := range [][]string{nil, bearer(tokens.AccessToken), bearer(tokens.RefreshToken)} {
				got := s.do(t, method, "/api"+path, "", headers...)
				assert.Equal(t, http.StatusMethodNotAllowed, got.status, "%s %s", method, path)
				assert.Equal(t, allow, got.header.Get("Allow"), "%s %s", method, path)
			}
		}
	}
	assert.Equal(t, row, w.row(t, tokens.SessionID))
}

// In the tutorial mode the same routes answer without codes, and trim as it does.
func TestSessionRoutesInTutorialMode(t *testing.T) {
	w := onMemory(t, tutorialMode)
	w.signUp(t, ann)
	s := serve(t, w.Handler(""))
	tokens := w.logIn(t, ann)
	for path, method := range sessionRoutes(tokens.SessionID) {
		got := s.do(t, method, path, "")
		assert.Equal(t, http.StatusUnprocessableEntity, got.status, path)
		assert.Equal(t, message{Errors: map[string]string{"authorization": "Please provide your Authorization token"}}, got.message(t), path)
	}
	assert.Equal(t, message{Errors: map[string]string{"authorization": "Please provide your Refresh token"}},
		s.do(t, http.MethodPost, "/logout", "").message(t))
	got := s.do(t, http.MethodPost, "/reauth", object(t, "password", wrongPassword), bearer(tokens.AccessToken)...)
	assert.Equal(t, http.StatusUnprocessableEntity, got.status)
	assert.Equal(t, message{Message: "Incorrect password!"}, got.message(t))
	got = s.do(t, http.MethodPost, "/reauth", object(t, "password", " "+password+"\n"), bearer(tokens.AccessToken)...)
	next := got.tokens(t)
	assert.Equal(t, fmt.Sprintf(`{"status":200,"access_token":%q,"refresh_token":%q}`, next.AccessToken, next.RefreshToken), got.body)
	got = s.do(t, http.MethodGet, "/sessions", "", bearer(next.AccessToken)...)
	assert.True(t, strings.HasPrefix(got.body, `{"status":200,"sessions":[{"id":"`), got.body)
	got = s.do(t, http.MethodDelete, "/sessions/x", "", bearer(next.AccessToken)...)
	assert.Equal(t, `{"status":404,"message":"Session not found"}`, got.body)
	w.advance(2 * time.Minute)
	got = ask(t, w.RequireWith(auth.Requirement{MaxAuthAge: time.Second}), next.AccessToken)
	assert.Equal(t, `{"status":401,"message":"Please authenticate again"}`, got.body)
	assert.Contains(t, got.header.Get("WWW-Authenticate"), `error="insufficient_user_authentication"`)
	require.NoError(t, w.DisableUser(t.Context(), w.claims(t, next).UserID))
	got = s.do(t, http.MethodPost, "/login", loginBody(t, ann))
	assert.Equal(t, `{"status":403,"message":"This account is disabled"}`, got.body)
	assertMessage(t, loggedOut, s.do(t, http.MethodPost, "/logout", "", bearer(tokens.RefreshToken)...))
}
