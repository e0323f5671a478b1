package foreignhash_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/foreignhash"
)

type verifier func(ctx context.Context, stored, password string) (bool, error)

// vector is what another implementation made of a password.
type vector struct {
	scheme   string // the name of the function that takes it
	stored   string
	password string
}

const umlaut = "pässword 1"

// functions are those of one scheme, by name.
func functions() map[string]verifier {
	return map[string]verifier{
		"PBKDF2": foreignhash.PBKDF2, "Scrypt": foreignhash.Scrypt, "Django": foreignhash.Django, "ASPNETIdentity": foreignhash.ASPNETIdentity,
	}
}

// vectors were made by the systems themselves, in Debian 12's packages, where no word says
// otherwise: passlib 1.7.4 (pbkdf2_sha1.using(rounds=…, salt=…).hash(…) and its like),
// Werkzeug 2.2.2 and Django 3.2.25 (the encode method of each hasher).
func vectors() []vector {
	long := strings.Repeat("p", 100)
	return []vector{
		{"PBKDF2", "$pbkdf2$1000$8PHy8/T19vf4.fr7/P3./w$zD070KP7IiY1F1pVJxHTMjLaRMk", umlaut},
		{"PBKDF2", "$pbkdf2$1000$8PHy8/T19vf4.fr7/P3./w$y2hy6XPYAT/wzZWEL7Nnct2Raw4", long},
		{"PBKDF2", "$pbkdf2-sha256$1000$8PHy8/T19vf4.fr7/P3./w$uHRDnj1pGfx3hUId5sIEZfiPE0rBTJhLp/8gpTkzCjo", umlaut},
		{"PBKDF2", "$pbkdf2-sha256$1000$8PHy8/T19vf4.fr7/P3./w$UGMgTbQii3s1q/XkAtLXqUdFhrXjuI8tv7r2gbgsd18", long},
		{"PBKDF2", "$pbkdf2-sha256$1$....$/iYlA/qkuj2UxQa4PJhQqZfT6e/C8qb8fxbFL71h/U0", umlaut},
		{"PBKDF2", "$pbkdf2-sha512$1000$8PHy8/T19vf4.fr7/P3./w$8DaA02za1GjAYzXQ8aVqlYUePBh4aZxwprfoOrD36xw2cDTSFuiTUmB9lOq9gkPLC6j1UgSSJOg.e59UkOD3wA", umlaut},
		{"PBKDF2", "pbkdf2:sha256:1000$Kx9sAltQ2wErTy78$d3105d89df6ad6f40576d1ced342b0f428c9510cf605c70f9b2dd3241027b683", umlaut},
		{"PBKDF2", "pbkdf2:sha1:1000$Kx9sAltQ2wErTy78$00fc247c566e6f0c4b9ea3a47e53853626f99f7c", umlaut},
		{"PBKDF2", "pbkdf2:sha512:1000$Kx9sAltQ2wErTy78$" +
			"07f7b6d8fbbceca48a694a145e89dee194bb5b1c395f8df670abe818948f9d7b0c5c5a9e7dd11c9e63f88a4c9a353930d6d260bdec257af53228f6236c05e5ae", umlaut},

		{"Scrypt", "$scrypt$ln=8,r=8,p=1$8PHy8/T19vf4+fr7/P3+/w$AnFVfkdX+W+9QRwAP0KFJhc/6ISLSNPXML07KvNULCc", umlaut},
		{"Scrypt", "$scrypt$ln=8,r=8,p=1$8PHy8/T19vf4+fr7/P3+/w$SGrN6XfFGIWmqKs0RFiQb28jkgUNYiHPylEFAjBHFlI", long},
		{"Scrypt", "$scrypt$ln=4,r=4,p=3$c2FsdA$IZcEnsUTozqbA8NVT6pcQ2ZtWmeeJx2IvbCYRRmVfmk", umlaut},
		// Python's hashlib.scrypt(password, salt=b'Kx9sAltQ2wErTy78', n=256, r=8, p=1).hex():
		// this Werkzeug has no scrypt yet.
		{"Scrypt", "scrypt:256:8:1$Kx9sAltQ2wErTy78$" +
			"16871b07d545957a0d73f7370c940c9b13f1bd7eff916328110bae1e479ceb6fc9b32ac0e9c5cb90a10ab27d46979d7c70514716ef88189e8e0277143b25048b", umlaut},

		{"Django", "pbkdf2_sha256$1000$sEasAlt12345$GT4mQlCm4rsPPLoc2gdFqHQ8KQqW+uzsnI986dJtPMY=", umlaut},
		{"Django", "pbkdf2_sha256$1000$sEasAlt12345$ViLwstdEKfSTw96RdRYnCVRWrw0WAcXAPPlX/2erQMU=", long},
		{"Django", "pbkdf2_sha1$1000$sEasAlt12345$6DVfpPAPks1Vbv8OW3SGmT6supM=", umlaut},
		{"Django", "bcrypt_sha256$$2b$04$abcdefghijklmnopqrstuujq7UterWFXWUh6GBRoZEcCnsKuMjOYS", umlaut},
		{"Django", "bcrypt_sha256$$2b$04$abcdefghijklmnopqrstuunXqOeIOsRn7g3pVjXKReUyL7p1G3T5a", long},
		{"Django", "bcrypt$$2b$04$abcdefghijklmnopqrstuu6M4AonsBSlaSmLjwpr7Te.9CyLp4qpK", umlaut},
		// Python's hashlib.scrypt with dklen=64, in the layout of Django 4.0 and later.
		{"Django", "scrypt$256$sEasAlt12345$8$5$3kQkkgCNbmkolKioK+Kk0pKWECLMAgTF0Sg2HxahS3gKAUONTWFbd30HFxOrPK8IS4VxpCG1vQzFV2VmjHV5hQ==", umlaut},
		// argon2-cffi's hash_secret, which Django puts "argon2" in front of.
		{"Django", "argon2$argon2id$v=19$m=64,t=2,p=8$c0Vhc0FsdDEyMzQ1$FQYWawNuhldanDvxbfN2qslvk8qFQOUaZZIEYRfSmvk", umlaut},
		{"Django", "argon2$argon2i$v=19$m=64,t=2,p=8$c0Vhc0FsdDEyMzQ1$1biC/dkKNLa/oLy3ukUAV6+dSEUtLOZLsh/zj/fvNlI", umlaut},

		// Python's hashlib.pbkdf2_hmac and struct.pack('>III', …), by the layout in the
		// comment of ASP.NET Core's PasswordHasher. Laid out so, its own tests' password and
		// salt gave the answers that they want.
		{"ASPNETIdentity", "ADAxMjM0NTY3ODk6Ozw9Pj+K+LLwPCleZSmZnvOm+y/tKh9MJDIU9/a0Iv+qqsAgQQ==", umlaut},
		{"ASPNETIdentity", "ADAxMjM0NTY3ODk6Ozw9Pj9vNCpWvQxHzEPguuQyhSGSbnVstJQs9uupBNGJ8yL0Gg==", long},
		{"ASPNETIdentity", "AQAAAAAAAAPoAAAAEDAxMjM0NTY3ODk6Ozw9Pj+K+LLwPCleZSmZnvOm+y/tKh9MJDIU9/a0Iv+qqsAgQQ==", umlaut},
		{"ASPNETIdentity", "AQAAAAEAAAPoAAAAEDAxMjM0NTY3ODk6Ozw9Pj/HmkL1RcRc22ExE4FnUnUSfpwvyfdJYsb7GR+1f9op+w==", umlaut},
		{"ASPNETIdentity", "AQAAAAIAAAPoAAAAEDAxMjM0NTY3ODk6Ozw9Pj8BRemVOzqsefVujqZXaGU6GdVAkUy+yT1XHGm7jsC8gA==", umlaut},
		{"ASPNETIdentity", "AQAAAAIAAAD6AAAAIDAxMjM0NTY3ODk6Ozw9Pj8wMTIzNDU2Nzg5Ojs8PT4/" +
			"NTzauThIUZw7xn9bCmWISCqfGQj4U8+OTnzjwD65RaRn0+UDJlLt4A/GKka7xKijtT8A6lwk3MJhCt7Cv5xWiw==", umlaut},
		{"ASPNETIdentity", "AQAAAAIAAAD6AAAAEDAxMjM0NTY3ODk6Ozw9Pj/0ZqGYoMDZK5kYj79Gacca", umlaut},
	}
}

func TestVectors(t *testing.T) {
	for _, v := range vectors() {
		for _, f := range []verifier{foreignhash.Verify, functions()[v.scheme]} {
			ok, err := f(t.Context(), v.stored, v.password)
			require.NoError(t, err, v.stored)
			assert.True(t, ok, v.stored)
			for _, wrong := range []string{
				"", "\x00", v.password + " ", " " + v.password, v.password[1:], strings.ToUpper(v.password), v.password + "\x00", v.stored,
				strings.Replace(v.password, "ss", "ß", 1) + "\u200B",
			} {
				ok, err := f(t.Context(), v.stored, wrong)
				require.NoError(t, err, v.stored)
				assert.False(t, ok, "%q: %s", wrong, v.stored)
			}
		}
		for name, f := range functions() {
			if name == v.scheme {
				continue
			}
			ok, err := f(t.Context(), v.stored, v.password)
			require.Equal(t, foreignhash.ErrUnknownScheme, err, "%s: %s", name, v.stored)
			assert.False(t, ok)
		}
	}
}

// Whichever character of a text changes or goes, of every third that is tried, the password does not match it any more.
func TestEachCharacterCounts(t *testing.T) {
	for _, v := range vectors() {
		if v.password != umlaut {
			continue
		}
		for i, c := range v.stored {
			if i%3 > 0 || strings.HasPrefix(v.stored[i:], "u") && strings.HasPrefix(v.stored, "bcrypt") {
				continue // enough are left, and of a salt's last character bcrypt reads two bits
			}
			other := "A"
			if c == 'A' {
				other = "Q"
			}
			for _, changed := range []string{v.stored[:i] + other + v.stored[i+1:], v.stored[:i] + v.stored[i+1:]} {
				if cost, err := foreignhash.Cost(changed); err == nil && cost > 0.001 {
					continue // one more digit
				}
				ok, err := foreignhash.Verify(t.Context(), changed, v.password)
				assert.False(t, ok, "%s: %v", changed, err)
			}
		}
	}
}

// Hashes with the parameters that the systems write today.
func TestParametersOfToday(t *testing.T) {
	for stored, password := range map[string]string{
		"scrypt:32768:8:1$Kx9sAltQ2wErTy78$" + // Werkzeug 3
			"91e3e58038e9b1d7817eacdcc4215866133c2fa74b65c9e7476557a47a185778febaf33c89623d1062fc1d21b58a0cc523eea46f427d05edd3d5fac291b1bd49": umlaut,
		"scrypt$16384$seasalt$8$5$ECMIUp+LMxMSK8xB/IVyba+KYGTI7FTnet025q/1f/vBAVnnP3hdYqJuRi+mJn6ji6ze3Fbb7JEFPKGpuEf5vw==": "lètmein", // Django 4.0
		"AQAAAAIAAYagAAAAEDAxMjM0NTY3ODk6Ozw9Pj+Q2BnFc/oNJqcYPnMY7JTUQ4TtiN2jlbYaoQjzTIwWdw==":                              umlaut,    // .NET 7
	} {
		ok, err := foreignhash.Verify(t.Context(), stored, password)
		require.NoError(t, err)
		assert.True(t, ok, stored)
	}
	const salt, key = "sEasAlt1234567", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	for _, stored := range []string{
		"pbkdf2_sha256$1800000$" + salt + "$" + key,
		"pbkdf2:sha256:1000000$" + salt + "$" + strings.Repeat("0", 64),
		"argon2$argon2id$v=19$m=102400,t=2,p=8$c0Vhc0FsdDEyMzQ1$FQYWawNuhldanDvxbfN2qslvk8qFQOUaZZIEYRfSmvk",
		"bcrypt_sha256$$2b$13$abcdefghijklmnopqrstuujq7UterWFXWUh6GBRoZEcCnsKuMjOYS",
		"$scrypt$ln=17,r=8,p=1$8PHy8/T19vf4+fr7/P3+/w$AnFVfkdX+W+9QRwAP0KFJhc/6ISLSNPXML07KvNULCc",
	} {
		cost, err := foreignhash.Cost(stored)
		require.NoError(t, err, stored)
		assert.LessOrEqual(t, cost, 0.6, stored)
	}
}

// What follows byte 72 is left out by bcrypt alone, as it was in Django.
func TestDjangoBcryptCuts(t *testing.T) {
	const stored = "bcrypt$$2b$04$abcdefghijklmnopqrstuuNt.0ah97gHY3F7JC1Z6EXmQc0bQBhIO"
	long := strings.Repeat("p", 100)
	for _, password := range []string{long, long[:72], long[:72] + "q"} {
		ok, err := foreignhash.Django(t.Context(), stored, password)
		require.NoError(t, err)
		assert.True(t, ok)
	}
	ok, err := foreignhash.Django(t.Context(), stored, long[:71])
	require.NoError(t, err)
	assert.False(t, ok)
}

func TestDjangoUserWithoutPassword(t *testing.T) {
	for _, stored := range []string{"!", "!Zx3KlmnopqrstuVWXYZ0123456789abcdefghij", "!pbkdf2_sha256$1000$a$b"} {
		for _, f := range []verifier{foreignhash.Verify, foreignhash.Django} {
			for _, password := range []string{"", "!", stored, umlaut} {
				ok, err := f(t.Context(), stored, password)
				require.NoError(t, err)
				assert.False(t, ok)
			}
		}
	}
}

func TestContextThatEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, v := range vectors() {
		ok, err := foreignhash.Verify(ctx, v.stored, v.password)
		require.ErrorIs(t, err, context.Canceled)
		assert.False(t, ok)
	}
}
