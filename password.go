package auth

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/ostiary/auth/internal/passhash"
)

const (
	// minPassword is the least number of code points of a new password (OWASP ASVS 5.0,
	// 6.2.1).
	minPassword = 8

	// maxPassword is the largest number of bytes of a password: enough for a phrase in
	// any script, and little to hash for a flood of them.
	maxPassword = passhash.MaxPassword
)

// passwordProblem says what is wrong with a new password, "" if nothing is. There are no
// other rules, and nothing is trimmed: it counts exactly as it was given (OWASP ASVS 5.0,
// 6.2.5 and 6.2.8).
func (a *Authenticator) passwordProblem(password string) string {
	if least := a.minPassword(); utf8.RuneCountInString(password) < least {
		return fmt.Sprintf("Password must be at least %d characters long", least)
	}
	return unhashable(password)
}

// loginPasswordProblem says why the password can be nobody's, "" if it can be somebody's.
// That it is too short for a new one is no reason: nothing tells it from a wrong one.
func (a *Authenticator) loginPasswordProblem(password string) string {
	problem := unhashable(password)
	if password == "" {
		problem = "Password must not be empty."
	}
	if a.cfg.InsecureTutorialMode {
		return tutorialLoginPassword(password, problem)
	}
	return problem
}

// unhashable says why a password can be nobody's, "" if it can be somebody's.
func unhashable(password string) string {
	switch {
	case len(password) > maxPassword:
		return fmt.Sprintf("Password must not be longer than %d bytes", maxPassword)
	case strings.ContainsRune(password, 0):
		// bcrypt repeats its input, with a NUL after it, to 72 bytes: a NUL inside would
		// make different passwords equal.
		return "Password must not contain a NUL character"
	case !utf8.ValidString(password):
		return "Password must be valid text"
	}
	return ""
}
