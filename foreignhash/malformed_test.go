package foreignhash_test

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/foreignhash"
)

func TestUnknownSchemes(t *testing.T) {
	for _, stored := range []string{
		"", "password", "$", "$$$", "$2b$04$abcdefghijklmnopqrstuu6M4AonsBSlaSmLjwpr7Te.9CyLp4qpK", "md5$salt$0123456789abcdef0123456789abcdef",
		"sha1$seasalt$cff36ea83f5706ce9aa7454e63e431fc726b2dc8", "$argon2id$v=19$m=64,t=2,p=8$c0Vhc0FsdDEyMzQ1$FQYWawNuhldanDvxbfN2qslvk8qFQOUaZZIEYRfSmvk",
		"$1$deadbeef$0123456789abcdef", "$pbkdf3$1$a$b", "PBKDF2:sha256:1$a$b", " pbkdf2_sha256$1$a$b", "pbkdf2_sha512$1$a$b", "scrypt", "argon2",
		"AgAAAAEAAAPo", "A===", "AAAA\nAAAA", "ADAxMjM0NTY3ODk6Ozw9Pj+K+LLwPCleZSmZnvOm+y/tKh9MJDIU9/a0Iv+qqsAgQR==",
		"ADAxMjM0NTY3ODk6Ozw9Pj+K+LLwPCleZSmZnvOm+y/tKh9MJDIU9/a0Iv+qqsAgQQ", "!" + strings.Repeat("x", 512),
		"pbkdf2_sha256$1000$" + strings.Repeat("s", 1<<20) + "$GT4mQlCm4rsPPLoc2gdFqHQ8KQqW+uzsnI986dJtPMY=", strings.Repeat("A", 1<<20),
	} {
		ok, err := foreignhash.Verify(t.Context(), stored, umlaut)
		if strings.HasPrefix(stored, "scrypt") || strings.HasPrefix(stored, "argon2") {
			require.ErrorIs(t, err, foreignhash.ErrMalformed, stored)
		} else {
			require.Equal(t, foreignhash.ErrUnknownScheme, err, "%.100s", stored)
		}
		assert.False(t, ok)
	}
}

func TestMalformed(t *testing.T) {
	const (
		hex64 = "d3105d89df6ad6f40576d1ced342b0f428c9510cf605c70f9b2dd3241027b683"
		b64   = "GT4mQlCm4rsPPLoc2gdFqHQ8KQqW+uzsnI986dJtPMY="
		ab64  = "uHRDnj1pGfx3hUId5sIEZfiPE0rBTJhLp/8gpTkzCjo"
	)
	for _, stored := range []string{
		"$pbkdf2$", "$pbkdf2-", "$pbkdf2-md5$1$c2FsdA$" + ab64, "$pbkdf2-sha1$1$c2FsdA$zD070KP7IiY1F1pVJxHTMjLaRMk", "$pbkdf2-sha256$0$c2FsdA$" + ab64,
		"$pbkdf2-sha256$01$c2FsdA$" + ab64, "$pbkdf2-sha256$-1$c2FsdA$" + ab64, "$pbkdf2-sha256$1$$" + ab64, "$pbkdf2-sha256$1$c2FsdB$" + ab64,
		"$pbkdf2-sha256$1$c2FsdA$" + ab64[:42] + "p", "$pbkdf2-sha256$1$c2FsdA$" + ab64 + "=", "$pbkdf2-sha256$1$c2FsdA$AAAA", "$pbkdf2-sha256$1$c2FsdA$" + ab64 + "AAAA",
		"$pbkdf2-sha256$1$c2FsdA$" + strings.Replace(ab64, "/", "+", 1), "$pbkdf2-sha512$1$c2FsdA$" + ab64, "$pbkdf2$1$c2FsdA$" + ab64, "$pbkdf2-sha256$1$c2FsdA$" + ab64 + "$",
		"pbkdf2:", "pbkdf2:sha256$salt$" + hex64, "pbkdf2:md5:1000$salt$0123456789abcdef0123456789abcdef", "pbkdf2:sha256:1000$$" + hex64,
		"pbkdf2:sha256:1000$salt$" + strings.ToUpper(hex64), "pbkdf2:sha256:1000$salt$" + hex64[:63], "pbkdf2:sha256:1000$salt$" + hex64[:62],
		"pbkdf2:sha256:1000$salt$" + hex64 + "00", "pbkdf2:sha256:1000:1$salt$" + hex64, "pbkdf2:sha256:99999999999$salt$" + hex64,
		"$scrypt$", "$scrypt$ln=0,r=8,p=1$c2FsdA$" + ab64, "$scrypt$ln=08,r=8,p=1$c2FsdA$" + ab64, "$scrypt$ln=8,p=1,r=8$c2FsdA$" + ab64, "$scrypt$ln=8,r=0,p=1$c2FsdA$" + ab64,
		"$scrypt$ln=8,r=8,p=0$c2FsdA$" + ab64, "$scrypt$ln=8,r=8,p=1$c2FsdA$" + ab64[:40], "$scrypt$ln=8,r=8,p=1$c2FsdA$" + ab64[:42] + "p", "$scrypt$ln=8,r=8,p=1$c2FsdB$" + ab64,
		"$scrypt$ln=31,r=1,p=1$c2FsdA$" + ab64, "$scrypt$ln=99,r=1,p=1$c2FsdA$" + ab64, "$scrypt$ln=1,r=100,p=1$c2FsdA$" + ab64,
		"scrypt:", "scrypt:1:8:1$salt$" + hex64 + hex64, "scrypt:3:8:1$salt$" + hex64 + hex64, "scrypt:257:8:1$salt$" + hex64 + hex64, "scrypt:256:8:1$salt$" + hex64,
		"scrypt:256:8:1$$" + hex64 + hex64, "scrypt:256:8$salt$" + hex64 + hex64, "scrypt:2:1000000:1$salt$" + hex64 + hex64,
		"pbkdf2_sha256$", "pbkdf2_sha256$1000$salt$" + b64[:43], "pbkdf2_sha256$1000$salt$" + b64[:42] + "Z=", "pbkdf2_sha256$1000$$" + b64, "pbkdf2_sha256$1e3$salt$" + b64,
		"pbkdf2_sha256$1000$salt$" + b64 + "$", "pbkdf2_sha1$1000$salt$" + b64, "pbkdf2_sha256$1000$salt$6DVfpPAPks1Vbv8OW3SGmT6supM=",
		"pbkdf2_sha256$1000$salt$GT4m\nQlCm4rsPPLoc2gdFqHQ8KQqW+uzsnI986dJtPMY=",
		"bcrypt$", "bcrypt$2b$04$abcdefghijklmnopqrstuu6M4AonsBSlaSmLjwpr7Te.9CyLp4qpK", "bcrypt$$2b$03$abcdefghijklmnopqrstuu6M4AonsBSlaSmLjwpr7Te.9CyLp4qpK",
		"bcrypt$$2b$32$abcdefghijklmnopqrstuu6M4AonsBSlaSmLjwpr7Te.9CyLp4qpK", "bcrypt$$2x$04$abcdefghijklmnopqrstuu6M4AonsBSlaSmLjwpr7Te.9CyLp4qpK",
		"bcrypt_sha256$$2b$04$abcdefghijklmnopqrstuujq7UterWFXWUh6GBRoZEcCnsKuMjOY", "bcrypt_sha256$$2b$04$abcdefghijklmnopqrstuujq7UterWFXWUh6GBRoZEcCnsKuMjOYSS",
		"scrypt$256$sEasAlt12345$8$5$3kQkkgCN", "scrypt$255$salt$8$5$" + strings.Repeat("A", 86) + "==", "scrypt$256$salt$8$0$" + strings.Repeat("A", 86) + "==",
		"scrypt$256$salt$8$5$" + strings.Repeat("A", 85) + "B==", "scrypt$salt$256$8$5$" + strings.Repeat("A", 86) + "==",
		"argon2$", "argon2$argon2d$v=19$m=64,t=2,p=8$c0Vhc0FsdDEyMzQ1$FQYWawNuhldanDvxbfN2qslvk8qFQOUaZZIEYRfSmvk", "argon2$argon2id$v=19$m=64,t=2,p=8$c0Vhc0FsdDEyMzQ1$",
		"argon2$argon2id$v=16$m=64,t=2,p=8$c0Vhc0FsdDEyMzQ1$FQYWawNuhldanDvxbfN2qslvk8qFQOUaZZIEYRfSmvk",
		"argon2$argon2id$v=19$m=64,t=0,p=8$c0Vhc0FsdDEyMzQ1$FQYWawNuhldanDvxbfN2qslvk8qFQOUaZZIEYRfSmvk",
		"argon2$argon2id$v=19$m=64,t=2,p=0$c0Vhc0FsdDEyMzQ1$FQYWawNuhldanDvxbfN2qslvk8qFQOUaZZIEYRfSmvk",
		"argon2$argon2id$v=19$m=64,t=2,p=8$c0Vhc0FsdDEyMzQ1$FQYWawNuhldanDvxbfN2qslvk8qFQOUaZZIEYRfSmvl",
		"argon2$argon2id$v=19$m=64,t=2,p=8$c0Vhc0FsdDEyMzQ1a$FQYWawNuhldanDvxbfN2qslvk8qFQOUaZZIEYRfSmvk",
		aspnet(0, 15, 32), aspnet(0, 16, 33), aspnet(0, 0, 0), aspnet(1, 0, 0),
		aspnetV3(3, 1, 16, 16, 16), aspnetV3(1<<31, 1, 16, 16, 16), aspnetV3(1, 0, 16, 16, 16), aspnetV3(1, 1, 15, 15, 16), aspnetV3(1, 1, 65, 65, 16),
		aspnetV3(1, 1, 16, 16, 15), aspnetV3(1, 1, 32, 32, 15), aspnetV3(1, 1, 16, 16, 65), aspnetV3(1, 1, 64, 16, 16), aspnetV3(1, 1, 1<<32-1, 16, 16), aspnetV3(1, 1, 0, 16, 16),
	} {
		ok, err := foreignhash.Verify(t.Context(), stored, umlaut)
		require.ErrorIs(t, err, foreignhash.ErrMalformed, stored)
		assert.False(t, ok)
		assert.NotContains(t, err.Error(), "$")
	}
}

// What a text asks for that is too much is refused before any of it is done.
//
// ASVS: 15.2.2.
func TestTooCostly(t *testing.T) {
	const (
		hex64 = "d3105d89df6ad6f40576d1ced342b0f428c9510cf605c70f9b2dd3241027b683"
		ab64  = "uHRDnj1pGfx3hUId5sIEZfiPE0rBTJhLp/8gpTkzCjo"
		tag   = "$c0Vhc0FsdDEyMzQ1$FQYWawNuhldanDvxbfN2qslvk8qFQOUaZZIEYRfSmvk"
	)
	var cases []string
	for last, first := range map[string]string{ // the last that is allowed, and the first that is not
		"$pbkdf2-sha256$3000000$c2FsdA$" + ab64:                               "$pbkdf2-sha256$3000001$c2FsdA$" + ab64,
		"pbkdf2:sha256:3000000$salt$" + hex64:                                 "pbkdf2:sha256:9999999999$salt$" + hex64,
		"$scrypt$ln=18,r=8,p=2$c2FsdA$" + ab64:                                "$scrypt$ln=18,r=8,p=3$c2FsdA$" + ab64,
		"$scrypt$ln=18,r=8,p=1$c2FsdA$" + ab64:                                "$scrypt$ln=18,r=9,p=1$c2FsdA$" + ab64,
		"$scrypt$ln=17,r=16,p=1$c2FsdA$" + ab64:                               "$scrypt$ln=30,r=99,p=99$c2FsdA$" + ab64,
		"scrypt:262144:8:1$salt$" + hex64 + hex64:                             "scrypt:524288:8:1$salt$" + hex64 + hex64,
		"scrypt$16384$salt$8$32$" + strings.Repeat("A", 86) + "==":            "scrypt$16384$salt$8$33$" + strings.Repeat("A", 86) + "==",
		"bcrypt$$2b$14$abcdefghijklmnopqrstuu6M4AonsBSlaSmLjwpr7Te.9CyLp4qpK": "bcrypt$$2b$15$abcdefghijklmnopqrstuu6M4AonsBSlaSmLjwpr7Te.9CyLp4qpK",
		"argon2$argon2id$v=19$m=262144,t=4,p=1" + tag:                         "argon2$argon2id$v=19$m=262144,t=5,p=1" + tag,
		"argon2$argon2id$v=19$m=262144,t=1,p=1" + tag:                         "argon2$argon2id$v=19$m=262145,t=1,p=1" + tag,
		"argon2$argon2i$v=19$m=1024,t=1024,p=1" + tag:                         "argon2$argon2i$v=19$m=1024,t=1025,p=1" + tag,
		"argon2$argon2id$v=19$m=1024,t=1,p=16" + tag:                          "argon2$argon2id$v=19$m=1024,t=1,p=17" + tag,
		aspnetV3(2, 3_000_000, 16, 16, 64):                                    aspnetV3(2, 3_000_001, 16, 16, 32),
		aspnetV3(0, 1_500_000, 16, 16, 32):                                    aspnetV3(0, 1_500_001, 16, 16, 32),
		aspnetV3(1, 1_500_000, 16, 16, 64):                                    aspnetV3(1, 1<<32-1, 16, 16, 32),
	} {
		cost, err := foreignhash.Cost(last)
		require.NoError(t, err, last)
		assert.LessOrEqual(t, cost, 1.0, last)
		cases = append(cases, first)
	}
	start := time.Now()
	for _, stored := range cases {
		ok, err := foreignhash.Verify(t.Context(), stored, umlaut)
		require.ErrorIs(t, err, foreignhash.ErrMalformed, stored)
		assert.False(t, ok)
	}
	assert.Less(t, time.Since(start), time.Second)
}

// aspnet returns a blob of the version with a salt and a key of zeros.
func aspnet(version byte, saltLen, keyLen int) string {
	return base64.StdEncoding.EncodeToString(append([]byte{version}, make([]byte, saltLen+keyLen)...))
}

// aspnetV3 returns a blob of version 3 that says what it is told, with a salt and a key of
// zeros of the lengths.
func aspnetV3(function, iterations, says uint32, saltLen, keyLen int) string {
	b := []byte{1}
	for _, n := range []uint32{function, iterations, says} {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return base64.StdEncoding.EncodeToString(append(b, make([]byte, saltLen+keyLen)...))
}

func FuzzVerify(f *testing.F) {
	for _, v := range vectors() {
		f.Add(v.stored, v.password)
	}
	for _, stored := range []string{"", "!", "$pbkdf2-sha256$3000001$c2FsdA$AAAA", "scrypt:524288:99:99$s$", aspnetV3(1, 1, 1<<32-1, 16, 16), aspnetV3(0, 1, 16, 16, 64)} {
		f.Add(stored, umlaut)
	}
	f.Fuzz(func(t *testing.T, stored, password string) {
		cost, perr := foreignhash.Cost(stored)
		if perr == nil && cost > 0.001 && cost <= 1 {
			return // well formed, and slow to compare
		}
		ok, err := foreignhash.Verify(t.Context(), stored, password)
		if err != nil {
			assert.False(t, ok)
			assert.True(t, errors.Is(err, foreignhash.ErrUnknownScheme) || errors.Is(err, foreignhash.ErrMalformed), err)
		}
		if perr != nil {
			require.Error(t, err)
		}
		claimed := 0
		for _, f := range functions() {
			own, ownErr := f(t.Context(), stored, password)
			if !errors.Is(ownErr, foreignhash.ErrUnknownScheme) {
				claimed++
				assert.Equal(t, ok, own)
				assert.Equal(t, err, ownErr)
			}
		}
		assert.LessOrEqual(t, claimed, 1, "the schemes don't overlap")
		if password == "" || strings.Contains(password, "\x00") {
			assert.False(t, ok)
		}
	})
}
