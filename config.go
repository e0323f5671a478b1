package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"github.com/ostiary/auth/internal/passhash"
)

// Config is what New needs to know beside the stores. It is copied, given its defaults
// and checked once, by New. The zero value of every field but Tokens is the safe one;
// a field that weakens something says so in its name.
type Config struct {
	// Tokens holds the keys and the lifetimes. Its two lists of keys have no default.
	Tokens TokenOptions

	// HashCost is bcrypt's cost for new passwords, its logarithm of work; a login raises
	// a stored hash of a lower one. At least 10, at most 18. Default: 12.
	HashCost int

	// Argon2id makes new hashes argon2id's instead of bcrypt's (RFC 9106); a login replaces
	// a bcrypt hash. A refused password then takes the work of both, so that nothing tells
	// whose hash is which. Default: nil, bcrypt.
	Argon2id *Argon2id

	// HashConcurrency is how many passwords are hashed at once; others wait in a queue of
	// 128, from which clients are served in turn. A call that finds it full, or that waits
	// for 10 seconds, fails with an error that Is ErrUnavailable. Default: half of
	// GOMAXPROCS, at least 1, so that other requests have the other half.
	HashConcurrency int

	// VerifyForeign says whether a password is the one of a stored hash that is not this
	// package's: another system's, which package foreignhash may know. It is asked for a
	// login, whose success then replaces the hash. An error is logged, and refuses the
	// password. Every refused login is answered after 2 seconds then, so that none tells
	// whose hash is which: a hook that takes longer would, and its context ends at that.
	// Default: nil, such a hash matches nothing.
	VerifyForeign func(ctx context.Context, stored, password string) (bool, error)

	// SiteWords are what a new password must not be made of, beside the user's own name and
	// address: the names of the site and its company. Default: none.
	SiteWords []string

	// CheckPassword may refuse a new password that the other rules accept, such as one that
	// package pwned finds in a list of leaked ones. A *ValidationError from it is the answer;
	// any other error says that it could not tell, and the call fails with one that Is
	// ErrUnavailable. Default: nil.
	CheckPassword func(ctx context.Context, p NewPassword) error

	// ClientIP returns the address that a request came from, for limits and for the list of
	// sessions. Behind a proxy set one that knows it, such as package clientip's. The zero
	// Addr says that it is not known: such requests share one budget. Default: nil, the
	// peer's address; no header is trusted.
	ClientIP func(*http.Request) netip.Addr

	// Logger gets the causes of 5xx answers and what concerns security, never a token,
	// key or password. Default: slog.Default().
	Logger *slog.Logger

	// ExtraClaims returns the host's own claims for an access token, such as roles: a value
	// that encoding/json makes an object of at most 4 KiB, with none of the names that
	// RFC 7519 registers, sid or auth_time; or nil for none. [Claims.Decode] reads them
	// back. It is called in every login, refresh and reauthentication, before the session
	// changes: on an error the call fails with one that Is ErrUnavailable, and a later try
	// finds everything as it was. That it is called does not say that a token is given: the
	// session may be over. At a login and a refresh the Session's CreatedAt is zero; at a
	// refresh its AuthenticatedAt is that of the refresh token which was presented, older
	// than the session's where a reauthentication has replaced that token. Default: nil.
	ExtraClaims func(ctx context.Context, id UserID, s Session) (any, error)

	// OnEvent is told of each Event once it has happened, by the goroutine that serves the
	// call, which waits: what takes long belongs elsewhere. Its context does not end with
	// the request. A panic is caught and logged. Every event is also a record of Logger,
	// at a level from debug to error. Default: nil.
	OnEvent func(context.Context, Event)

	// Cookies has browsers keep the tokens in cookies. Default: nil, nothing reads or sets
	// a cookie.
	Cookies *CookieOptions

	// Now is the Authenticator's only clock; the stores have their own. Default: time.Now.
	Now func() time.Time

	// InsecureTutorialMode answers as the Node tutorial does, so that a front end written
	// for it runs unchanged: bodies without codes; any password from 4 code points, trimmed;
	// at login, whether an address is known; names HTML-escaped. A password that was set in
	// this mode with white space around it is another one without the mode, and the other
	// way round. Default: false.
	InsecureTutorialMode bool

	// InsecureCookies lets Cookies work without TLS on loopback hosts, for development:
	// there, and nowhere else, they are not Secure and their names have no prefix. The header
	// Host says which host it is, so that it must be off behind a proxy that rewrites that.
	// Default: false.
	InsecureCookies bool

	// InsecureHashCost lets HashCost be as low as 4, for tests. Default: false.
	InsecureHashCost bool

	// InsecureNoLimits turns rate limits off, for load tests: those of failed logins and of
	// sign-ups, and that of 8 rotations of one session within Tokens.Grace. The queue of
	// HashConcurrency stays. Default: false.
	InsecureNoLimits bool
}

// Argon2id are the parameters of argon2id. The zero value means 19 MiB, 2 passes, 1 thread
// (OWASP's first choice for servers that hash many at once).
type Argon2id struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8
}

// The bounds of Config.HashCost; below minHashCost only with InsecureHashCost (OWASP
// ASVS 5.0, 11.4.2).
const (
	defaultHashCost     = 12
	minHashCost         = 10
	minInsecureHashCost = 4
	maxHashCost         = passhash.MaxStoredCost
)

// withDefaults returns the Config with every unset field set.
func (c Config) withDefaults() Config {
	if c.HashCost == 0 {
		c.HashCost = defaultHashCost
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now //nolint:forbidigo // the default of the one clock
	}
	if c.HashConcurrency == 0 {
		c.HashConcurrency = max(1, runtime.GOMAXPROCS(0)/2) //nolint:mnd // half
	}
	if c.Argon2id != nil {
		params := *c.Argon2id
		if params == (Argon2id{}) {
			params = Argon2id{Memory: 19 << 10, Time: 2, Threads: 1}
		}
		c.Argon2id = &params
	}
	c.SiteWords = slices.Clone(c.SiteWords)
	if c.Cookies != nil {
		cookies := CookieOptions{TrustedOrigins: slices.Clone(c.Cookies.TrustedOrigins)}
		c.Cookies = &cookies
	}
	c.Tokens = c.Tokens.withDefaults()
	return c
}

// check returns every problem of a Config that has its defaults.
func (c Config) check() error {
	problems := []error{c.Tokens.check()}
	lowest := minHashCost
	if c.InsecureHashCost {
		lowest = minInsecureHashCost
	}
	if c.HashCost < lowest || c.HashCost > maxHashCost {
		problems = append(problems, fmt.Errorf("auth: Config.HashCost is %d: it must be from %d to %d", c.HashCost, lowest, maxHashCost))
	}
	if c.HashConcurrency < 1 {
		problems = append(problems, fmt.Errorf("auth: Config.HashConcurrency is %d: it must be at least 1", c.HashConcurrency))
	}
	if c.Argon2id != nil {
		if err := passhash.Argon2id(*c.Argon2id).Check(c.InsecureHashCost); err != nil {
			problems = append(problems, fmt.Errorf("auth: Config.Argon2id: %w", err))
		}
	}
	if c.Cookies != nil && c.InsecureTutorialMode {
		problems = append(problems, errors.New("auth: Config.Cookies is set beside InsecureTutorialMode, whose front end looks for tokens in the body: leave one of them out"))
	}
	if c.InsecureCookies && c.Cookies == nil {
		problems = append(problems, errors.New("auth: Config.InsecureCookies is set without Config.Cookies"))
	}
	return errors.Join(problems...)
}

func (c Config) hasher() passhash.Hasher {
	h := passhash.Hasher{Cost: c.HashCost}
	if c.Argon2id != nil {
		h.Argon2id = passhash.Argon2id(*c.Argon2id)
	}
	return h
}
