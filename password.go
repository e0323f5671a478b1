package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/ostiary/auth/internal/commonpw"
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

// NewPassword is a password that somebody wants to have, and whose it will be. It redacts
// itself when it is printed or logged.
type NewPassword struct {
	Password string
	Name     string
	Email    string
}

// Format writes nothing of the password, whatever the verb.
func (NewPassword) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "auth.NewPassword{REDACTED}")
}

// LogValue holds nothing of the password.
func (NewPassword) LogValue() slog.Value { return slog.StringValue("REDACTED") }

// passwordProblem says what is wrong with a new password, "" if nothing is. There are no
// other rules, and nothing is trimmed: it counts exactly as it was given (OWASP ASVS 5.0,
// 6.2.5 and 6.2.8).
func (a *Authenticator) passwordProblem(p NewPassword) string {
	if least := a.minPassword(); utf8.RuneCountInString(p.Password) < least {
		return fmt.Sprintf("Password must be at least %d characters long", least)
	}
	if problem := unhashable(p.Password); problem != "" || a.cfg.InsecureTutorialMode {
		return problem
	}
	switch {
	case commonpw.Has(p.Password):
		return "Password must not be one of the most common ones"
	case isMadeOf(p.Password, contextWords(p, a.cfg.SiteWords)):
		return "Password must not be made of your name, your e-mail address or the name of this site"
	}
	return ""
}

const (
	// minContextWord is how many code points a part of a name or an address has at least
	// that a password is looked through for: shorter ones are in too many good ones.
	minContextWord = 4

	// minWholeName is the same for a whole name and for the site's words.
	minWholeName = 2
)

// isMadeOf says whether some of the words are in a password and too little is left without
// them: fewer code points than a password has or, separators aside, no word.
func isMadeOf(password string, words []string) bool {
	leaves := func(text string, least int) bool {
		left := without(text, words)
		return left == text || utf8.RuneCountInString(left) >= least
	}
	password = folded(password)
	return !leaves(password, minPassword) || !leaves(joined(password), minContextWord)
}

// contextWords are the words that everybody who knows the user or the site can guess,
// folded, the longest first (OWASP ASVS 5.0, 6.2.11).
func contextWords(p NewPassword, siteWords []string) []string {
	local, domain, _ := strings.Cut(p.Email, "@")
	var words []string
	add := func(least int, texts ...string) {
		for _, text := range texts {
			if utf8.RuneCountInString(text) >= least {
				words = append(words, text)
			}
		}
	}
	for _, text := range append([]string{p.Name}, siteWords...) {
		text = folded(text)
		add(minWholeName, text, joined(text))
		add(minContextWord, strings.FieldsFunc(text, isSeparator)...)
	}
	for _, text := range []string{p.Email, local, domain} {
		text = folded(text)
		add(minContextWord, text, joined(text))
		add(minContextWord, strings.FieldsFunc(text, isSeparator)...)
	}
	slices.SortFunc(words, func(a, b string) int { return len(b) - len(a) })
	return words
}

// folded is what texts are compared as: lower case, in NFC.
func folded(text string) string { return norm.NFC.String(strings.ToLower(text)) }

// joined is a text without its separators.
func joined(text string) string { return strings.Join(strings.FieldsFunc(text, isSeparator), "") }

// isSeparator says that a rune is of no word: neither a letter nor a digit nor a mark on one.
func isSeparator(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
}

// without is a text without the words.
func without(text string, words []string) string {
	for _, word := range words {
		text = strings.ReplaceAll(text, word, "")
	}
	return text
}

// hashNew returns the hash of a new password that has passed passwordProblem. It returns
// what Config.CheckPassword refuses it with, or an error that Is ErrUnavailable.
func (a *Authenticator) hashNew(ctx context.Context, p NewPassword, c Client) (string, error) {
	if a.cfg.CheckPassword != nil {
		err := a.cfg.CheckPassword(ctx, p)
		if _, ok := errors.AsType[*ValidationError](err); ok {
			return "", err
		}
		if err != nil {
			return "", fmt.Errorf("%w: Config.CheckPassword: %w", ErrUnavailable, err)
		}
	}
	leave, err := a.enterGate(ctx, c)
	if err != nil {
		return "", err
	}
	defer leave()
	hash, err := a.hasher.Hash(p.Password)
	if err != nil {
		return "", fmt.Errorf("auth: hash: %w", err)
	}
	return hash, nil
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
