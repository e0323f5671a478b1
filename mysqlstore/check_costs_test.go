package mysqlstore_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/mysqltest"
	"github.com/ostiary/auth/memstore"
)

const (
	bcryptRest   = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	argon2idRest = "$2a99aaaaaaaaaaaaaaaaaa$2a99aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
)

// withHashes makes users with these hashes, from the ID 1 on.
func withHashes(t *testing.T, users auth.UserStore, hashes ...string) {
	t.Helper()
	for i, hash := range hashes {
		u := ann()
		u.EmailKey, u.PasswordHash = fmt.Sprint(i), hash
		_, err := users.CreateUser(t.Context(), u)
		require.NoError(t, err)
	}
}

// A stored cost above the configured one shows in the time of a failed login.
func TestCheckFindsCosts(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		db, store := migrated(t, server)
		check := store.Stores().Check
		withHashes(t, store.Stores().Users,
			"$2a$10$"+bcryptRest, "", "no hash",
			"bcrypt-sha384:$2a$12$"+bcryptRest,
			"bcrypt-tutorial:$2b$13$"+bcryptRest,
			"$2y$14$"+bcryptRest,
			"$argon2id$v=19$m=19456,t=2,p=1"+argon2idRest,
			"argon2id-tutorial:$argon2id$v=19$m=19456,t=2,p=1"+argon2idRest,
			"bcrypt$$2b$17$"+bcryptRest, // Django's
			"$2b$x4$"+bcryptRest,
		)
		argon2id := auth.Argon2id{Memory: 19456, Time: 2, Threads: 1}
		for cost, want := range map[int]string{
			0: "", 14: "", 18: "",
			4:  "4 password hashes, the first of them user 1's, have a cost above HashCost 4, up to 14",
			10: "3 password hashes, the first of them user 4's, have a cost above HashCost 10, up to 14",
			13: "1 password hashes, the first of them user 6's, have a cost above HashCost 13, up to 14",
		} {
			findings, err := check(t.Context(), auth.CheckInput{HashCost: cost, Argon2id: argon2id})
			require.NoError(t, err)
			if want == "" {
				assert.Empty(t, findings, cost)
				continue
			}
			assert.Equal(t, []auth.Finding{{Problem: want, Mend: "set HashCost to 14"}}, findings)
		}
		mustExec(t, db, "DROP TABLE refresh_tokens, users")
		findings, err := check(t.Context(), auth.CheckInput{HashCost: 12})
		require.NoError(t, err)
		assert.Len(t, findings, 2, "where there are no users there are no costs")
	})
}

// So does argon2id's work, and each of its hashes where it is not configured. What is
// advised covers every hash, and New accepts it.
func TestCheckFindsCostsOfArgon2id(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		_, store := migrated(t, server)
		withHashes(t, store.Stores().Users,
			"$2a$12$"+bcryptRest,
			"$argon2id$v=19$m=19456,t=1,p=1"+argon2idRest,
			"$argon2id$v=19$m=19456,t=2,p=1"+argon2idRest,
			"argon2id-tutorial:$argon2id$v=19$m=12288,t=4,p=1"+argon2idRest,
			"$argon2id$v=19$m=47104,t=1,p=4"+argon2idRest,
			"$argon2id$v=19$m=4096,t=16,p=2"+argon2idRest,
			"argon2$argon2id$v=19$m=262144,t=16,p=2"+argon2idRest, // Django's
			"$argon2id$v=16$m=262144,t=16,p=2"+argon2idRest,
			"$argon2id$v=19$m=262144"+argon2idRest,
		)
		for configured, want := range map[auth.Argon2id]auth.Finding{
			{}: {
				Problem: "5 password hashes, the first of them user 2's, are argon2id's, and Config.Argon2id is not set",
				Mend:    "set Config.Argon2id to Memory 47104, Time 16, Threads 4, or have these users log in, which makes their hashes bcrypt's",
			},
			{Memory: 19456, Time: 2, Threads: 1}: {
				Problem: "3 password hashes, the first of them user 4's, are argon2id's with more work than Config.Argon2id's 19456 KiB × 2",
				Mend:    "set Config.Argon2id to Memory 47104, Time 16, Threads 4",
			},
			{Memory: 47104, Time: 1, Threads: 8}: {
				Problem: "2 password hashes, the first of them user 4's, are argon2id's with more work than Config.Argon2id's 47104 KiB × 1",
				Mend:    "set Config.Argon2id to Memory 47104, Time 16, Threads 8",
			},
			{Memory: 65536, Time: 1, Threads: 1}: {},
		} {
			findings, err := store.Stores().Check(t.Context(), auth.CheckInput{HashCost: 12, Argon2id: configured})
			require.NoError(t, err)
			if want == (auth.Finding{}) {
				assert.Empty(t, findings)
				continue
			}
			require.Equal(t, []auth.Finding{want}, findings)
			var a auth.Argon2id
			_, advice, _ := strings.Cut(want.Mend, "Config.Argon2id to ")
			_, err = fmt.Sscanf(advice, "Memory %d, Time %d, Threads %d", &a.Memory, &a.Time, &a.Threads)
			require.NoError(t, err)
			again, err := store.Stores().Check(t.Context(), auth.CheckInput{HashCost: 12, Argon2id: a})
			require.NoError(t, err)
			assert.Empty(t, again)
			assertAccepted(t, auth.Config{Argon2id: &a})
		}
	})
}

// What no configuration lets in is no reason to change it.
func TestCheckFindsCostsThatAreRefused(t *testing.T) {
	_, store := migrated(t, mysqltest.Default(t))
	withHashes(t, store.Stores().Users,
		"$2b$18$"+bcryptRest,
		"$argon2id$v=19$m=262145,t=1,p=1"+argon2idRest,
		"bcrypt-sha384:$2b$20$"+bcryptRest,
		"$argon2id$v=19$m=64,t=17,p=1"+argon2idRest,
		"$2b$19$"+bcryptRest,
		"$argon2id$v=19$m=262144,t=1,p=1"+argon2idRest,
	)
	argon2id := auth.Argon2id{Memory: 262144, Time: 1, Threads: 1}
	refused := auth.Finding{
		Problem: "4 password hashes, the first of them user 2's: they ask for more work than is allowed, and nobody can log in with them",
		Mend:    "have these users set a new password",
	}
	findings, err := store.Stores().Check(t.Context(), auth.CheckInput{HashCost: 18, Argon2id: argon2id})
	require.NoError(t, err)
	assert.Equal(t, []auth.Finding{refused}, findings)

	findings, err = store.Stores().Check(t.Context(), auth.CheckInput{HashCost: 12, Argon2id: argon2id})
	require.NoError(t, err)
	assert.Equal(t, []auth.Finding{{
		Problem: "1 password hashes, the first of them user 1's, have a cost above HashCost 12, up to 18", Mend: "set HashCost to 18",
	}, refused}, findings)
	assertAccepted(t, auth.Config{HashCost: 18})
}

// assertAccepted wants New to accept what is set.
func assertAccepted(t *testing.T, cfg auth.Config) {
	t.Helper()
	cfg.Tokens.AccessKeys = []auth.Key{auth.HMACKey([]byte("an access key of 32 bytes, at least"))}
	cfg.Tokens.RefreshKeys = []auth.Key{auth.HMACKey([]byte("a refresh key of 32 bytes, at least"))}
	_, err := auth.New(memstore.New(memstore.Options{}).Stores(), cfg)
	require.NoError(t, err)
}
