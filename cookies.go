package auth

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// CookieOptions has browsers keep both tokens in cookies that no script can read, for a
// front end that talks to its own origin. Answers to login, refresh and reauthentication
// then set the cookies and hold no tokens; guards and routes take a token from its cookie
// where the request has no Authorization header. Logout alone clears them. A login also sets
// the cookie of the device token, which stays.
//
// Requests that a page of another origin made are refused with 403 where they would
// change something: on our routes, and on the host's behind a guard that took the token
// from a cookie. So are those with a cookie that say nothing of where they come from.
// Requests with a bearer token pass, since no browser sends one by itself. Nothing of
// this looks at GET, HEAD and OPTIONS: the host's handlers must not change anything by
// them. CORS is the host's middleware.
//
// The cookies have the prefix __Host-, are Secure, HttpOnly and SameSite=Lax, with the
// path / and no domain, and end with their tokens. A token that makes a cookie larger
// than 4,096 bytes is not given: see Config.ExtraClaims.
type CookieOptions struct {
	// TrustedOrigins are other origins whose pages may send such requests, as a browser
	// writes them in the header Origin: "https://app.example.com", with the port where it
	// is not the default one. Default: none.
	TrustedOrigins []string
}

// The names of the cookies, which have a prefix (RFC 6265bis, section 4.1.3.2).
const (
	accessCookie  = "auth-access"
	refreshCookie = "auth-refresh"
	deviceCookie  = "auth-device"
	cookiePrefix  = "__Host-"
)

// deviceCookieAge is how long a device token is kept, in seconds: 400 days, the longest that
// browsers keep a cookie (RFC 6265bis, section 5.5).
const deviceCookieAge = 400 * 24 * 60 * 60

// maxCookie is how many bytes of a cookie, attributes included, every browser keeps
// (RFC 6265, section 6.1).
const maxCookie = 4096

// cookies is where browsers carry their tokens; nil: nowhere.
type cookies struct {
	insecure    bool // Config.InsecureCookies
	crossOrigin *http.CrossOriginProtection
}

func newCookies(cfg Config) (*cookies, error) {
	if cfg.Cookies == nil {
		return nil, nil //nolint:nilnil // none
	}
	c := &cookies{insecure: cfg.InsecureCookies, crossOrigin: http.NewCrossOriginProtection()}
	var problems []error
	for _, origin := range cfg.Cookies.TrustedOrigins {
		err := checkOrigin(origin, cfg.InsecureCookies)
		if err == nil {
			err = c.crossOrigin.AddTrustedOrigin(origin)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("auth: Config.Cookies.TrustedOrigins: %q: %w", origin, err))
		}
	}
	return c, errors.Join(problems...)
}

// checkOrigin says why a browser would never send this as an origin (RFC 6454, section
// 6.2), or why it must not be trusted.
func checkOrigin(origin string, insecure bool) error {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme+"://"+u.Host != origin || !isOriginHost(u) {
		return errors.New("it must be scheme://host or scheme://host:port, as browsers write them: in lower case, without a path or a wildcard")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !insecure || !isLoopback(u.Host)) {
		return errors.New("it must begin with https://")
	}
	if strings.HasSuffix(u.Host, ":") || u.Port() == "443" && u.Scheme == "https" || u.Port() == "80" && u.Scheme == "http" {
		return errors.New("browsers leave the default port out")
	}
	return nil
}

// isOriginHost says whether browsers write a host and a port so: a name in lower case,
// not ending in a dot, or an address in its one form, and no leading zeros (WHATWG URL,
// section 3.5).
func isOriginHost(u *url.URL) bool {
	name, port := u.Hostname(), u.Port()
	if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || n == 0 || strconv.FormatUint(n, 10) != port) {
		return false
	}
	if ip, err := netip.ParseAddr(name); err == nil {
		return ip.String() == name && !ip.Is4In6() && ip.Zone() == "" && ip.Is6() == strings.HasPrefix(u.Host, "[")
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return strings.Trim(labels[len(labels)-1], "0123456789") != "" // else it is an address
}

// isLoopback says whether a Host header names this machine itself.
func isLoopback(host string) bool {
	name := (&url.URL{Host: host}).Hostname()
	ip, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// plain says whether the request is one for which Config.InsecureCookies counts.
func (c *cookies) plain(r *http.Request) bool { return c.insecure && isLoopback(r.Host) }

// read returns the token in the request's cookie of that name, or an error that Is
// ErrNoToken. Two of them are refused: one is not ours.
func (c *cookies) read(r *http.Request, name, kind string) (string, error) {
	if !c.plain(r) {
		name = cookiePrefix + name
	}
	switch found := r.CookiesNamed(name); {
	case len(found) > 1:
		return "", badRequest("duplicate_cookie", "The cookie "+name+" was sent more than once")
	case len(found) == 0 || found[0].Value == "":
		return "", &credentialsError{kind, ErrNoToken}
	default:
		return found[0].Value, nil
	}
}

// carried says whether a cookie of ours is in the request.
func (c *cookies) carried(r *http.Request) bool {
	_, accessErr := c.read(r, accessCookie, "")
	_, refreshErr := c.read(r, refreshCookie, "")
	return !errors.Is(accessErr, ErrNoToken) || !errors.Is(refreshErr, ErrNoToken)
}

// cookie returns what sets a cookie for so many seconds; below 0 it clears it.
func cookie(name, value string, maxAge int, plain bool) *http.Cookie {
	if !plain {
		name = cookiePrefix + name
	}
	return &http.Cookie{ //nolint:gosec // it is not Secure for Config.InsecureCookies alone
		Name: name, Value: value, Path: "/", MaxAge: maxAge,
		Secure: !plain, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// of returns the cookies of tokens.
func (*cookies) of(t Tokens, plain bool) [2]*http.Cookie {
	return [2]*http.Cookie{
		cookie(accessCookie, t.AccessToken, max(1, int(t.ExpiresIn.Seconds())), plain),
		cookie(refreshCookie, t.RefreshToken, max(1, int(t.RefreshExpiresIn.Seconds())), plain),
	}
}

func (c *cookies) set(w http.ResponseWriter, r *http.Request, t Tokens) {
	for _, cookie := range c.of(t, c.plain(r)) {
		http.SetCookie(w, cookie)
	}
	if t.DeviceToken != "" {
		http.SetCookie(w, cookie(deviceCookie, t.DeviceToken, deviceCookieAge, c.plain(r)))
	}
}

func (c *cookies) clear(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, cookie(accessCookie, "", -1, c.plain(r)))
	http.SetCookie(w, cookie(refreshCookie, "", -1, c.plain(r)))
}

// fit returns an error if a browser might not keep the cookies of the tokens.
func (c *cookies) fit(t Tokens) error {
	for _, cookie := range c.of(t, false) {
		if n := len(cookie.String()); n > maxCookie {
			return fmt.Errorf("%w: the cookie %s would have %d bytes, more than %d: make Config.ExtraClaims shorter",
				ErrUnavailable, cookie.Name, n, maxCookie)
		}
	}
	return nil
}

// refuseCrossOrigin returns an error if the request may come from a page of an origin
// that is not trusted. carried says that a cookie of ours is in it: it then must tell.
func (c *cookies) refuseCrossOrigin(r *http.Request, carried bool) error {
	err := c.crossOrigin.Check(r)
	if err == nil && carried && !isSafe(r.Method) && r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "" {
		err = errors.New("neither Sec-Fetch-Site nor Origin")
	}
	if err == nil && !isSafe(r.Method) && !c.plain(r) && strings.HasPrefix(r.Header.Get("Origin"), "http:") {
		err = errors.New("an origin without TLS") // the check above looks at its host alone
	}
	if err != nil {
		return &requestError{problem{status: http.StatusForbidden, code: "cross_origin", message: "Forbidden: cross-origin request"}}
	}
	return nil
}

func isSafe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// sameOrigin refuses what refuseCrossOrigin refuses, save requests with a bearer token:
// other credentials, such as Basic, browsers send by themselves.
func (a *Authenticator) sameOrigin(next http.Handler) http.Handler {
	if a.cookies == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := bearer(r.Header, ""); err != nil {
			if err := a.cookies.refuseCrossOrigin(r, a.cookies.carried(r)); err != nil {
				a.writeError(w, r, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
