package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/ostiary/auth/internal/gate"
	"github.com/ostiary/auth/internal/passhash"
)

// foreignDeadline is when a refused password is answered where Config.VerifyForeign is set,
// counted from the start of its hashing: other systems' hashes take other times, which must
// not tell who has one.
const foreignDeadline = 2 * time.Second

// attempt is one try of a password. Its order is fixed: budgets are taken, then the gate is
// entered, and only then is the user looked at; so that what is refused for load or for
// limits tells nothing, and so that guesses in parallel cannot all pass before the first is
// counted. A try that was no failure gives back what it took.
type attempt struct {
	*Authenticator
	emailKey string
	client   Client
	device   device // the zero device: none is known
	spent    []budget
	leave    func() // the gate; it may be called again
}

// begin takes what a try of a password for an e-mail key needs. It returns a
// *RateLimitError, or an error that Is ErrUnavailable; end must be called otherwise, also
// where a hook panics.
func (a *Authenticator) begin(ctx context.Context, emailKey, deviceToken string, c Client) (*attempt, error) {
	t := &attempt{Authenticator: a, emailKey: emailKey, client: c}
	if err := t.spendFirst(ctx, deviceToken); err != nil {
		return nil, err
	}
	claim := gate.Claim{Client: clientKey(c.IP)}
	if t.device != (device{}) {
		// Not its nonce, since anyone may get many of those for an account of their own.
		claim = gate.Claim{Client: "device " + claim.Client, Known: true}
	}
	leave, err := a.gate.Enter(ctx, claim)
	if err != nil {
		a.giveBack(ctx, t.spent...)
		return nil, gateError(err)
	}
	t.leave = leave
	return t, nil
}

// spendFirst takes from the budget of the device or, where it is not known or is at its
// limit, from those of any other. Of two waits the shorter one is the answer.
func (t *attempt) spendFirst(ctx context.Context, deviceToken string) error {
	var own *RateLimitError
	if d, ok := t.devices.read(deviceToken, t.emailKey); ok {
		_, err := t.take(ctx, true, []budget{deviceBudget(d)})
		if err == nil {
			t.device, t.spent = d, []budget{deviceBudget(d)}
			return nil
		}
		if own, ok = errors.AsType[*RateLimitError](err); !ok {
			return err
		}
	}
	err := t.spend(ctx, loginBudgets(t.emailKey, t.client))
	if others, ok := errors.AsType[*RateLimitError](err); ok && own != nil {
		return &RateLimitError{RetryAfter: min(own.RetryAfter, others.RetryAfter)}
	}
	return err
}

func (t *attempt) spend(ctx context.Context, budgets []budget) error {
	if err := t.Authenticator.spend(ctx, t.client, true, budgets); err != nil {
		return err
	}
	t.spent = append(t.spent, budgets...)
	return nil
}

// check says whether the password is the user's; the zero record is a user that does not
// exist. It rehashes the password then where that is due. Its error is a *RateLimitError or
// Is ErrUnavailable: a device token from before the user's last change of password is worth
// nothing, and what it spared the try is taken now.
func (t *attempt) check(ctx context.Context, user UserRecord, password string) (bool, error) {
	if t.device != (device{}) && !t.device.isOf(user) {
		if err := t.spend(ctx, loginBudgets(t.emailKey, t.client)); err != nil {
			return false, err
		}
	}
	var answer <-chan time.Time
	if t.cfg.VerifyForeign != nil {
		timer := time.NewTimer(foreignDeadline)
		defer timer.Stop()
		answer = timer.C
	}
	ok, foreign := t.verify(ctx, user, password)
	t.leave()
	switch {
	case ok:
		t.rehash(ctx, user, password, foreign)
	case answer != nil:
		<-answer // whether or not the client still waits: it may only seem to have hung up
	}
	return ok, nil
}

// verify compares the password with the user's hash. foreign says that the hash is another
// system's. The end of the call's context changes nothing: what was begun is a try.
func (t *attempt) verify(ctx context.Context, user UserRecord, password string) (ok, foreign bool) {
	if user.ID == "" {
		t.hasher.Unknown(password)
		return false, false
	}
	ok, err := t.hasher.Verify(user.PasswordHash, password)
	if errors.Is(err, passhash.ErrMalformed) && t.cfg.VerifyForeign != nil {
		foreign = true
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), foreignDeadline)
		defer cancel()
		ok, err = t.cfg.VerifyForeign(bounded, user.PasswordHash, password)
	}
	if err != nil {
		t.cfg.Logger.ErrorContext(ctx, "auth: a stored password hash is unusable",
			slog.String("user", string(user.ID)), slog.Any("error", err))
		ok = false
	}
	return ok, foreign
}

// rehash replaces a hash of a lower cost or of another system, whose password was just
// proven. Whether it works or not, the login goes on: the next one tries again. A busy gate
// is one reason why not.
func (t *attempt) rehash(ctx context.Context, user UserRecord, password string, foreign bool) {
	if !foreign && !t.hasher.NeedsRehash(user.PasswordHash) {
		return
	}
	leave, ok := t.gate.TryEnter()
	if !ok {
		return
	}
	defer leave()
	var hash string
	var err error
	if foreign {
		hash, err = t.hasher.Hash(password)
	} else {
		hash, err = t.hasher.Rehash(user.PasswordHash, password)
	}
	leave()
	ctx, cancel := withStoreDeadline(ctx)
	defer cancel()
	if err == nil {
		_, err = t.stores.Users.UpdatePassword(ctx, user.ID, user.PasswordHash, hash)
	}
	if err != nil {
		t.cfg.Logger.WarnContext(ctx, "auth: a password was not rehashed",
			slog.String("user", string(user.ID)), slog.Any("error", err))
	}
}

// end leaves the gate and, unless err is a failure of the credentials, gives back what was
// taken.
func (t *attempt) end(ctx context.Context, err error) {
	t.leave()
	if !isCredentialFailure(err) {
		t.giveBack(ctx, t.spent...)
	}
}

// enterGate waits for the gate to hash a new password.
func (a *Authenticator) enterGate(ctx context.Context, c Client) (leave func(), err error) {
	leave, err = a.gate.Enter(ctx, gate.Claim{Client: clientKey(c.IP)})
	if err != nil {
		return nil, gateError(err)
	}
	return leave, nil
}

func gateError(err error) error {
	return fmt.Errorf("%w: password hashing: %w", ErrUnavailable, err)
}

// clientKey is whom the gate is fair to: an IPv4 address, or an IPv6 network.
func clientKey(ip netip.Addr) string {
	if ip = ip.Unmap(); ip.Is6() {
		prefix, _ := ip.Prefix(64) // without a zone; it fails for more bits than an address has
		return prefix.String()
	}
	return ip.String()
}
