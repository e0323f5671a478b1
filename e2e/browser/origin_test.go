//go:build browser

package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// attempt is something that a page of another origin tries on a visitor who is logged in.
type attempt struct {
	name   string
	script string // args: the app's URL, the ID of another session of the user's
	route  string // what the browser sends
	status int    // what it gets
	top    bool   // it leaves the page
}

const (
	form = `((action, enctype, name, value) => {
		const form = document.createElement("form");
		Object.assign(form, {action, enctype, method: "post"});
		const input = document.createElement("input");
		Object.assign(input, {name, value});
		form.append(input);
		document.body.append(form);
		form.submit();
	})`
	blind  = `fetch(args[0] + %q, {method: "POST", mode: "no-cors", credentials: "include", body: %q})`
	asking = `fetch(args[0] + %s, {method: %q, credentials: "include", headers: {"Content-Type": "application/json"}, body: "{}"})`
)

const mallorysLogin = `{"email":"mallory@example.com","password":"correct horse"}`

// attempts are those that a browser sends or asks leave for. Only GET, HEAD and POST of a
// form's types go without asking.
func attempts() []attempt {
	list := []attempt{
		{name: "form posts JSON to login", script: form + `(args[0] + "/api/login", "text/plain", '{"email":"mallory@example.com","password":"correct horse","x":"', '"}')`, route: "POST /api/login", status: http.StatusForbidden, top: true},
		{name: "fetch posts text to login", script: fmt.Sprintf(blind, "/api/login", mallorysLogin), route: "POST /api/login", status: http.StatusForbidden},
		{name: "fetch posts text to signup", script: fmt.Sprintf(blind, "/api/signup", mallorysLogin), route: "POST /api/signup", status: http.StatusForbidden},
		{name: "beacon to logout", script: `navigator.sendBeacon(args[0] + "/api/logout")`, route: "POST /api/logout", status: http.StatusForbidden},
		{name: "fetch puts JSON to login", script: fmt.Sprintf(asking, `"/api/login"`, "POST"), route: "OPTIONS /api/login", status: http.StatusMethodNotAllowed},
		{name: "fetch deletes a session", script: fmt.Sprintf(asking, `"/api/sessions/" + args[1]`, "DELETE"), route: "OPTIONS /api/sessions/", status: http.StatusMethodNotAllowed},
		{name: "form posts to a session", script: form + `(args[0] + "/api/sessions/" + args[1], "application/x-www-form-urlencoded", "_method", "delete")`, route: "POST /api/sessions/", status: http.StatusMethodNotAllowed, top: true},
		{name: "link to refresh", script: `location.assign(args[0] + "/api/refresh")`, route: "GET /api/refresh", status: http.StatusUnauthorized, top: true},
		{name: "link to logout", script: `location.assign(args[0] + "/api/logout")`, route: "GET /api/logout", status: http.StatusMethodNotAllowed, top: true},
	}
	for _, path := range []string{"/api/logout", "/api/logout/all", "/api/refresh", "/api/reauth"} {
		list = append(list,
			attempt{name: "form posts to " + path, script: form + fmt.Sprintf(`(args[0] + %q, "application/x-www-form-urlencoded", "x", "y")`, path), route: "POST " + path, status: http.StatusForbidden, top: true},
			attempt{name: "fetch posts nothing to " + path, script: fmt.Sprintf(blind, path, ""), route: "POST " + path, status: http.StatusForbidden},
			attempt{name: "fetch posts JSON to " + path, script: fmt.Sprintf(asking, fmt.Sprintf("%q", path), "POST"), route: "OPTIONS " + path, status: http.StatusMethodNotAllowed},
		)
	}
	return list
}

// TestOtherOriginsChangeNothing has pages of the same site and of another one try all
// they can. 127.0.0.1 with another port is the same site: it gets the cookies sent. The
// name localhost is another site.
func TestOtherOriginsChangeNothing(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html><title>Another origin</title><body>"))
	}))
	t.Cleanup(other.Close)
	u, err := url.Parse(other.URL)
	require.NoError(t, err)
	for site, origin := range map[string]string{"same-site": other.URL, "cross-site": "http://localhost:" + u.Port()} {
		t.Run(site, func(t *testing.T) {
			r := newRelay(t)
			phone := visit(t, r.url)
			phone.signUp(anns)
			page := visit(t, r.url)
			page.showsForm()
			page.logIn()
			phonesID := eval[string](page, `fetch("/api/sessions").then((r) => r.json()).then(({sessions}) => sessions.find((s) => !s.current).id)`)
			before := standing(page, r)
			attacker := page.another(origin)

			for _, a := range attempts() {
				t.Run(a.name, func(t *testing.T) {
					r.forget()
					attacker.do(chromedp.Navigate(origin))
					attacker.try(a, r.url, phonesID)
					require.Eventually(t, func() bool { return len(r.of(a.route)) > 0 }, patience, 10*time.Millisecond, "it is not sent: %v", r.of(""))
					for _, e := range r.of("") {
						assert.Equal(t, a.status, e.status, "%+v", e)
						assert.Equal(t, site, e.site)
						assert.Empty(t, e.sets)
						safe := a.top && e.route[:4] == "GET "
						preflight := e.route[:8] == "OPTIONS "
						assert.Equal(t, (site == "same-site" || safe) && !preflight, slices.Contains(e.cookies, refreshCookie), "SameSite=Lax: %v", e)
					}
				})
			}
			assert.Equal(t, before, standing(page, r))
			for _, tb := range []*tab{page, phone} {
				assert.Equal(t, http.StatusOK, tb.send("GET", "/api/profile").Status)
				assert.Equal(t, http.StatusOK, tb.send("POST", "/api/refresh").Status)
			}
		})
	}
}

// try runs the attempt in a page of another origin.
func (tb *tab) try(a attempt, args ...any) {
	tb.t.Helper()
	if a.top {
		eval[chromedp.Void](tb, "void ("+a.script+")", args...)
		return
	}
	// Whatever comes back, the page cannot read it.
	got := eval[string](tb, `Promise.resolve(`+a.script+`).then((response) => response.type ?? "sent", () => "refused")`, args...)
	assert.Contains(tb.t, []string{"opaque", "refused", "sent"}, got)
}

// standing is what an attempt must not change: the cookies and the user's sessions.
func standing(page *tab, r *relay) map[string]string {
	s := map[string]string{"sessions": page.send("GET", "/api/sessions").Text}
	for name, c := range page.cookies(r.url) {
		s[name] = c.Value
	}
	return s
}
