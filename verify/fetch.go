package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ostiary/auth/internal/token"
)

// maxBody is how many bytes of a key set are read.
const maxBody = 64 << 10

// fetch asks the issuer for its keys. A set without any is an error: an issuer that signs
// with a public key has one. A client that panics fails as any other.
func (c *keyCache) fetch(ctx context.Context) (codec *token.Codec, maxAge time.Duration, err error) {
	defer func() {
		if p := recover(); p != nil {
			codec, err = nil, errors.New("verify: Config.Client panicked")
		}
	}()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return nil, 0, fmt.Errorf("verify: %w", err)
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := c.client.Do(r)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err // its text without the URL, whose query may be a secret
	}
	if err != nil {
		return nil, 0, fmt.Errorf("verify: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("verify: the issuer answers with %d", res.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err != nil {
		return nil, 0, fmt.Errorf("verify: %w", err)
	}
	if len(data) > maxBody {
		return nil, 0, fmt.Errorf("verify: the issuer's answer has more than %d bytes", maxBody)
	}
	keys, err := token.ParseJWKS(data)
	if err != nil {
		return nil, 0, fmt.Errorf("verify: %w", err)
	}
	if len(keys) == 0 {
		return nil, 0, errors.New("verify: the issuer's set has no key for our tokens")
	}
	if codec, err = token.New(token.AccessType, keys); err != nil {
		return nil, 0, fmt.Errorf("verify: %w", err)
	}
	return codec, maxAgeOf(res.Header), nil
}

// maxAgeOf is for how much longer an answer may be kept (RFC 9111, sections 4.2 and 5.2.2),
// within our bounds.
func maxAgeOf(h http.Header) time.Duration {
	age := defaultMaxAge
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return minMaxAge
		case "max-age":
			age = seconds(strings.Trim(value, `"`)) - seconds(h.Get("Age"))
		}
	}
	return min(max(age, minMaxAge), maxMaxAge)
}

// seconds is 0 for what is no number, and a day for what is more.
func seconds(s string) time.Duration {
	n, err := strconv.ParseUint(s, 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		return maxStale
	}
	if err != nil {
		return 0
	}
	return time.Duration(min(n, uint64(maxStale/time.Second))) * time.Second
}
