package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/ostiary/auth/internal/email"
	"github.com/ostiary/auth/internal/gate"
	"github.com/ostiary/auth/internal/name"
	"github.com/ostiary/auth/internal/passhash"
	"github.com/ostiary/auth/limit"
)

// Authenticator signs users up, logs them in, refreshes their tokens and guards routes.
// New makes it. It is safe for concurrent use and starts no goroutine. All its state is in
// its stores, which any number of instances may share, but for the queue before its hashing
// and, where the stores have no Limiter, the budgets of failed logins and of sign-ups.
type Authenticator struct {
	stores  Stores
	cfg     Config
	codecs  codecs
	devices deviceCodec
	cookies *cookies
	hasher  passhash.Hasher
	gate    *gate.Gate
	limiter limit.Limiter // nil: no limits
}

// New returns an Authenticator over the stores, or every problem of cfg and the stores
// at once, joined. It asks the stores for nothing.
func New(stores Stores, cfg Config) (*Authenticator, error) {
	cfg = cfg.withDefaults()
	problems := []error{cfg.check()}
	if stores.Users == nil {
		problems = append(problems, errors.New("auth: Stores.Users is nil"))
	}
	if stores.Refresh == nil {
		problems = append(problems, errors.New("auth: Stores.Refresh is nil"))
	}
	codecs, codecsErr := newCodecs(cfg.Tokens)
	devices, devicesErr := newDeviceCodec(cfg.Tokens.RefreshKeys)
	cookies, cookiesErr := newCookies(cfg)
	if err := errors.Join(append(problems, codecsErr, devicesErr, cookiesErr)...); err != nil {
		return nil, err
	}
	a := &Authenticator{
		stores:  stores,
		cfg:     cfg,
		codecs:  codecs,
		devices: devices,
		cookies: cookies,
		hasher:  cfg.hasher(),
		gate:    gate.New(cfg.HashConcurrency),
		limiter: stores.Limiter,
	}
	switch {
	case cfg.InsecureNoLimits:
		a.limiter = nil
	case a.limiter == nil:
		a.limiter = limit.NewMemory(cfg.Now)
	}
	return a, nil
}

// now is Config.Now's instant in UTC, cut to the whole seconds that tokens count in.
func (a *Authenticator) now() time.Time { return a.cfg.Now().UTC().Truncate(time.Second) }

// SignupInput is what a new user typed. It redacts itself when it is printed or logged.
type SignupInput struct {
	Name     string
	Email    string
	Password string
	Client   Client
}

// Format writes nothing of the input, whatever the verb.
func (SignupInput) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "auth.SignupInput{REDACTED}")
}

// LogValue holds nothing of the input.
func (SignupInput) LogValue() slog.Value { return slog.StringValue("REDACTED") }

// LoginInput is what a user typed to log in. It redacts itself when it is printed or
// logged.
type LoginInput struct {
	Email    string
	Password string
	Client   Client

	// DeviceToken is the one of this device's last login to the account, Tokens.DeviceToken:
	// its attempts are not limited by what others failed to guess. Default: none.
	DeviceToken string
}

// Format writes nothing of the input, whatever the verb.
func (LoginInput) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "auth.LoginInput{REDACTED}") }

// LogValue holds nothing of the input.
func (LoginInput) LogValue() slog.Value { return slog.StringValue("REDACTED") }

// Signup creates a user and returns it; it logs nobody in. It returns a
// *ValidationError for every field that is refused, at once; ErrEmailTaken if the
// address, in its canonical form, is another user's; a *RateLimitError if too many sign-ups
// came from the client, or too many of them with addresses that were taken; ErrUnavailable
// if too many passwords are being hashed, if Config.CheckPassword could not tell, or where
// it is unknown whether the user was created.
//
// The name is trimmed, normalized (NFC) and kept unescaped; the address is trimmed and
// kept as typed.
func (a *Authenticator) Signup(ctx context.Context, in SignupInput) (User, error) {
	in.Password = a.trim(in.Password)
	invalid := make(map[string]string)
	fullName, err := name.Parse(a.trim(in.Name))
	if err != nil {
		invalid["name"] = nameProblem(err)
	}
	address, err := email.Parse(a.trim(in.Email))
	if err != nil {
		invalid["email"] = emailProblem
	}
	password := NewPassword{Password: in.Password, Name: fullName, Email: address.Text}
	if problem := a.passwordProblem(password); problem != "" {
		invalid["password"] = problem
	}
	if len(invalid) > 0 {
		return User{}, &ValidationError{Fields: invalid}
	}
	taken := byIP("signup_taken", takenByIP, in.Client.IP)
	if err := a.spend(ctx, in.Client, false, byIP("signup_ip", signupsByIP, in.Client.IP), taken...); err != nil {
		return User{}, err
	}
	id, err := a.createUser(ctx, NewUser{Name: fullName, Email: address.Text, EmailKey: address.Key}, password, in.Client)
	if errors.Is(err, ErrEmailTaken) && !errors.Is(err, ErrUnavailable) { // whatever a hook's error Is beside
		// Not before, since then those who are new would hold it while they are hashed.
		if limited := a.spend(ctx, in.Client, false, taken); limited != nil {
			err = limited
		}
	}
	if err != nil {
		return User{}, err
	}
	a.emit(ctx, Event{Kind: EventSignedUp, UserID: id, Client: in.Client})
	return User{ID: id, Name: fullName, Email: address.Text}, nil
}

// createUser stores a user with a password that has passed the policy.
func (a *Authenticator) createUser(ctx context.Context, u NewUser, p NewPassword, c Client) (UserID, error) {
	var err error
	if u.PasswordHash, err = a.hashNew(ctx, p, c); err != nil {
		return "", err
	}
	ctx, cancel := withStoreDeadline(ctx)
	defer cancel()
	return a.stores.Users.CreateUser(ctx, u)
}

const emailProblem = "Invalid email address."

func nameProblem(err error) string {
	switch {
	case errors.Is(err, name.ErrEmpty):
		return "Name must not be empty."
	case errors.Is(err, name.ErrShort):
		return fmt.Sprintf("Name must be at least %d characters long", name.Min)
	case errors.Is(err, name.ErrLong):
		return fmt.Sprintf("Name must not be longer than %d characters", name.Max)
	default:
		return "Name must not contain control characters"
	}
}

// Login checks a password and starts a session. It returns a *ValidationError for what
// can be nobody's address or password; ErrInvalidCredentials if the address is unknown,
// the password wrong, or the user changed meanwhile, all after the same work;
// ErrAccountDisabled if the password is right and the user disabled; a *RateLimitError if
// too many logins failed for the account or from the client, whatever the password;
// ErrUnavailable if too many passwords are being hashed, or if the store or
// Config.ExtraClaims could not tell.
func (a *Authenticator) Login(ctx context.Context, in LoginInput) (tokens Tokens, err error) {
	in.Password = a.trim(in.Password)
	address, err := a.checkLogin(in)
	if err != nil {
		return Tokens{}, err
	}
	try, err := a.begin(ctx, address.Key, in.DeviceToken, in.Client)
	if err != nil {
		return Tokens{}, err
	}
	defer func() { try.end(ctx, err) }()
	return try.login(ctx, in)
}

func (t *attempt) login(ctx context.Context, in LoginInput) (Tokens, error) {
	failed := Event{Kind: EventLoginFailed, Client: in.Client, Reason: ReasonWrongPassword}
	user, err := t.userByEmail(ctx, t.emailKey)
	unknown := errors.Is(err, ErrUserNotFound)
	if err != nil && !unknown {
		return Tokens{}, err
	}
	if unknown {
		user, failed.Reason = UserRecord{}, ReasonUnknownUser
	}
	failed.UserID = user.ID
	ok, err := t.check(ctx, user, in.Password)
	switch {
	case err != nil:
		return Tokens{}, err
	case unknown:
		t.emit(ctx, failed)
		return Tokens{}, t.unknownEmail()
	case !ok:
		t.emit(ctx, failed)
		return Tokens{}, ErrInvalidCredentials
	}
	tokens, err := t.startSession(ctx, user, in.Client)
	switch {
	case err == nil:
		tokens.DeviceToken = t.devices.mint(t.emailKey, user)
	case errors.Is(err, ErrUnavailable): // whatever a hook's error Is beside
	case errors.Is(err, ErrAccountDisabled):
		failed.Reason = ReasonDisabled
		t.emit(ctx, failed)
	case errors.Is(err, ErrUserChanged):
		failed.Reason = ReasonUserChanged
		t.emit(ctx, failed)
		err = ErrInvalidCredentials
	}
	return tokens, err
}

// checkLogin returns the address, if that and the password can be somebody's.
func (a *Authenticator) checkLogin(in LoginInput) (email.Address, error) {
	invalid := make(map[string]string)
	address, err := email.Parse(a.trim(in.Email))
	if err != nil {
		invalid["email"] = emailProblem
	}
	if problem := a.loginPasswordProblem(in.Password); problem != "" {
		invalid["password"] = problem
	}
	if len(invalid) > 0 {
		return email.Address{}, &ValidationError{Fields: invalid}
	}
	return address, nil
}

// Profile returns the user with this ID, or ErrUserNotFound. Behind Require, RequireWith
// or Optional, that is also the answer for the token's own user if they are disabled, or
// were created more than CreationSlack after the token was issued: the ID was then given
// to somebody else.
func (a *Authenticator) Profile(ctx context.Context, id UserID) (User, error) {
	user, err := a.userByID(ctx, id)
	if err != nil {
		return User{}, err
	}
	claims, ok := FromContext(ctx)
	if ok && claims.UserID == id && (user.Disabled || user.CreatedAt.After(claims.IssuedAt.Add(CreationSlack))) {
		return User{}, ErrUserNotFound
	}
	return user.User, nil
}

func (a *Authenticator) userByEmail(ctx context.Context, key string) (UserRecord, error) {
	return readStore(ctx, func(ctx context.Context) (UserRecord, error) { return a.stores.Users.UserByEmail(ctx, key) })
}

func (a *Authenticator) userByID(ctx context.Context, id UserID) (UserRecord, error) {
	return readStore(ctx, func(ctx context.Context) (UserRecord, error) { return a.stores.Users.UserByID(ctx, id) })
}

// Verify returns the claims of an access token, or an error that Is ErrInvalidToken. It
// asks no store: a session that was ended is accepted until its access token expires;
// RequireWith's Live asks.
func (a *Authenticator) Verify(accessToken string) (Claims, error) {
	return a.codecs.verifyAccess(accessToken, a.cfg.Now().UTC())
}
