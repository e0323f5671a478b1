package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/ostiary/auth/limit"
)

// The policies: how many tries there are, and how fast they come back. docs/security.md
// has the reasons.
//
//nolint:gochecknoglobals // a table of constants
var (
	// loginsByIP are failed logins of an IP address. Successes cost nothing, since an
	// office or a carrier has thousands of users behind one address.
	loginsByIP = limit.Bucket{Size: 100, Every: time.Minute / 10}

	// loginsByAccount are failed logins of an account, whether it exists or not, by every
	// way that takes a password.
	loginsByAccount = limit.Bucket{Size: 5, Every: time.Minute}

	// loginsByDevice are failed logins of a device that has logged in to the account
	// before. They count instead of the two above.
	loginsByDevice = limit.Bucket{Size: 10, Every: 6 * time.Minute}

	// signupsByIP are sign-ups with valid input of an IP address.
	signupsByIP = limit.Bucket{Size: 20, Every: time.Minute / 20}

	// takenByIP are sign-ups with an address that is taken, which tell that it is.
	takenByIP = limit.Bucket{Size: 5, Every: 2 * time.Minute}
)

// siteFactor is by how much the budgets of an IPv6 /48, which a site has, are larger than
// those of a /64, which one network has (RFC 6177).
const siteFactor = 10

// budget is one that a try takes one from.
type budget struct {
	policy string // for events
	key    string
	limit.Bucket
}

// byIP are the budgets of a policy for an address: none if the client is not known, one
// for IPv4, two for IPv6.
func byIP(policy string, b limit.Bucket, ip netip.Addr) []budget {
	if !ip.IsValid() {
		return nil
	}
	ip = ip.Unmap()
	if ip.Is4() {
		return []budget{{policy, policy + ":" + ip.String(), b}}
	}
	budgetOf := func(bits int, b limit.Bucket) budget {
		prefix, _ := ip.Prefix(bits) // without a zone; it fails for more bits than an address has
		return budget{policy, policy + ":" + prefix.String(), b}
	}
	site := limit.Bucket{Size: b.Size * siteFactor, Every: b.Every / siteFactor}
	return []budget{budgetOf(64, b), budgetOf(48, site)} //nolint:mnd // what siteFactor says
}

// loginBudgets are those of a try of a password without a device that is known.
func loginBudgets(emailKey string, c Client) []budget {
	return append(byIP("login_ip", loginsByIP, c.IP), budget{"login_account", "login_account:" + emailKey, loginsByAccount})
}

func deviceBudget(d device) budget {
	return budget{"login_device", "login_device:" + string(d.nonce[:]), loginsByDevice}
}

// spend takes one from each of the budgets, or none and returns a *RateLimitError, with an
// event; so it does if one of those to look at is over. Where the limiter's store is down, a
// call that is strict returns an error that Is ErrUnavailable; others go on with what the
// limiter counts in memory.
func (a *Authenticator) spend(ctx context.Context, c Client, strict bool, budgets []budget, look ...budget) error {
	over, err := a.take(ctx, strict, budgets, look...)
	if over != "" {
		a.emit(ctx, Event{Kind: EventLimited, Client: c, Reason: over})
	}
	return err
}

// take is spend without the event; over is the policy whose budget is over. What is over is
// looked for first, so that it costs the others nothing, and the longest wait is the answer.
//
// The end of the call's context does not end a take: whoever hangs up would get back what
// was not taken yet.
func (a *Authenticator) take(ctx context.Context, strict bool, budgets []budget, look ...budget) (over string, err error) {
	if a.limiter == nil {
		return "", nil
	}
	ctx, cancel := withStoreDeadline(context.WithoutCancel(ctx))
	defer cancel()
	var longest time.Duration
	for _, b := range slices.Concat(budgets, look) {
		if wait, _ := a.limiter.Take(ctx, b.key, b.Bucket, 0); wait > longest { // a look returns no error
			over, longest = b.policy, wait
		}
	}
	if over != "" {
		return over, &RateLimitError{RetryAfter: longest}
	}
	for i, b := range budgets {
		wait, err := a.limiter.Take(ctx, b.key, b.Bucket, 1)
		if err != nil {
			a.cfg.Logger.ErrorContext(ctx, "auth: the limiter's store failed",
				slog.String("policy", b.policy), slog.Any("error", err))
		}
		switch {
		case err != nil && strict:
			a.giveBack(ctx, budgets[:i+1]...)
			return "", fmt.Errorf("%w: limiter: %w", ErrUnavailable, err)
		case wait > 0:
			a.giveBack(ctx, budgets[:i]...)
			return b.policy, &RateLimitError{RetryAfter: wait}
		}
	}
	return "", nil
}

// giveBack undoes take, also where the call's context has ended meanwhile.
func (a *Authenticator) giveBack(ctx context.Context, budgets ...budget) {
	if a.limiter == nil {
		return
	}
	ctx, cancel := withStoreDeadline(context.WithoutCancel(ctx))
	defer cancel()
	for _, b := range slices.Backward(budgets) {
		if _, err := a.limiter.Take(ctx, b.key, b.Bucket, -1); err != nil {
			a.cfg.Logger.WarnContext(ctx, "auth: a budget was not given back",
				slog.String("policy", b.policy), slog.Any("error", err))
		}
	}
}

// isCredentialFailure says whether a call failed for what counts against the budgets.
func isCredentialFailure(err error) bool {
	return errors.Is(err, ErrInvalidCredentials) && !errors.Is(err, ErrUnavailable)
}
