package token

import (
	"errors"
	"strings"
)

// ErrNone says that a request has no token.
var ErrNone = errors.New("token: none")

// Bearer returns the token that the values of a request's header Authorization hold
// (RFC 6750, section 2.1), the scheme in any case. The error is ErrNone if there is no
// value, or an empty one alone; ErrMalformed if there are two, or it is no bearer token.
func Bearer(values []string) (string, error) {
	if len(values) == 0 || len(values) == 1 && values[0] == "" {
		return "", ErrNone
	}
	scheme, text, _ := strings.Cut(values[0], " ")
	text = strings.TrimLeft(text, " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || text == "" || strings.Contains(text, " ") {
		return "", ErrMalformed
	}
	return text, nil
}
