package verify

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ostiary/auth/internal/token"
)

var (
	// ErrInvalidToken says that a token is not the issuer's, not for this audience, or not
	// valid now.
	ErrInvalidToken = errors.New("verify: invalid token")

	// ErrTokenExpired is the ErrInvalidToken of a token that was good until it expired.
	ErrTokenExpired = fmt.Errorf("%w: expired", ErrInvalidToken)

	// ErrKeysUnavailable says that a token could not be judged, since the issuer's keys
	// could not be had, or not in the context's time. A later try may work.
	ErrKeysUnavailable = errors.New("verify: the issuer's keys are unavailable")
)

// Claims is what a valid access token says. Its instants are whole seconds.
type Claims struct {
	UserID    string
	SessionID string // 32 hexadecimal digits
	ID        string // jti: another in every token
	IssuedAt  time.Time
	ExpiresAt time.Time
	AuthTime  time.Time // when the user last proved who they are

	payload string // the claims as they were signed
}

// Decode reads the issuer's own claims, those of its Config.ExtraClaims, into v, as
// [encoding/json.Unmarshal] does: of the token's claims it takes those that v has fields
// for. Claims that are not from a token have none, and Decode leaves v alone.
func (c Claims) Decode(v any) error {
	if c.payload == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(c.payload), v); err != nil {
		return fmt.Errorf("verify: decode claims: %w", err)
	}
	return nil
}

// Verifier checks access tokens by the issuer's keys. It fetches them when it first needs
// one and keeps them for as long as the answer's max-age says, but at least a minute and
// at most an hour. For as long again it goes on with what it has while the next fetch runs
// beside; after that, only where the fetch failed, and for a day at most. So a key that
// the issuer removed is accepted for twice the max-age, or for a day while fetches fail. An
// answer without a key counts as a failure.
//
// Verify waits for a fetch where the token's key is not there, and where the keys are
// as old as twice their max-age; not, there, in the minute after one that failed.
//
// It is safe for concurrent use, and fetches once at a time. A fetch runs in a goroutine of
// its own that ends with it, after 5 seconds at most, so that no caller's cancellation ends
// it for the others. Nothing else runs in the background.
//
// What a token's header says is looked up among the keys, byte for byte. It never says
// where keys are, and a header of an unknown key has them fetched once a minute at most.
type Verifier struct {
	cfg  Config
	keys *keyCache
}

// New returns a Verifier, or every problem of cfg at once, joined. It fetches nothing.
func New(cfg Config) (*Verifier, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return &Verifier{cfg: cfg, keys: &keyCache{url: cfg.JWKSURL, client: cfg.Client, now: cfg.Now, log: cfg.Logger}}, nil
}

// Verify returns the claims of an access token, or an error that Is ErrInvalidToken or
// ErrKeysUnavailable. Where it has to wait for keys it does so until ctx ends.
func (v *Verifier) Verify(ctx context.Context, accessToken string) (Claims, error) {
	if !token.MayBePublic(accessToken, token.AccessType) {
		return Claims{}, ErrInvalidToken // whatever the keys are
	}
	codec, err := v.keys.codecFor(ctx, accessToken)
	if err != nil {
		return Claims{}, err
	}
	rules := token.AccessRules{Issuer: v.cfg.Issuer, Audience: v.cfg.Audience, Leeway: v.cfg.Leeway}
	claims, err := codec.VerifyAccess(accessToken, rules, v.cfg.Now().UTC())
	switch {
	case errors.Is(err, token.ErrExpired):
		return Claims{}, ErrTokenExpired
	case err != nil:
		return Claims{}, ErrInvalidToken
	}
	return Claims{
		UserID:    claims.Subject,
		SessionID: hex.EncodeToString(claims.SessionID[:]),
		ID:        claims.ID,
		IssuedAt:  claims.IssuedAt,
		ExpiresAt: claims.ExpiresAt,
		AuthTime:  claims.AuthTime,
		payload:   claims.Payload,
	}, nil
}
