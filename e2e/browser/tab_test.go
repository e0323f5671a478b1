//go:build browser

package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The names of the cookies on a loopback host without TLS.
const (
	accessCookie  = "auth-access"
	refreshCookie = "auth-refresh"
	deviceCookie  = "auth-device"
)

// tab is a tab of a visitor's browser.
type tab struct {
	t   *testing.T
	ctx context.Context //nolint:containedctx // it is the tab, for chromedp
}

// visit opens a page as a new visitor: with cookies of their own, and none at first.
func visit(t *testing.T, url string) *tab {
	t.Helper()
	return openTab(browser, t, url, chromedp.WithNewBrowserContext())
}

// another opens a page in another tab of the same visitor.
func (tb *tab) another(url string) *tab {
	tb.t.Helper()
	return openTab(tb.ctx, tb.t, url)
}

// openTab opens a page, whose scripts must not fail, nor try what its policy forbids.
func openTab(parent context.Context, t *testing.T, url string, options ...chromedp.ContextOption) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(parent, options...)
	messages := chromedp.Console(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		for m, err := range messages {
			if err == nil && (m.IsException() || m.Source == "security") {
				t.Errorf("%s: %s", m.URL, m)
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		watching.Wait()
	})
	tb := &tab{t, ctx}
	tb.do(chromedp.Navigate(url)) //nolint:contextcheck // it is in tb
	return tb
}

// do does the steps in the tab.
func (tb *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	tb.t.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	require.NoError(tb.t, chromedp.Do(ctx, steps...))
}

// eval returns the value of an expression in the tab, or that of its promise.
func eval[T any](tb *tab, expression string, args ...any) T {
	tb.t.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](call(expression, args), chromedp.EvalAwaitPromise))
	require.NoError(tb.t, err, expression)
	return value
}

// until waits until an expression is true.
func (tb *tab) until(expression string, args ...any) {
	tb.t.Helper()
	for end := time.Now().Add(patience); !eval[bool](tb, expression, args...); time.Sleep(10 * time.Millisecond) {
		require.True(tb.t, time.Now().Before(end), "it does not come true: %s", expression)
	}
}

// call is an expression of arguments, which it finds in args.
func call(expression string, args []any) string {
	if args == nil {
		args = []any{}
	}
	list, _ := json.Marshal(args) // texts and numbers
	return fmt.Sprintf("((args) => (%s))(%s)", expression, list)
}

// reply is what a request gets.
type reply struct {
	Status int    `json:"status"`
	Text   string `json:"text"`
}

// send sends a request to the tab's origin as a script would that knows nothing of locks.
func (tb *tab) send(method, path string) reply {
	tb.t.Helper()
	tb.start("fetch", method, path)
	return tb.finish()
}

// start sends a request by a function such as fetch, and does not wait for its answer.
func (tb *tab) start(function, method, path string) {
	tb.t.Helper()
	eval[chromedp.Void](tb, `void (window.sent = (async () => {
		const response = await `+function+`(args[1], {method: args[0]});
		return {status: response.status, text: await response.text()};
	})())`, method, path)
}

// finish waits for the answer to what start has sent.
func (tb *tab) finish() reply {
	tb.t.Helper()
	return eval[reply](tb, "window.sent")
}

// cookies are those that the browser sends to the URL, by name.
func (tb *tab) cookies(url string) map[string]*network.Cookie {
	tb.t.Helper()
	result, err := chromedp.Call(tb.ctx, network.GetCookies, network.GetCookiesParams{URLs: []string{url}})
	require.NoError(tb.t, err)
	found := make(map[string]*network.Cookie)
	for _, c := range result.Cookies {
		found[c.Name] = c
	}
	return found
}

// loggedOut wants no cookie but that of the device.
func (tb *tab) loggedOut(url string) {
	tb.t.Helper()
	assert.Equal(tb.t, []string{deviceCookie}, slices.Collect(maps.Keys(tb.cookies(url))))
}

// expire takes the access token away, as its expiry does.
func (tb *tab) expire(url string) {
	tb.t.Helper()
	_, err := chromedp.Call(tb.ctx, network.DeleteCookies, network.DeleteCookiesParams{Name: accessCookie, URL: url})
	require.NoError(tb.t, err)
	require.NotContains(tb.t, tb.cookies(url), accessCookie)
}

// fill types into a field of the page.
func fill(id, text string) chromedp.Action[chromedp.Void] {
	return chromedp.SendKeys(chromedp.CSS("#"+id), text)
}

// click clicks on something of the page.
func click(selector string) chromedp.Action[chromedp.Void] {
	return chromedp.Click(chromedp.CSS(selector))
}

const password = "correct horse"

// signUp signs a user up by the page, which then shows the profile.
func (tb *tab) signUp(email string) {
	tb.t.Helper()
	tb.do(fill("signup-name", "Ann Lee"), fill("signup-email", email), fill("signup-password", password), click("#signup button"))
	tb.showsProfile(email)
}

// logIn logs Ann in by the page, which then shows her profile.
func (tb *tab) logIn() {
	tb.t.Helper()
	tb.do(fill("login-email", anns), fill("login-password", password), click("#login button"))
	tb.showsProfile(anns)
}

// logOut logs out by the page, which then shows the form.
func (tb *tab) logOut() {
	tb.t.Helper()
	tb.do(click("#logout"))
	tb.showsForm()
}

// showsProfile waits until the page shows the user and the sessions.
func (tb *tab) showsProfile(email string) {
	tb.t.Helper()
	tb.do(chromedp.WaitVisible(chromedp.CSS("#member")), chromedp.WaitReady(chromedp.CSS("#sessions tr")))
	assert.Equal(tb.t, email, eval[string](tb, "document.getElementById('email').textContent"))
}

// showsForm waits until the page shows the form to log in.
func (tb *tab) showsForm() {
	tb.t.Helper()
	tb.do(chromedp.WaitVisible(chromedp.CSS("#login")))
	assert.Empty(tb.t, eval[string](tb, "document.getElementById('email').textContent"))
}
