//go:build browser

package browser_test

import (
	"net/http"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
)

const (
	anns = "ann@example.com"
	bobs = "bob@example.com"
)

func TestSignUpLogInLogOut(t *testing.T) {
	r := newRelay(t)
	page := visit(t, r.url)
	page.showsForm()
	assert.Empty(t, page.cookies(r.url))

	page.signUp(anns)
	assert.Equal(t, "Ann Lee", eval[string](page, "document.getElementById('name').textContent"))
	assert.Equal(t, "profile-title", eval[string](page, "document.activeElement.id"), "the keyboard goes where the eye does")
	assert.Equal(t, 1, eval[int](page, "document.querySelectorAll('#sessions tr').length"))

	page.do(chromedp.Reload())
	page.showsProfile(anns)

	page.logOut()
	page.loggedOut(r.url)
	assert.Equal(t, http.StatusUnauthorized, page.send("GET", "/api/profile").Status)
	page.do(chromedp.Reload())
	page.showsForm()

	page.logIn()
}

// TestWhatTheFormsSay has the page show the API's messages beside their fields.
func TestWhatTheFormsSay(t *testing.T) {
	r := newRelay(t)
	page := visit(t, r.url)
	page.showsForm()

	page.do(fill("login-email", anns), fill("login-password", "wrong horse"), click("#login button"))
	page.says("#problem", "Incorrect email or password.")
	page.showsForm()

	page.do(fill("signup-name", "Ann Lee"), fill("signup-email", anns), fill("signup-password", "short"), click("#signup button"))
	page.do(chromedp.WaitReady(chromedp.CSS("#signup-password[aria-invalid=true]")))
	assert.NotEmpty(t, eval[string](page, "document.getElementById('signup-password-problem').textContent"))
	assert.Equal(t, "signup-password", eval[string](page, "document.activeElement.id"))

	page.do(chromedp.Clear(chromedp.CSS("#signup-password")), fill("signup-password", password), click("#signup button"))
	page.showsProfile(anns)
	assert.Empty(t, eval[string](page, "document.getElementById('signup-password-problem').textContent"))
}

func TestScriptCannotReadTheTokens(t *testing.T) {
	r := newRelay(t)
	page := visit(t, r.url)
	page.signUp(anns)
	assert.Len(t, page.cookies(r.url), 3)
	assert.Empty(t, eval[string](page, "document.cookie"))
	assert.NotContains(t, page.send("POST", "/api/refresh").Text, "token")
	assert.Zero(t, eval[int](page, "localStorage.length + sessionStorage.length"))

	// Nor can it take their place.
	eval[chromedp.Void](page, `void (document.cookie = "auth-access=x; path=/", document.cookie = "auth-refresh=x; path=/")`)
	assert.Empty(t, eval[string](page, "document.cookie"))
	assert.Equal(t, http.StatusOK, page.send("POST", "/api/refresh").Status)
}

// TestAccessTokenExpires goes on without a word to the user.
func TestAccessTokenExpires(t *testing.T) {
	r := newRelay(t)
	page := visit(t, r.url)
	page.signUp(anns)
	page.expire(r.url)
	r.forget()
	page.do(chromedp.Reload())
	page.showsProfile(anns)
	assert.Equal(t, []int{http.StatusOK}, statuses(r.of("POST /api/refresh")))
}

func TestSessionsAreRevokedOneByOne(t *testing.T) {
	r := newRelay(t)
	laptop := visit(t, r.url)
	laptop.signUp(anns)
	phone := visit(t, r.url)
	phone.showsForm()
	phone.logIn()
	assert.Equal(t, 2, eval[int](phone, "document.querySelectorAll('#sessions tr').length"))
	assert.Equal(t, 1, eval[int](phone, "document.querySelectorAll('#sessions button').length"), "none for this session")

	phone.do(click("#sessions button"))
	phone.says("#status", "The session was revoked.")
	assert.Equal(t, "sessions-title", eval[string](phone, "document.activeElement.id"))
	assert.Equal(t, 1, eval[int](phone, "document.querySelectorAll('#sessions tr').length"))
	assert.Equal(t, http.StatusOK, phone.send("POST", "/api/refresh").Status)

	assert.Equal(t, http.StatusUnauthorized, laptop.send("POST", "/api/refresh").Status)
	laptop.expire(r.url)
	laptop.do(chromedp.Reload())
	laptop.showsForm()
}

func TestLogOutEverywhere(t *testing.T) {
	r := newRelay(t)
	laptop := visit(t, r.url)
	laptop.signUp(anns)
	phone := visit(t, r.url)
	phone.showsForm()
	phone.logIn()

	phone.do(click("#logout-all"))
	phone.showsForm()
	phone.says("#status", "You are logged out everywhere.")
	phone.loggedOut(r.url)
	assert.Equal(t, http.StatusUnauthorized, laptop.send("POST", "/api/refresh").Status)
}

// says waits until the page says something.
func (tb *tab) says(selector, text string) {
	tb.t.Helper()
	tb.do(chromedp.WaitVisible(chromedp.CSS(selector)))
	tb.until(`document.querySelector(args[0]).textContent === args[1]`, selector, text)
}
