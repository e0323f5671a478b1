package auth

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"
)

// Finding is something that is set up wrongly, and how to mend it. Neither holds a secret.
type Finding struct {
	Problem string
	Mend    string
}

// String is both, in one line.
func (f Finding) String() string { return f.Problem + ": " + f.Mend }

// CheckInput is what Stores.Check compares the stores with. The zero value has it look at
// the stores alone.
type CheckInput struct {
	HashCost int              // Config.HashCost; 0: the costs of stored hashes are not judged
	Argon2id Argon2id         // what Config.Argon2id points to; the zero value: it is off
	Now      func() time.Time // Config.Now; nil: it is not compared with the stores' clocks
}

// Check returns what is set up wrongly, for the host's log at start: first in the Config,
// what New accepts and no service should have, then in the stores. It may read a whole
// table. Stores without a Check are not looked at. Equal set-ups have equal findings in
// equal order. An error says that the look at the stores failed.
func (a *Authenticator) Check(ctx context.Context) ([]Finding, error) {
	findings := a.cfg.findings()
	if a.stores.Check == nil {
		return findings, nil
	}
	in := CheckInput{HashCost: a.cfg.HashCost, Now: a.cfg.Now}
	if a.cfg.Argon2id != nil {
		in.Argon2id = *a.cfg.Argon2id
	}
	more, err := a.stores.Check(ctx, in)
	return append(findings, more...), err
}

func (c Config) findings() []Finding {
	return slices.Concat(c.Tokens.secretFindings(), c.Tokens.timeFindings(), c.cookieFindings(), c.insecureFindings())
}

// secretFindings are about HMAC keys that are not random by their looks.
func (o TokenOptions) secretFindings() []Finding {
	var findings []Finding
	for _, list := range []struct {
		name string
		keys []Key
	}{{"AccessKeys", o.AccessKeys}, {"RefreshKeys", o.RefreshKeys}} {
		for i, key := range list.keys {
			secret := key.bytes()
			if secret == nil {
				continue // a signer's
			}
			if doubt := secretDoubt(secret); doubt != "" {
				findings = append(findings, Finding{
					fmt.Sprintf("Config.Tokens.%s[%d] does not look like 32 random bytes: %s; who guesses it can make tokens for everybody", list.name, i, doubt),
					`replace it as docs/keys.md says under "When a key has leaked", by 32 bytes from a random generator, such as openssl rand -base64 32 prints`,
				})
			}
		}
	}
	return findings
}

// timeFindings are about lifetimes in the wrong order.
func (o TokenOptions) timeFindings() []Finding {
	var findings []Finding
	add := func(wrong bool, problem, mend string) {
		if wrong {
			findings = append(findings, Finding{problem, mend})
		}
	}
	add(o.AccessTTL >= o.IdleTTL,
		fmt.Sprintf("Config.Tokens.AccessTTL is %s and IdleTTL %s: a client that refreshes when its access token has expired finds its session expired before", o.AccessTTL, o.IdleTTL),
		"make AccessTTL much shorter than IdleTTL: minutes")
	add(o.Grace >= o.AccessTTL,
		fmt.Sprintf("Config.Tokens.Grace is %s and AccessTTL %s: a stolen refresh token is still answered when its session has been refreshed since in due course, and the theft not noticed", o.Grace, o.AccessTTL),
		"make Grace shorter than AccessTTL")
	add(o.Leeway >= o.AccessTTL,
		fmt.Sprintf("Config.Tokens.Leeway is %s and AccessTTL %s: access tokens are accepted for twice their lifetime", o.Leeway, o.AccessTTL),
		"make Leeway shorter, and run a time service on every machine")
	return findings
}

// cookieFindings are about cookies without Secure on a site that has https. They are set
// for requests to this machine only, which is what a proxy's requests look like if it does
// not pass on the header Host.
func (c Config) cookieFindings() []Finding {
	if !c.InsecureCookies {
		return nil
	}
	for _, site := range append(slices.Clone(c.Cookies.TrustedOrigins), c.Tokens.Issuer, c.Tokens.Audience) {
		u, err := url.Parse(site)
		if err != nil || u.Scheme != "https" || u.Host == "" || isLoopback(u.Host) {
			continue
		}
		return []Finding{{
			fmt.Sprintf("Config.InsecureCookies is set beside %s://%s: behind a proxy that does not pass on the header Host, cookies are set without Secure and the prefix __Host-", u.Scheme, u.Host),
			"leave InsecureCookies out wherever https is served",
		}}
	}
	return nil
}

// insecureFindings are the options that weaken what their names say.
func (c Config) insecureFindings() []Finding {
	var findings []Finding
	add := func(set bool, problem, mend string) {
		if set {
			findings = append(findings, Finding{problem, mend})
		}
	}
	add(c.InsecureTutorialMode,
		"Config.InsecureTutorialMode is set: login tells whether an address has an account, and passwords may have 4 characters and be the most common ones",
		"leave it out as soon as the front end of the Node tutorial is replaced")
	add(c.InsecureHashCost,
		fmt.Sprintf("Config.InsecureHashCost is set, with a HashCost of %d: passwords may be hashed so that who has the database finds them out quickly", c.HashCost),
		"leave it out: it is for tests")
	add(c.InsecureNoLimits,
		"Config.InsecureNoLimits is set: anybody may guess passwords, sign up and refresh as often as they like",
		"leave it out: it is for load tests")
	return findings
}
