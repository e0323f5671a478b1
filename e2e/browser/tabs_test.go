//go:build browser

package browser_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTwoTabsRefreshOnce has two tabs find the access token expired at the same time.
func TestTwoTabsRefreshOnce(t *testing.T) {
	r := newRelay(t)
	one := visit(t, r.url)
	one.signUp(anns)
	two := one.another(r.url)
	two.showsProfile(anns)
	one.expire(r.url)
	r.forget()

	first := r.holdReply("POST /api/refresh")
	one.start(authFetch, "GET", "/api/sessions")
	first.wait(t)
	two.start(authFetch, "GET", "/api/sessions")
	two.waitsForItsTurn()
	first.open()

	assert.Equal(t, http.StatusOK, one.finish().Status)
	assert.Equal(t, http.StatusOK, two.finish().Status)
	assert.Equal(t, []int{http.StatusOK}, statuses(r.of("POST /api/refresh")))
	assert.Equal(t, http.StatusOK, one.send("POST", "/api/refresh").Status)
}

// TestOneTabRefreshesOnce has many requests of one tab find the access token expired.
func TestOneTabRefreshesOnce(t *testing.T) {
	r := newRelay(t)
	page := visit(t, r.url)
	page.signUp(anns)
	page.expire(r.url)
	r.forget()
	got := eval[[]int](page, `import("/client.js").then(({authFetch}) => Promise.all(
		Array.from({length: 5}, () => authFetch("/api/profile").then((response) => response.status))))`)
	assert.Equal(t, []int{http.StatusOK, http.StatusOK, http.StatusOK, http.StatusOK, http.StatusOK}, got)
	assert.Equal(t, []int{http.StatusOK}, statuses(r.of("POST /api/refresh")))
}

// TestRefreshThatIsRefused shows all who wait for it the same answer.
func TestRefreshThatIsRefused(t *testing.T) {
	r := newRelay(t)
	page := visit(t, r.url)
	page.showsForm()
	got := eval[[]string](page, `import("/client.js").then(({authFetch}) => Promise.all(
		Array.from({length: 3}, () => authFetch("/api/sessions").then((response) => response.json()).then((body) => body.code))))`)
	assert.Equal(t, []string{"no_token", "no_token", "no_token"}, got)
}

// TestTwoTabsRefreshAtOnce has two tabs refresh by the same token, without any lock.
func TestTwoTabsRefreshAtOnce(t *testing.T) {
	r := newRelay(t)
	one := visit(t, r.url)
	one.signUp(anns)
	two := one.another(r.url)
	two.showsProfile(anns)
	r.forget()

	first, second := r.holdRequest("POST /api/refresh"), r.holdRequest("POST /api/refresh")
	one.start("fetch", "POST", "/api/refresh")
	two.start("fetch", "POST", "/api/refresh")
	first.wait(t)
	second.wait(t)
	first.open()
	second.open()
	assert.Equal(t, http.StatusOK, one.finish().Status)
	assert.Equal(t, http.StatusOK, two.finish().Status)
	assert.Equal(t, []int{http.StatusOK, http.StatusOK}, statuses(r.of("POST /api/refresh")))

	for _, tb := range []*tab{one, two, one} {
		assert.Equal(t, http.StatusOK, tb.send("GET", "/api/profile").Status)
		assert.Equal(t, http.StatusOK, tb.send("POST", "/api/refresh").Status)
	}
}

// TestOldRefreshMeetsNewLogin holds a refresh, which knows nothing of locks, until the
// user has logged out and in again. It is refused, and does not touch the new cookies.
func TestOldRefreshMeetsNewLogin(t *testing.T) {
	r := newRelay(t)
	page := visit(t, r.url)
	page.signUp(anns)
	old := page.another(r.url)
	old.showsProfile(anns)
	r.forget()

	held := r.holdRequest("POST /api/refresh")
	old.start("fetch", "POST", "/api/refresh")
	held.wait(t)
	page.logOut()
	page.logIn()
	cookies := page.cookies(r.url)
	held.open()

	assert.Equal(t, http.StatusUnauthorized, old.finish().Status)
	refused := r.with(refreshCookie, "POST /api/refresh")
	require.Equal(t, []int{http.StatusUnauthorized}, statuses(refused))
	assert.Empty(t, refused[0].sets)
	assert.Equal(t, cookies, page.cookies(r.url))
	for _, tb := range []*tab{page, old} {
		assert.Equal(t, http.StatusOK, tb.send("GET", "/api/profile").Status)
		assert.Equal(t, http.StatusOK, tb.send("POST", "/api/refresh").Status)
	}
}

// TestLogoutWaitsForTheRefresh has a user log out while the answer to another tab's
// refresh is on its way. Were the logout faster, that answer would put cookies there anew.
func TestLogoutWaitsForTheRefresh(t *testing.T) {
	r := newRelay(t)
	page := visit(t, r.url)
	page.signUp(anns)
	other := page.another(r.url)
	other.showsProfile(anns)
	page.expire(r.url)
	r.forget()

	held := r.holdReply("POST /api/refresh")
	other.start(authFetch, "GET", "/api/sessions")
	held.wait(t)
	page.do(click("#logout"))
	page.waitsForItsTurn()
	assert.Empty(t, r.of("POST /api/logout"))
	held.open()

	other.finish() // before the logout or after it
	page.showsForm()
	assert.Equal(t, []int{http.StatusOK}, statuses(r.of("POST /api/logout")))
	page.loggedOut(r.url)
	other.showsForm()
	page.loggedOut(r.url)
}

// TestTabsFollowEachOther has one tab show at once what another has done.
func TestTabsFollowEachOther(t *testing.T) {
	r := newRelay(t)
	one := visit(t, r.url)
	one.signUp(anns)
	two := one.another(r.url)
	two.showsProfile(anns)

	one.logOut()
	two.showsForm()
	two.signUp(bobs)
	one.showsProfile(bobs)
}

// authFetch is the page's own client.
const authFetch = "(await import('/client.js')).authFetch"

// waitsForItsTurn waits until somebody waits for the lock.
func (tb *tab) waitsForItsTurn() {
	tb.t.Helper()
	tb.until(`navigator.locks.query().then(({pending}) => pending.some((lock) => lock.name === "auth"))`)
}
