package strictjson_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/strictjson"
)

// claims are an access token's.
const claims = `{"iss":"auth","aud":"auth","sub":"1234567","iat":1764000000,"exp":1764001200,` +
	`"jti":"9b2f6c0f1d3e4a5b8c7d6e5f4a3b2c1d","sid":"00112233445566778899aabbccddeeff","auth_time":1763990000}`

func TestAllocations(t *testing.T) {
	data, extra := []byte(claims), []byte(claims[:len(claims)-1]+`,"roles":["a"],"tenant":{"id":1,"name":"b"}}`)
	var o strictjson.Object
	parse := func(data []byte) func() {
		return func() {
			o, _ = strictjson.Parse(data, "iss", "aud", "sub", "iat", "exp", "jti", "sid", "auth_time")
		}
	}
	assert.LessOrEqual(t, testing.AllocsPerRun(100, parse(extra)), 2.0, "claims with a host's own")
	require.True(t, o.Unknown())
	assert.LessOrEqual(t, testing.AllocsPerRun(100, parse(data)), 1.0, "claims")
	require.True(t, o.Has("auth_time"))

	var text string
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { text, _ = o.String("jti") }), 1.0, "String")
	require.NotEmpty(t, text)
	var n int64
	assert.Zero(t, testing.AllocsPerRun(100, func() { n, _ = o.Int64("exp") }), "Int64")
	require.NotZero(t, n)
}

func BenchmarkParseClaims(b *testing.B) {
	data := []byte(claims)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		o, err := strictjson.Parse(data, "iss", "aud", "sub", "iat", "exp", "jti", "sid", "auth_time")
		if err != nil || !o.Has("exp") {
			b.Fatal(err)
		}
	}
}

// BenchmarkReadClaims is BenchmarkParseClaims with every claim taken out.
func BenchmarkReadClaims(b *testing.B) {
	data := []byte(claims)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		o, err := strictjson.Parse(data, "iss", "aud", "sub", "iat", "exp", "jti", "sid", "auth_time")
		if err != nil {
			b.Fatal(err)
		}
		for _, name := range [...]string{"iss", "aud", "sub", "jti", "sid"} {
			if _, ok := o.String(name); !ok {
				b.Fatal(name)
			}
		}
		for _, name := range [...]string{"iat", "exp", "auth_time"} {
			if _, ok := o.Int64(name); !ok {
				b.Fatal(name)
			}
		}
	}
}

// BenchmarkReadClaimsEncodingJSON is the lax reader, for comparison.
func BenchmarkReadClaimsEncodingJSON(b *testing.B) {
	data := []byte(claims)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		var c struct {
			Iss      string `json:"iss"`
			Aud      string `json:"aud"`
			Sub      string `json:"sub"`
			Iat      int64  `json:"iat"`
			Exp      int64  `json:"exp"`
			Jti      string `json:"jti"`
			Sid      string `json:"sid"`
			AuthTime int64  `json:"auth_time"`
		}
		if err := json.Unmarshal(data, &c); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParseManyNames is a body of 16 KiB with as many names as fit in about that.
func BenchmarkParseManyNames(b *testing.B) {
	data := []byte("{" + manyMembers(1700) + "}")
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := strictjson.Parse(data, "name", "email", "password"); err != nil {
			b.Fatal(err)
		}
	}
}
