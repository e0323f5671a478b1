// Package pwned asks Have I Been Pwned how often a password was found in leaks, so that a
// host can refuse it as a new one (OWASP ASVS 5.0, 6.2.12).
//
// The service never learns the password: it is sent the first 5 hexadecimal digits of its
// SHA-1, answers with the rest of every hash that begins so, some 800 of them, and the
// comparison is made here. The answers are padded with rows that count 0, so that their
// size does not tell somebody who sees the encrypted traffic which list it was.
//
// As the hook of package auth, refusing for now where the service is out of reach:
//
//	var leaks pwned.Checker
//	cfg.CheckPassword = func(ctx context.Context, p auth.NewPassword) error {
//		n, err := leaks.Count(ctx, p.Password)
//		if err == nil && n > 0 {
//			return &auth.ValidationError{Fields: map[string]string{"password": "This password is in a list of leaked ones. Choose another"}}
//		}
//		return err
//	}
//
// The error is answered with 503 then, nothing is saved, and nobody can set a password for
// as long as the service is away. The other choice is to accept what could not be checked.
// Who can keep the server from reaching the service then gets leaked passwords through, so
// it belongs in the log, and a monitor on it:
//
//	if errors.Is(err, pwned.ErrUnavailable) {
//		logger.WarnContext(ctx, "password accepted without a look at leaks", "err", err)
//		return nil
//	}
//
// Nothing in this package makes that choice by itself.
package pwned

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha1" //nolint:gosec // G505: the service's hash; nothing rests on its strength
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// ErrUnavailable says that the service gave no answer: it was out of reach or too slow,
// or it answered with another status than 200 or with something else than a list of
// hashes. Nothing is known of the password.
var ErrUnavailable = errors.New("pwned: service unavailable")

const (
	defaultURL     = "https://api.pwnedpasswords.com/range"
	defaultTimeout = time.Second

	// userAgent is sent because the service refuses requests that do not name their sender.
	userAgent = "github.com/ostiary/auth/pwned"

	prefixDigits = 5       // of a hash, that are sent
	suffixDigits = 35      // of a hash, that are compared
	maxAnswer    = 1 << 20 // bytes; padded answers have some 40 KiB
	maxRow       = 128     // bytes
)

var (
	errRow      = errors.New("the answer is no list of hashes")
	errTooLarge = errors.New("the answer is larger than 1 MiB")
	errEmpty    = errors.New("the answer is empty")
)

// Checker asks the service. The zero value asks the public one; it is safe for concurrent
// use.
type Checker struct {
	// URL is where the service is: what the 5 digits are appended to, after a slash. An
	// http URL is for a mirror in a network of the host's own: who can change its answers
	// can hide a leak. Default: https://api.pwnedpasswords.com/range.
	URL string

	// Client sends the requests. Redirects are not followed, whatever it says about them.
	// Default: http.DefaultClient.
	Client *http.Client

	// Timeout bounds a call, from the connection to the last byte of the answer.
	// Default: 1 second, also if it is negative.
	Timeout time.Duration
}

// Count returns how often the password was found in leaks, 0 if never. Every byte of it
// counts.
//
// The error Is ErrUnavailable if the service gave no answer. It is not, but Is ctx.Err(),
// if ctx ended meanwhile; nor is it if URL is malformed. No error has the password or a
// part of its hash in it, unless a Transport of the host's writes it there.
func (c Checker) Count(ctx context.Context, password string) (int, error) {
	base, err := url.Parse(cmp.Or(c.URL, defaultURL))
	if err != nil || base.Scheme != "https" && base.Scheme != "http" || base.Host == "" {
		return 0, errors.New("pwned: Checker.URL is no http or https URL")
	}
	sum := sha1.Sum([]byte(password)) //nolint:gosec // G401: as above
	digest := strings.ToUpper(hex.EncodeToString(sum[:]))

	n, err := c.ask(ctx, base.JoinPath(digest[:prefixDigits]).String(), digest[prefixDigits:])
	switch {
	case err == nil:
		return n, nil
	case ctx.Err() != nil:
		return 0, fmt.Errorf("pwned: %w", ctx.Err())
	default:
		return 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
}

// ask gets the list of hashes and returns the count of the one with the suffix.
func (c Checker) ask(ctx context.Context, address, suffix string) (int, error) {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, withoutURL(err)
	}
	req.Header.Set("Add-Padding", "true")
	req.Header.Set("User-Agent", userAgent)

	client := *cmp.Or(c.Client, http.DefaultClient)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.Do(req)
	if err != nil {
		return 0, withoutURL(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("status %d", res.StatusCode)
	}
	return count(res.Body, suffix)
}

// withoutURL returns the error without the URL that net/http puts in front of it, which
// ends in digits of the hash.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// count reads a whole list of hashes, a row each, and returns the count of the one with
// the suffix, 0 if there is none. A list that was cut short, or that has a row of another
// form, is an error: a hash might be missing in it.
func count(list io.Reader, suffix string) (int, error) {
	limited := &io.LimitedReader{R: list, N: maxAnswer + 1}
	rows := bufio.NewScanner(limited)
	rows.Buffer(make([]byte, maxRow), maxRow)
	found, empty := 0, true
	for rows.Scan() {
		hash, n, ok := parseRow(rows.Text())
		if !ok {
			// The last row is of another form also where the list was cut inside it.
			return 0, cmp.Or(rows.Err(), errRow)
		}
		if strings.EqualFold(hash, suffix) {
			found = max(found, n)
		}
		empty = false
	}
	switch {
	case rows.Err() != nil:
		return 0, rows.Err()
	case limited.N == 0:
		return 0, errTooLarge
	case empty:
		return 0, errEmpty
	}
	return found, nil
}

// parseRow reads the rest of a hash, in hexadecimal digits of either case, a colon, and a
// decimal number.
func parseRow(row string) (hash string, n int, ok bool) {
	hash, digits, _ := strings.Cut(row, ":")
	if len(hash) != suffixDigits || strings.Trim(hash, "0123456789abcdefABCDEF") != "" {
		return "", 0, false
	}
	count, err := strconv.ParseUint(digits, 10, 31)
	return hash, int(count), err == nil
}
