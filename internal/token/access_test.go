package token_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/token"
)

// Of what is wrong with the claims, malformed ones are told apart from times.
func TestVerifyAccessErrors(t *testing.T) {
	const good = `{"iss":"a","aud":"a","sub":"1","iat":1000,"exp":2000,"jti":"j","sid":"0123456789abcdef0123456789abcdef","auth_time":1000}`
	c := newCodec(t, typ, hs256("k1", "secret one"))
	verify := func(more string, now int64) error {
		payload := strings.TrimSuffix(good, "}") + more + "}"
		_, err := c.VerifyAccess(sign(t, c, payload), token.AccessRules{Issuer: "a", Audience: "a", Leeway: 30 * time.Second}, time.Unix(now, 0))
		return err
	}
	require.NoError(t, verify("", 1000))
	require.NoError(t, verify(`,"nbf":1530`, 1500))
	require.ErrorIs(t, verify(`,"nbf":1531`, 1500), token.ErrNotYet)
	require.ErrorIs(t, verify(`,"nbf":3000`, 2500), token.ErrNotYet, "of two faults the first")
	require.ErrorIs(t, verify("", 2030), token.ErrExpired)
	for _, nbf := range []string{`null`, `"1500"`, `1e3`, `1500.0`, `-1`, `-0`, `true`, `{}`, `[1500]`, `253402300800`, `9223372036854775808`} {
		require.ErrorIs(t, verify(`,"nbf":`+nbf, 1500), token.ErrMalformed, nbf)
	}
	require.ErrorIs(t, verify(`,"NBF":1500`, 1500), token.ErrMalformed)
}
