package auth_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

func tutorialMode(c *auth.Config) { c.InsecureTutorialMode = true }

// trySignup is the refusal of the password at a sign-up, "" if there is none.
func (w *world) trySignup(t *testing.T, address, password string) string {
	t.Helper()
	_, err := w.Signup(t.Context(), auth.SignupInput{Name: "Ann Lee", Email: address, Password: password})
	if invalid, ok := errors.AsType[*auth.ValidationError](err); ok {
		require.Len(t, invalid.Fields, 1)
		return invalid.Fields["password"]
	}
	require.NoError(t, err)
	return ""
}

// Passwords have 8 code points at least and 1024 bytes at most; there is no other rule.
//
// ASVS: 2.2.1, 6.2.1, 6.2.5, 6.2.9.
func TestPasswordRules(t *testing.T) {
	const (
		short = "Password must be at least 8 characters long"
		long  = "Password must not be longer than 1024 bytes"
		nul   = "Password must not contain a NUL character"
		text  = "Password must be valid text"
	)
	for name, c := range map[string]struct{ password, problem string }{
		"empty":                         {"", short},
		"7 letters":                     {"sevenle", short},
		"8 letters":                     {"eightlet", ""},
		"8 equal letters":               {"aaaaaaaa", ""},
		"7 emoji":                       {strings.Repeat("😀", 7), short},
		"8 emoji":                       {strings.Repeat("😀", 8), ""},
		"64 emoji":                      {strings.Repeat("😀", 64), ""},
		"7 letters of two bytes":        {strings.Repeat("é", 7), short},
		"a letter and seven accents":    {"e" + strings.Repeat("\u0301", 7), ""},
		"lower case words":              {"correct horse battery staple", ""},
		"15 spaces and letters":         {"a b c d e f g h", ""},
		"8 spaces":                      {"        ", ""},
		"7 letters and a line break":    {"sevenle\n", ""},
		"72 bytes":                      {strings.Repeat("p", 72), ""},
		"73 bytes":                      {strings.Repeat("p", 73), ""},
		"1024 bytes":                    {strings.Repeat("p", 1024), ""},
		"1025 bytes":                    {strings.Repeat("p", 1025), long},
		"1024 bytes of emoji":           {strings.Repeat("😀", 256), ""},
		"NUL":                           {"password\x00", nul},
		"NUL in front":                  {"\x00password", nul},
		"NUL far behind":                {strings.Repeat("p", 100) + "\x00", nul},
		"no UTF-8":                      {"password\xff", text},
		"half a surrogate":              {"password\xed\xa0\x80", text},
		"7 letters and what is trimmed": {"sevenle\u00A0", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := onMemory(t)
			require.Equal(t, c.problem, w.trySignup(t, ann, c.password))
			if c.problem == "" {
				_, err := w.tryLogin(t, ann, c.password)
				require.NoError(t, err)
				return
			}
			_, err := w.stores.Users.UserByEmail(t.Context(), ann)
			require.ErrorIs(t, err, auth.ErrUserNotFound)
		})
	}
}

// A password is exactly what was typed: not trimmed, not cut, in no other case, in no
// other normal form.
//
// ASVS: 6.2.8.
func TestPasswordsCountByteForByte(t *testing.T) {
	long := strings.Repeat("p", 80)
	for typed, others := range map[string][]string{
		"  spaced out  ": {"spaced out", "  spaced out", "spaced out  ", "  spaced out   "},
		"correct horse":  {" correct horse", "correct horse ", "Correct horse", "correct horse\n", "correct  horse"},
		"caf\u00E9 noir": {"cafe\u0301 noir", "cafe noir"},
		long:             {long[:72], long[:72] + "qqqqqqqq", long[:79] + "q", " " + long, long + "p", long[:79]},
		long[:72]:        {long, long[:71], long[:72] + "q", " " + long[:72]},
	} {
		w := onMemory(t, noLimits)
		require.Empty(t, w.trySignup(t, ann, typed))
		for _, other := range others {
			_, err := w.tryLogin(t, ann, other)
			require.ErrorIs(t, err, auth.ErrInvalidCredentials, "%q for %q", other, typed)
		}
		_, err := w.tryLogin(t, ann, typed)
		require.NoError(t, err)
	}
}

// What can be nobody's password is refused before the user is looked for.
func TestPasswordsRefusedAtLogin(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, ann)
	a, s := w.scripted(t)
	for _, impossible := range []string{"", "pass\x00word", strings.Repeat("p", 1025), "\xff"} {
		for _, address := range []string{ann, "nobody@example.com"} {
			_, err := a.Login(t.Context(), auth.LoginInput{Email: address, Password: impossible})
			var invalid *auth.ValidationError
			require.ErrorAs(t, err, &invalid)
			assert.Contains(t, invalid.Fields, "password")
		}
	}
	assert.Empty(t, s.calls())
	_, err := w.tryLogin(t, ann, "x")
	require.ErrorIs(t, err, auth.ErrInvalidCredentials, "short is no reason: an old rule may have allowed it")
}

// The tutorial mode trims passwords as JavaScript does and wants four code points.
func TestPasswordRulesOfTheTutorialMode(t *testing.T) {
	for name, c := range map[string]struct {
		password string
		problem  bool
	}{
		"3 letters":             {"abc", true},
		"4 letters":             {"abcd", false},
		"4 emoji":               {"😀😀😀😀", false},
		"3 letters and space":   {"abc ", true},
		"spaces":                {"        ", true},
		"spaced":                {"\uFEFF\u00A0 abcd\n", false},
		"U+0085 is no space":    {"\u0085abc", false},
		"U+200B is no space":    {"\u200Babc", false},
		"NUL":                   {"abcd\x00", true},
		"1025 bytes":            {strings.Repeat("p", 1025), true},
		"1025 bytes with space": {strings.Repeat("p", 1024) + " ", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := onMemory(t, tutorialMode)
			assert.Equal(t, c.problem, w.trySignup(t, ann, c.password) != "")
			if !c.problem {
				_, err := w.tryLogin(t, ann, " "+c.password+"\u2029")
				require.NoError(t, err)
			}
		})
	}
}

// Hashes that were taken over from the tutorial are compared as it compared them, in
// either mode, whatever the order of the spellings, and still are when a login raised
// their cost.
func TestTutorialHashesAtLogin(t *testing.T) {
	const spaced, trimmed = "  spaced out  ", "spaced out"
	long := strings.Repeat("p", 80)
	for mode, edit := range map[string]func(*auth.Config){"default": func(*auth.Config) {}, "tutorial": tutorialMode} {
		for _, spellings := range [][]string{{spaced, trimmed}, {trimmed, spaced}} {
			t.Run(mode+" "+spellings[0], func(t *testing.T) {
				everywhere(t, func(t *testing.T, w *world) {
					eve := w.withHash(t, "eve@example.com", marked(t, hashOf(t, trimmed, 4)))
					w.withHash(t, "long@example.com", marked(t, hashOf(t, long[:72], 4)))
					for range 2 {
						for _, typed := range spellings {
							_, err := w.tryLogin(t, "eve@example.com", typed)
							require.NoError(t, err, "%q", typed)
							assert.Regexp(t, `^bcrypt-tutorial:\$2[ab]\$05\$`, w.hash(t, eve))
						}
						for _, typed := range []string{long, long[:72], long[:72] + "another tail", " " + long} {
							_, err := w.tryLogin(t, "long@example.com", typed)
							require.NoError(t, err, "%q", typed)
						}
					}
					for _, wrong := range []string{"spaced", "spacedout", "Spaced out", "x" + spaced} {
						_, err := w.tryLogin(t, "eve@example.com", wrong)
						require.ErrorIs(t, err, auth.ErrInvalidCredentials, "%q", wrong)
					}
					_, err := w.tryLogin(t, "long@example.com", long[:71])
					require.ErrorIs(t, err, auth.ErrInvalidCredentials)

					// Nobody else gains by it: every byte of a new password counts.
					require.Empty(t, w.trySignup(t, "new@example.com", long))
					for _, wrong := range []string{long[:72], long[:72] + "another tail", long[:79] + "q"} {
						_, err := w.tryLogin(t, "new@example.com", wrong)
						require.ErrorIs(t, err, auth.ErrInvalidCredentials, "%q", wrong)
					}
					_, err = w.tryLogin(t, "new@example.com", " "+long)
					assert.Equal(t, mode == "tutorial", err == nil, "a space before it: %v", err)
					_, err = w.tryLogin(t, "new@example.com", long)
					require.NoError(t, err)
				}, edit, cost(5))
			})
		}
	}
}

// Of parallel sign-ups of one address, however it is spelled, one wins.
//
// ASVS: 2.3.4, 15.4.2.
func TestParallelSignups(t *testing.T) {
	const signups = 50
	spellings := []string{ann, "ANN@example.com", "Ann@EXAMPLE.com", " ann@example.com "}
	everywhere(t, func(t *testing.T, w *world) {
		instances := []*auth.Authenticator{w.Authenticator, w.another(t)}
		errs := make([]error, signups)
		start := make(chan struct{})
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				<-start
				_, errs[i] = instances[i%2].Signup(t.Context(), auth.SignupInput{
					Name: "Ann Lee", Email: spellings[i%len(spellings)], Password: password,
				})
			})
		}
		close(start)
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
				continue
			}
			require.ErrorIs(t, err, auth.ErrEmailTaken)
		}
		assert.Equal(t, 1, won)
		w.logIn(t, ann)
	})
}

// The same over HTTP: one 201, else 422, no 5xx.
func TestParallelSignupsOverHTTP(t *testing.T) {
	const signups = 50
	everywhere(t, func(t *testing.T, w *world) {
		h := w.Handler("")
		requests := make([]*http.Request, signups)
		for i := range requests {
			requests[i] = newRequest(t, http.MethodPost, "http://example.com/signup", signupBody(t, ann))
			requests[i].RemoteAddr = fmt.Sprintf("192.0.2.%d:1234", i) // one client may not have as many waiting
		}
		statuses := make([]int, signups)
		var wg sync.WaitGroup
		for i, r := range requests {
			wg.Go(func() {
				rec := httptest.NewRecorder()
				h.ServeHTTP(rec, r)
				statuses[i] = rec.Code
			})
		}
		wg.Wait()
		count := map[int]int{}
		for _, status := range statuses {
			count[status]++
		}
		assert.Equal(t, map[int]int{http.StatusCreated: 1, http.StatusUnprocessableEntity: signups - 1}, count)
	}, func(c *auth.Config) { c.InsecureNoLimits = true })
}
