package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/ostiary/auth/internal/email"
	"github.com/ostiary/auth/internal/name"
	"github.com/ostiary/auth/internal/passhash"
)

// Authenticator signs users up, logs them in, refreshes their tokens and guards routes.
// New makes it. It is safe for concurrent use, starts no goroutine and holds no state
// but its stores', so that any number of instances may share those.
type Authenticator struct {
	stores  Stores
	cfg     Config
	codecs  codecs
	cookies *cookies
	hasher  passhash.Hasher
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
	cookies, cookiesErr := newCookies(cfg)
	if err := errors.Join(append(problems, codecsErr, cookiesErr)...); err != nil {
		return nil, err
	}
	return &Authenticator{
		stores:  stores,
		cfg:     cfg,
		codecs:  codecs,
		cookies: cookies,
		hasher:  passhash.Hasher{Cost: cfg.HashCost},
	}, nil
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
}

// Format writes nothing of the input, whatever the verb.
func (LoginInput) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "auth.LoginInput{REDACTED}") }

// LogValue holds nothing of the input.
func (LoginInput) LogValue() slog.Value { return slog.StringValue("REDACTED") }

// Signup creates a user and returns it; it logs nobody in. It returns a
// *ValidationError for every field that is refused, at once; ErrEmailTaken if the
// address, in its canonical form, is another user's; ErrUnavailable where it is unknown
// whether the user was created.
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
	if problem := a.passwordProblem(in.Password); problem != "" {
		invalid["password"] = problem
	}
	if len(invalid) > 0 {
		return User{}, &ValidationError{Fields: invalid}
	}
	hash, err := a.hasher.Hash(in.Password)
	if err != nil {
		return User{}, fmt.Errorf("auth: hash: %w", err)
	}
	ctx, cancel := withStoreDeadline(ctx)
	defer cancel()
	id, err := a.stores.Users.CreateUser(ctx, NewUser{
		Name: fullName, Email: address.Text, EmailKey: address.Key, PasswordHash: hash,
	})
	if err != nil {
		return User{}, err
	}
	a.emit(ctx, Event{Kind: EventSignedUp, UserID: id, Client: in.Client})
	return User{ID: id, Name: fullName, Email: address.Text}, nil
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
// ErrAccountDisabled if the password is right and the user disabled; ErrUnavailable if
// the store or Config.ExtraClaims could not tell.
func (a *Authenticator) Login(ctx context.Context, in LoginInput) (Tokens, error) {
	in.Password = a.trim(in.Password)
	address, err := a.checkLogin(in)
	if err != nil {
		return Tokens{}, err
	}
	user, err := a.userByEmail(ctx, address.Key)
	if errors.Is(err, ErrUserNotFound) {
		a.hasher.Unknown(in.Password)
		a.emit(ctx, Event{Kind: EventLoginFailed, Client: in.Client, Reason: ReasonUnknownUser})
		return Tokens{}, a.unknownEmail()
	}
	if err != nil {
		return Tokens{}, err
	}
	failed := Event{Kind: EventLoginFailed, UserID: user.ID, Client: in.Client}
	if !a.checkPassword(ctx, user, in.Password) {
		failed.Reason = ReasonWrongPassword
		a.emit(ctx, failed)
		return Tokens{}, ErrInvalidCredentials
	}
	tokens, err := a.startSession(ctx, user, in.Client)
	switch {
	case errors.Is(err, ErrUnavailable): // whatever a hook's error Is beside
	case errors.Is(err, ErrAccountDisabled):
		failed.Reason = ReasonDisabled
		a.emit(ctx, failed)
	case errors.Is(err, ErrUserChanged):
		failed.Reason = ReasonUserChanged
		a.emit(ctx, failed)
		err = ErrInvalidCredentials
	}
	return tokens, err
}

// checkPassword says whether the password is the user's, and rehashes it then where that
// is due.
func (a *Authenticator) checkPassword(ctx context.Context, user UserRecord, password string) bool {
	ok, err := a.hasher.Verify(user.PasswordHash, password)
	if err != nil {
		a.cfg.Logger.ErrorContext(ctx, "auth: a stored password hash is unusable",
			slog.String("user", string(user.ID)), slog.Any("error", err))
	}
	if ok {
		a.rehash(ctx, user, password)
	}
	return ok
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

// rehash raises the cost of a hash whose password was just proven. Whether it works or
// not, the login goes on: the next one tries again.
func (a *Authenticator) rehash(ctx context.Context, user UserRecord, password string) {
	if !a.hasher.NeedsRehash(user.PasswordHash) {
		return
	}
	hash, err := a.hasher.Rehash(user.PasswordHash, password)
	ctx, cancel := withStoreDeadline(ctx)
	defer cancel()
	if err == nil {
		_, err = a.stores.Users.UpdatePassword(ctx, user.ID, user.PasswordHash, hash)
	}
	if err != nil {
		a.cfg.Logger.WarnContext(ctx, "auth: a password was not rehashed",
			slog.String("user", string(user.ID)), slog.Any("error", err))
	}
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
