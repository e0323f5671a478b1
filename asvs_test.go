package auth_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/mysqltest"
)

// Tests of docs/asvs.md that stand nowhere else.

// A database that was just made has no user whom somebody could log in as, and New makes
// none.
//
// ASVS: 6.3.2.
func TestNoUsersToBeginWith(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		w := onServer(t, s)
		users, sessions := w.rows(t)
		assert.Zero(t, users)
		assert.Zero(t, sessions)
		for _, name := range []string{"admin", "root", "test", "user", "guest"} {
			_, err := w.stores.Users.UserByEmail(t.Context(), name+"@example.com")
			require.ErrorIs(t, err, auth.ErrUserNotFound)
		}
	})
}

// A password is as good after ten years as on its first day.
//
// ASVS: 6.2.10.
func TestPasswordsDoNotExpire(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, ann)
	for range 10 {
		w.advance(365 * 24 * time.Hour)
		w.logIn(t, ann)
	}
}

// A login begins a session of its own, whatever tokens came with it: those of somebody
// else, who has put them into the browser, or of the user's last session.
//
// ASVS: 7.2.4.
// Advisory: CVE-2024-28197, CVE-2024-38513.
func TestLoginAdoptsNoSession(t *testing.T) {
	w := onMemory(t, withCookies)
	w.signUp(t, ann)
	w.signUp(t, bob)
	h := w.Handler("")
	seen := map[auth.SessionID]bool{}
	for _, planted := range []auth.Tokens{w.logIn(t, bob), w.logIn(t, ann)} {
		seen[planted.SessionID] = true
		before := w.state(t, planted.SessionID)
		for _, headers := range [][]string{
			{"Cookie", "__Host-auth-access=" + planted.AccessToken + "; __Host-auth-refresh=" + planted.RefreshToken, "Sec-Fetch-Site", "same-origin"},
			append(bearer(planted.RefreshToken), "Sec-Fetch-Site", "same-origin"),
			{"Sec-Fetch-Site", "same-origin", "Cookie", "session_id=" + planted.SessionID.String()},
		} {
			got := direct(t, h, newRequest(t, http.MethodPost, ownOrigin+"/login", loginBody(t, ann), headers...))
			require.Equal(t, http.StatusOK, got.status, got.body)
			claims, err := w.Verify(got.setCookies(t)["__Host-auth-access"].value)
			require.NoError(t, err)
			assert.False(t, seen[claims.SessionID])
			seen[claims.SessionID] = true
		}
		assert.Equal(t, before, w.state(t, planted.SessionID), "nothing was done to it")
	}
}

// Hash functions and ciphers that are broken are imported nowhere, but SHA-1 where a
// service or another system's hashes are made of it.
//
// ASVS: 11.2.1, 11.4.1.
func TestHashFunctions(t *testing.T) {
	broken := map[string][]string{
		"crypto/md5": nil, "crypto/sha1": {"pwned", "foreignhash"}, "crypto/des": nil, "crypto/rc4": nil, "crypto/dsa": nil,
		"math/rand": nil, "golang.org/x/crypto/md4": nil, "golang.org/x/crypto/ripemd160": nil,
	}
	sources := 0
	require.NoError(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (path == "examples" || path == "e2e" || path == "bench" || path == "tools" || strings.HasPrefix(d.Name(), ".")):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		sources++
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			name := strings.Trim(spec.Path.Value, `"`)
			if allowed, ok := broken[name]; ok {
				assert.Contains(t, allowed, filepath.ToSlash(filepath.Dir(path)), "%s imports %s", path, name)
			}
		}
		return nil
	}))
	assert.Greater(t, sources, 50)
}
