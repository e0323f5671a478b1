package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ostiary/auth/internal/strictjson"
	"github.com/ostiary/auth/internal/token"
)

// Claims is what a valid access token says. Its instants are whole seconds.
type Claims struct {
	UserID    UserID
	SessionID SessionID
	ID        string // jti: 128 random bits, another in every token
	IssuedAt  time.Time
	ExpiresAt time.Time
	AuthTime  time.Time // when the user last proved who they are

	payload string // the claims as they were signed
}

// Decode reads the host's claims, those of Config.ExtraClaims, into v, as
// [encoding/json.Unmarshal] does: of the token's claims it takes those that v has fields
// for. They are what the hook returned when the token was made; a later refresh may give
// others. Claims that are not from a token have none, and Decode leaves v alone.
func (c Claims) Decode(v any) error {
	if c.payload == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(c.payload), v); err != nil {
		return fmt.Errorf("auth: decode claims: %w", err)
	}
	return nil
}

// maxExtraClaims is how many bytes the host's claims may take.
const maxExtraClaims = 4 << 10

// extraClaims asks Config.ExtraClaims for the members of a JSON object, nil for none. The
// error Is ErrUnavailable.
func (a *Authenticator) extraClaims(ctx context.Context, s Session) ([]byte, error) {
	if a.cfg.ExtraClaims == nil {
		return nil, nil
	}
	claims, err := a.cfg.ExtraClaims(ctx, s.UserID, s)
	var object []byte
	if err == nil {
		object, err = encodeClaims(claims)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: Config.ExtraClaims: %w", ErrUnavailable, err)
	}
	return object, nil
}

// encodeClaims returns what stands between the braces of the claims' object.
func encodeClaims(claims any) ([]byte, error) {
	object, err := json.Marshal(claims)
	if err != nil {
		return nil, err
	}
	if string(object) == "null" {
		return nil, nil
	}
	if len(object) > maxExtraClaims {
		return nil, fmt.Errorf("the claims have %d bytes, more than %d", len(object), maxExtraClaims)
	}
	parsed, err := strictjson.Parse(object, token.AccessNames...)
	switch {
	case errors.Is(err, strictjson.ErrNotObject):
		return nil, errors.New("the claims are no JSON object")
	case err != nil:
		return nil, err
	}
	for _, name := range token.AccessNames {
		if parsed.Has(name) {
			return nil, fmt.Errorf("the claim %q is not the host's to set", name)
		}
	}
	return object[1 : len(object)-1], nil
}
