package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// checker is a hook for Config.CheckPassword.
type checker struct {
	asked  []auth.NewPassword
	answer error
}

func (c *checker) on(cfg *auth.Config) {
	cfg.CheckPassword = func(_ context.Context, p auth.NewPassword) error {
		c.asked = append(c.asked, p)
		return c.answer
	}
}

// The hook is given the call's context, and the name, the address and the password as they
// will be stored.
func TestCheckPasswordSeesWhatIsStored(t *testing.T) {
	type key struct{}
	for name, test := range map[string]struct {
		edit func(*auth.Config)
		want string
	}{
		"default":  {func(*auth.Config) {}, "  correct  horse "},
		"tutorial": {tutorialMode, "correct  horse"}, // trims
	} {
		c := &checker{}
		var value any
		w := onMemory(t, test.edit, c.on, func(cfg *auth.Config) {
			then := cfg.CheckPassword
			cfg.CheckPassword = func(ctx context.Context, p auth.NewPassword) error {
				value = ctx.Value(key{})
				return then(ctx, p)
			}
		})
		user, err := w.Signup(context.WithValue(t.Context(), key{}, "a trace"), auth.SignupInput{
			Name: " Zoe\u0308 Lee ", Email: " Zoe@Example.com ", Password: "  correct  horse ",
		})
		require.NoError(t, err)
		assert.Equal(t, []auth.NewPassword{{Password: test.want, Name: "Zo\u00eb Lee", Email: "Zoe@Example.com"}}, c.asked, name)
		assert.Equal(t, auth.User{ID: user.ID, Name: "Zo\u00eb Lee", Email: "Zoe@Example.com"}, user)
		assert.Equal(t, "a trace", value)
	}
}

// The hook may take long or cost something, so that it is asked about nothing that is
// refused anyway: for its form, or for a limit.
//
// ASVS: 6.2.12.
func TestCheckPasswordComesLast(t *testing.T) {
	c := &checker{}
	w := onMemory(t, c.on)
	client := auth.Client{IP: netip.MustParseAddr("192.0.2.7")}
	try := func(name, address, password string) error {
		_, err := w.Signup(t.Context(), auth.SignupInput{Name: name, Email: address, Password: password, Client: client})
		return err
	}
	for _, bad := range [][3]string{
		{"A", ann, password},
		{"Ann Lee", "ann", password},
		{"Ann Lee", ann, "short"},
		{"Ann Lee", ann, "password"},
		{"Anneliese Lee", ann, "anneliese1"},
		{"Ann Lee", ann, "correct\x00horse"},
	} {
		var invalid *auth.ValidationError
		require.ErrorAs(t, try(bad[0], bad[1], bad[2]), &invalid)
	}
	assert.Empty(t, c.asked)

	var limited *auth.RateLimitError
	require.NoError(t, try("Ann Lee", ann, password))
	const taken = 5
	for range taken {
		require.ErrorIs(t, try("Ann Lee", ann, password), auth.ErrEmailTaken)
	}
	asked := len(c.asked)
	assert.Equal(t, 1+taken, asked)
	require.ErrorAs(t, try("Bob Lee", "bob@example.com", password), &limited)
	assert.Len(t, c.asked, asked)
}

// A refusal of the hook's is told field by field, in either mode; any other error is an
// outage, whose cause only the log learns. Neither leaves a user.
//
// ASVS: 6.2.12.
func TestCheckPasswordAnswers(t *testing.T) {
	refusal := &auth.ValidationError{Fields: map[string]string{"password": "It leaked", "name": "It is in the password"}}
	for mode, edit := range map[string]func(*auth.Config){"default": func(*auth.Config) {}, "tutorial": tutorialMode} {
		t.Run(mode, func(t *testing.T) {
			c := &checker{}
			w := onMemory(t, c.on, edit)
			hashes := countHashes(w.Authenticator)
			s := serve(t, w.Handler(""))
			for _, answer := range []error{refusal, fmt.Errorf("around: %w", refusal)} {
				c.answer = answer
				got := s.do(t, http.MethodPost, "/signup", signupBody(t, ann))
				assert.Equal(t, http.StatusUnprocessableEntity, got.status, got.body)
				if mode == "default" {
					assert.Equal(t, refusal.Fields, got.message(t).Errors)
				} else {
					assert.Contains(t, got.body, "It ")
				}
			}
			for _, answer := range []error{errors.New("the cause"), context.DeadlineExceeded, auth.ErrUnavailable, auth.ErrEmailTaken, auth.ErrInvalidCredentials, auth.ErrUserNotFound} {
				c.answer = answer
				got := s.do(t, http.MethodPost, "/signup", signupBody(t, ann))
				assert.Equal(t, http.StatusServiceUnavailable, got.status, "%v: %s", answer, got.body)
				assert.NotContains(t, got.body, "cause")
				_, err := w.Signup(t.Context(), auth.SignupInput{Name: "Ann Lee", Email: ann, Password: password})
				require.ErrorIs(t, err, auth.ErrUnavailable)
				require.ErrorIs(t, err, answer)
			}
			assert.Contains(t, w.log.String(), "Config.CheckPassword: the cause")
			assert.Zero(t, hashes.Load())
			_, err := w.stores.Users.UserByEmail(t.Context(), ann)
			require.ErrorIs(t, err, auth.ErrUserNotFound)

			c.asked, c.answer = nil, nil
			assert.Equal(t, http.StatusCreated, s.do(t, http.MethodPost, "/signup", signupBody(t, ann)).status)
			assert.Len(t, c.asked, 1)
		})
	}
}

// The tutorial's front end accepts any password of 4 characters.
func TestTutorialModeTakesAnyPassword(t *testing.T) {
	w := onMemory(t, tutorialMode, noLimits, func(c *auth.Config) { c.SiteWords = []string{"ostiary"} })
	for i, common := range []string{"1234", "password", "PASSWORD", "ann lee", "Ann Lee 1", "ostiary", "user6@example.com"} {
		assert.Empty(t, w.trySignup(t, fmt.Sprintf("user%d@example.com", i), common), common)
	}
}

// Nothing is asked of what a password is made of but its length: no classes of letters, no
// digits, no signs.
//
// ASVS: 6.2.5.
func TestPasswordsNeedNoComposition(t *testing.T) {
	w := onMemory(t, noLimits)
	for i, plain := range []string{
		"wobblyfern", "WOBBLYFERN", "8264917530", "!?!?!?!?", "        ", "ééééééééé", "🦊🦊🦊🦊🦊🦊🦊🦊", "zzzzzzzz",
		"ann lee sails a small red boat", "my mail is user0@example.com, is it not",
	} {
		assert.Empty(t, w.trySignup(t, fmt.Sprintf("user%d@example.com", i), plain), plain)
	}
}
