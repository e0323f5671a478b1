package auth

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/ostiary/auth/internal/token"
)

// TokenOptions says how tokens are signed and how long they and their sessions live.
// Lifetimes are cut to whole seconds, and zero means the default.
type TokenOptions struct {
	// AccessKeys and RefreshKeys sign and verify the two kinds of token: the first of a
	// list signs, all of it verify. No key stands in both, and RefreshKeys are HMAC keys.
	// To replace a key without refusing anyone: append the new one on every instance; then
	// move it to the front; then, when MaxTTL has passed, AccessTTL and Leeway for an access
	// key, remove the old one. docs/keys.md says more. No default.
	AccessKeys  []Key
	RefreshKeys []Key

	// AccessTTL is how long an access token is accepted. Default: 20 minutes.
	AccessTTL time.Duration

	// IdleTTL is how long a session lives without a refresh. Default: 24 hours.
	IdleTTL time.Duration

	// MaxTTL is how long a session lives in any case. Default: 30 days.
	MaxTTL time.Duration

	// Grace is how long a refresh token that was used is still answered, with the
	// session's current one: two tabs refresh at once, replies get lost. After it, the
	// use of an old token ends the session. At most 5 minutes. Default: 60 seconds.
	Grace time.Duration

	// StrictRotation sets no grace: any second use of a refresh token ends its session,
	// although the reply to the first may have been lost. Default: false.
	StrictRotation bool

	// Issuer is the claim iss of access tokens, at most 255 bytes as encoding/json writes
	// them. Default: "auth".
	Issuer string

	// Audience is the claim aud of access tokens, with the same limit. Default: Issuer.
	Audience string

	// Leeway is by how much the clocks of services may differ when an access token's
	// times are judged. At most 5 minutes. Default: 30 seconds.
	Leeway time.Duration
}

const (
	defaultAccessTTL = 20 * time.Minute
	defaultIdleTTL   = 24 * time.Hour
	defaultMaxTTL    = 30 * 24 * time.Hour
	defaultGrace     = time.Minute
	maxGrace         = 5 * time.Minute
	defaultLeeway    = 30 * time.Second
	maxLeeway        = 5 * time.Minute
	defaultIssuer    = "auth"
	maxIssuer        = 255 // bytes
)

func (o TokenOptions) withDefaults() TokenOptions {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&o.AccessTTL, defaultAccessTTL},
		{&o.IdleTTL, defaultIdleTTL},
		{&o.MaxTTL, defaultMaxTTL},
		{&o.Leeway, defaultLeeway},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
		*d.field = d.field.Truncate(time.Second)
	}
	if o.Grace == 0 && !o.StrictRotation {
		o.Grace = defaultGrace
	}
	if o.Issuer == "" {
		o.Issuer = defaultIssuer
	}
	if o.Audience == "" {
		o.Audience = o.Issuer
	}
	return o
}

func (o TokenOptions) check() error {
	var problems []error
	problem := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("auth: Config.Tokens."+format, args...))
	}
	for i, access := range o.AccessKeys {
		for j, refresh := range o.RefreshKeys {
			if access.equal(refresh) {
				problem("AccessKeys[%d] equals RefreshKeys[%d]: a leak of the one must not open the other", i, j)
			}
		}
	}
	if o.MaxTTL < time.Second {
		problem("MaxTTL is %s: it must be a second at least", o.MaxTTL)
	}
	if o.IdleTTL < time.Second || o.IdleTTL > o.MaxTTL {
		problem("IdleTTL is %s: it must be from a second to MaxTTL, %s", o.IdleTTL, o.MaxTTL)
	}
	if o.AccessTTL < time.Second || o.AccessTTL > o.MaxTTL {
		problem("AccessTTL is %s: it must be from a second to MaxTTL, %s", o.AccessTTL, o.MaxTTL)
	}
	if o.StrictRotation && o.Grace != 0 {
		problem("Grace is %s beside StrictRotation, which sets none: leave one of them out", o.Grace)
	}
	if o.Grace < 0 || o.Grace > maxGrace {
		problem("Grace is %s: it must be from 0 to %s", o.Grace, maxGrace)
	}
	if o.Leeway < 0 || o.Leeway > maxLeeway {
		problem("Leeway is %s: it must be from 0 to %s", o.Leeway, maxLeeway)
	}
	const names = "%s must be valid UTF-8 of at most %d bytes, as JSON writes it"
	if jsonSize(o.Issuer) > maxIssuer || !utf8.ValidString(o.Issuer) {
		problem(names, "Issuer", maxIssuer)
	} else if jsonSize(o.Audience) > maxIssuer || !utf8.ValidString(o.Audience) {
		problem(names, "Audience", maxIssuer)
	}
	return errors.Join(problems...)
}

// jsonSize is how many bytes a string takes in JSON, between its quotes.
func jsonSize(s string) int {
	b, _ := json.Marshal(s) // a string always encodes
	return len(b) - len(`""`)
}

// Tokens is what a login or a refresh gives to the client. They are bearer tokens: who
// has them is the user (RFC 6750). The struct redacts itself when it is printed or
// logged; encoding it as JSON does not.
type Tokens struct {
	AccessToken      string
	RefreshToken     string
	ExpiresIn        time.Duration // of the access token, from now
	RefreshExpiresIn time.Duration // of the refresh token, from now: without a refresh the session ends then
	UserID           UserID
	SessionID        SessionID

	// DeviceToken is given by Login alone, for the next LoginInput or ReauthInput of this
	// device. It opens nothing by itself, and works until the user's password changes.
	DeviceToken string
}

// Format writes no part of the tokens, whatever the verb.
func (t Tokens) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "auth.Tokens{SessionID:"+t.SessionID.String()+" REDACTED}")
}

// LogValue holds no part of the tokens.
func (t Tokens) LogValue() slog.Value {
	return slog.GroupValue(slog.String("session", t.SessionID.String()))
}

// refreshClaims is what a valid refresh token says: the session at one generation. Two
// tokens of one session and generation are equal in every claim.
type refreshClaims struct {
	user         UserID
	session      SessionID
	generation   int64
	expiresAt    time.Time
	authTime     time.Time
	maxExpiresAt time.Time
}

// refreshType is the type of refresh tokens in their headers, another than that of access
// tokens, so that neither passes for the other (RFC 8725, section 3.11).
const refreshType = "rt+jwt"

// maxUserID is the longest UserID in bytes.
const maxUserID = token.MaxSubject

// codecs mints and verifies both kinds of token.
type codecs struct {
	access, refresh *token.Codec
	options         TokenOptions
	jwks            []byte // the public parts of the access keys
}

func newCodecs(o TokenOptions) (codecs, error) {
	accessKeys, errAccess := codecKeys("AccessKeys", o.AccessKeys)
	refreshKeys, errRefresh := codecKeys("RefreshKeys", o.RefreshKeys)
	if err := errors.Join(errAccess, errRefresh, checkRefreshKeys(o.RefreshKeys)); err != nil {
		return codecs{}, err
	}
	access, errAccess := token.New(token.AccessType, accessKeys)
	refresh, errRefresh := token.New(refreshType, refreshKeys)
	if err := errors.Join(errAccess, errRefresh); err != nil {
		return codecs{}, fmt.Errorf("auth: Config.Tokens: %w", err)
	}
	return codecs{access, refresh, o, token.JWKS(accessKeys)}, nil
}

// mint signs both tokens of a session at a generation. The access token lives from now
// for AccessTTL, and never past the session's end; extra are the members that the host
// adds to its claims.
func (c codecs) mint(s Session, generation int64, now time.Time, extra []byte) (Tokens, error) {
	if s.UserID == "" || len(s.UserID) > maxUserID || !utf8.ValidString(string(s.UserID)) {
		return Tokens{}, fmt.Errorf("auth: the store's user ID is no UTF-8 text of 1 to %d bytes", maxUserID)
	}
	expiresAt := earlier(now.Add(c.options.AccessTTL), s.MaxExpiresAt)
	var jti [16]byte
	_, _ = rand.Read(jti[:]) // crypto/rand never fails: it ends the program instead
	access, err := json.Marshal(struct {
		Issuer    string    `json:"iss"`
		Audience  string    `json:"aud"`
		Subject   UserID    `json:"sub"`
		IssuedAt  int64     `json:"iat"`
		ExpiresAt int64     `json:"exp"`
		ID        string    `json:"jti"`
		SessionID SessionID `json:"sid"`
		AuthTime  int64     `json:"auth_time"`
	}{
		c.options.Issuer, c.options.Audience, s.UserID, now.Unix(), expiresAt.Unix(),
		hex.EncodeToString(jti[:]), s.ID, s.AuthenticatedAt.Unix(),
	})
	if err != nil {
		return Tokens{}, fmt.Errorf("auth: access token: %w", err)
	}
	if len(extra) > 0 {
		access = slices.Concat(access[:len(access)-1], []byte(","), extra, []byte("}"))
	}
	refresh, err := json.Marshal(struct {
		Subject      UserID    `json:"sub"`
		SessionID    SessionID `json:"sid"`
		Generation   int64     `json:"gen"`
		ExpiresAt    int64     `json:"exp"`
		AuthTime     int64     `json:"auth_time"`
		MaxExpiresAt int64     `json:"max"`
	}{s.UserID, s.ID, generation, s.ExpiresAt.Unix(), s.AuthenticatedAt.Unix(), s.MaxExpiresAt.Unix()})
	if err != nil {
		return Tokens{}, fmt.Errorf("auth: refresh token: %w", err)
	}
	t := Tokens{
		ExpiresIn: max(0, expiresAt.Sub(now)), RefreshExpiresIn: max(0, s.ExpiresAt.Sub(now)),
		UserID: s.UserID, SessionID: s.ID,
	}
	t.AccessToken, err = c.access.Sign(access)
	switch {
	case errors.Is(err, token.ErrSigner):
		return Tokens{}, fmt.Errorf("%w: access token: %w", ErrUnavailable, err)
	case err != nil:
		return Tokens{}, fmt.Errorf("auth: access token: %w", err)
	}
	if t.RefreshToken, err = c.refresh.Sign(refresh); err != nil {
		return Tokens{}, fmt.Errorf("auth: refresh token: %w", err)
	}
	return t, nil
}

// verifyAccess returns the claims of an access token that is ours and whose times allow
// it now, give or take Leeway, else an error that Is ErrInvalidToken.
func (c codecs) verifyAccess(text string, now time.Time) (Claims, error) {
	rules := token.AccessRules{Issuer: c.options.Issuer, Audience: c.options.Audience, Leeway: c.options.Leeway}
	claims, err := c.access.VerifyAccess(text, rules, now)
	if err != nil {
		return Claims{}, tokenError(err)
	}
	return Claims{
		UserID:    UserID(claims.Subject),
		SessionID: claims.SessionID,
		ID:        claims.ID,
		IssuedAt:  claims.IssuedAt,
		ExpiresAt: claims.ExpiresAt,
		AuthTime:  claims.AuthTime,
		payload:   claims.Payload,
	}, nil
}

// verifyRefresh returns the claims of a refresh token that is ours, of whatever age, else
// an error that Is ErrInvalidToken.
func (c codecs) verifyRefresh(text string) (refreshClaims, error) {
	payload, err := c.refresh.Verify(text)
	if err != nil {
		return refreshClaims{}, tokenError(err)
	}
	r, err := token.ReadClaims(payload, "sub", "sid", "gen", "exp", "auth_time", "max")
	if err != nil || r.Unknown() {
		return refreshClaims{}, ErrTokenMalformed
	}
	claims := refreshClaims{
		user:         UserID(r.Subject()),
		session:      r.SessionID(),
		generation:   r.Int("gen"),
		expiresAt:    r.Instant("exp"),
		authTime:     r.Instant("auth_time"),
		maxExpiresAt: r.Instant("max"),
	}
	if !r.OK() || claims.generation < 1 {
		return refreshClaims{}, ErrTokenMalformed
	}
	return claims, nil
}

func tokenError(err error) error {
	switch {
	case errors.Is(err, token.ErrSignature):
		return ErrTokenSignature
	case errors.Is(err, token.ErrExpired):
		return ErrTokenExpired
	case errors.Is(err, token.ErrNotYet):
		return ErrInvalidToken
	default:
		return ErrTokenMalformed
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
