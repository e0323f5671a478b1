package verify

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/ostiary/auth/internal/token"
)

// Require lets requests with a valid access token through to next, which finds its claims
// by FromContext. The token comes in the one Authorization header, after the scheme Bearer
// in any case (RFC 6750). All others it answers with 401, or with 503 and Retry-After while
// the issuer's keys are unavailable, in JSON as the issuer itself does.
func (v *Verifier) Require(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := token.Bearer(r.Header["Authorization"])
		var claims Claims
		if err == nil {
			claims, err = v.Verify(r.Context(), text)
		}
		if err != nil {
			refuse(w, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), claimsKey{}, claims)))
	})
}

// claimsKey is the context's key of the claims.
type claimsKey struct{}

// FromContext returns the claims of the access token with which a request came through
// Require; false if it came through none.
func FromContext(ctx context.Context) (Claims, bool) {
	claims, ok := ctx.Value(claimsKey{}).(Claims)
	return claims, ok
}

// answer is a response in the issuer's form.
type answer struct {
	Status  int    `json:"status"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

func refuse(w http.ResponseWriter, err error) {
	const invalid = `Bearer error="invalid_token"`
	challenge, a := invalid, answer{http.StatusUnauthorized, "invalid_token", "Unauthorized: invalid token"}
	h := w.Header()
	switch {
	case errors.Is(err, ErrKeysUnavailable):
		challenge, a = "", answer{http.StatusServiceUnavailable, "unavailable", "Service Unavailable"}
		h.Set("Retry-After", strconv.Itoa(int(retryEvery/time.Second)))
	case errors.Is(err, token.ErrNone):
		challenge, a = "Bearer", answer{http.StatusUnauthorized, "no_token", "Please provide your Authorization token"}
	case errors.Is(err, token.ErrMalformed):
		a.Message = "Invalid Authorization token"
	case errors.Is(err, ErrTokenExpired):
		a.Code, a.Message = "token_expired", "Unauthorized: token expired"
	}
	if challenge != "" {
		h.Set("WWW-Authenticate", challenge)
	}
	body, _ := json.Marshal(a) // it always encodes
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(a.Status)
	_, _ = w.Write(body) // the client hung up: nobody is left to tell
}
