package verify

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// Config is what New needs to know. It is copied, given its defaults and checked once, by
// New. The zero value of every field but JWKSURL is the safe one.
type Config struct {
	// JWKSURL is where the issuer publishes its keys: its route /jwks.json, by https, or by
	// http on a loopback host. No default.
	JWKSURL string

	// Issuer is what the claim iss must be: the issuer's Tokens.Issuer. Default: "auth".
	Issuer string

	// Audience is what the claim aud must be: the issuer's Tokens.Audience. Default: Issuer.
	Audience string

	// Leeway is by how much the clocks of issuer and service may differ. At most 5 minutes.
	// Default: 30 seconds.
	Leeway time.Duration

	// Client fetches the keys. Of a redirect it follows none to another scheme or host,
	// whatever its CheckRedirect. Default: http.DefaultClient.
	Client *http.Client

	// Now is the only clock. Default: time.Now.
	Now func() time.Time

	// Logger gets the causes of failed fetches, never a token. Default: slog.Default().
	Logger *slog.Logger

	// InsecureHTTP allows JWKSURL to be http on any host: whoever is on the way there can
	// then make tokens. Default: false.
	InsecureHTTP bool
}

const (
	defaultIssuer = "auth"
	defaultLeeway = 30 * time.Second
	maxLeeway     = 5 * time.Minute
	maxRedirects  = 3
)

func (c Config) withDefaults() Config {
	if c.Issuer == "" {
		c.Issuer = defaultIssuer
	}
	if c.Audience == "" {
		c.Audience = c.Issuer
	}
	if c.Leeway == 0 {
		c.Leeway = defaultLeeway
	}
	if c.Client == nil {
		c.Client = http.DefaultClient
	}
	client := *c.Client
	client.CheckRedirect = sameHost
	c.Client = &client
	if c.Now == nil {
		c.Now = time.Now //nolint:forbidigo // the default of the one clock
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// check returns every problem of a Config that has its defaults.
func (c Config) check() error {
	problems := []error{c.checkURL()}
	if c.Leeway < 0 || c.Leeway > maxLeeway {
		problems = append(problems, fmt.Errorf("verify: Config.Leeway is %s: it must be from 0 to %s", c.Leeway, maxLeeway))
	}
	return errors.Join(problems...)
}

// checkURL tells nothing of the URL, which may hold a password.
func (c Config) checkURL() error {
	u, err := url.Parse(c.JWKSURL)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return errors.New("verify: Config.JWKSURL must be an absolute URL")
	case u.User != nil || u.Fragment != "":
		return errors.New("verify: Config.JWKSURL must have no user and no fragment")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && (c.InsecureHTTP || isLoopback(u.Hostname())):
		return nil
	default:
		return errors.New("verify: Config.JWKSURL must be https, or http on a loopback host")
	}
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// sameHost is a CheckRedirect.
func sameHost(r *http.Request, via []*http.Request) error {
	if r.URL.Scheme != via[0].URL.Scheme || r.URL.Host != via[0].URL.Host {
		return errors.New("verify: a redirect to another scheme or host")
	}
	if len(via) > maxRedirects {
		return errors.New("verify: too many redirects")
	}
	return nil
}
