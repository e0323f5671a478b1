package auth

import (
	"errors"
	"fmt"
	"net/http"
	"unicode/utf8"

	"github.com/ostiary/auth/internal/tutorial"
)

// tutorialMinPassword is the tutorial's least number of code points of a password.
const tutorialMinPassword = 4

// errUnknownEmail Is ErrInvalidCredentials; only the tutorial mode tells it from a wrong
// password.
var errUnknownEmail = fmt.Errorf("%w", ErrInvalidCredentials)

// errProfileGone Is ErrSessionEnded: a valid access token whose user is not there.
var errProfileGone = fmt.Errorf("%w", ErrSessionEnded)

// trim is what the tutorial does to every field first, and nothing in default mode.
func (a *Authenticator) trim(s string) string {
	if a.cfg.InsecureTutorialMode {
		return tutorial.Trim(s)
	}
	return s
}

func (a *Authenticator) minPassword() int {
	if a.cfg.InsecureTutorialMode {
		return tutorialMinPassword
	}
	return minPassword
}

func (a *Authenticator) unknownEmail() error {
	if a.cfg.InsecureTutorialMode {
		return errUnknownEmail
	}
	return ErrInvalidCredentials
}

// tutorialLoginPassword is loginPasswordProblem's answer, given the default mode's.
func tutorialLoginPassword(password, problem string) string {
	if problem != "" || utf8.RuneCountInString(password) < tutorialMinPassword {
		return "Incorrect Password"
	}
	return ""
}

// shownName is a name as a response shows it: the tutorial's front end puts it into HTML
// as it is.
func (a *Authenticator) shownName(name string) string {
	if a.cfg.InsecureTutorialMode {
		return tutorial.Escape(name)
	}
	return name
}

// tutorialProblem is what the tutorial answers where the default mode would answer p.
func tutorialProblem(err error, p problem) problem {
	p.code = ""
	var credentials *credentialsError
	switch {
	case errors.Is(err, ErrUnavailable): // whatever a hook's error Is beside
	case errors.As(err, &credentials):
		p = problem{status: http.StatusUnprocessableEntity, fields: map[string]string{"authorization": p.message}}
	case errors.Is(err, errUnknownEmail):
		p = problem{status: http.StatusUnprocessableEntity, fields: map[string]string{"email": "Your email is not registered."}}
	case errors.Is(err, ErrInvalidCredentials):
		p = problem{status: http.StatusUnprocessableEntity, message: "Incorrect password!"}
	case errors.Is(err, errProfileGone):
		p = problem{status: http.StatusNotFound, message: "User not found"}
	case errors.Is(err, ErrTokenMalformed):
		p.message = "Unauthorized: jwt malformed"
	case errors.Is(err, ErrTokenSignature):
		p.message = "Unauthorized: invalid signature"
	case errors.Is(err, ErrTokenExpired):
		p.message = "Unauthorized: jwt expired"
	}
	return p
}
