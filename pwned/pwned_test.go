package pwned_test

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/pwned"
)

// digest returns the SHA-1 of the password as the service writes it, cut where it is cut.
func digest(password string) (prefix, suffix string) {
	sum := sha1.Sum([]byte(password))
	all := strings.ToUpper(hex.EncodeToString(sum[:]))
	return all[:5], all[5:]
}

// service speaks the API: it knows how often each password was found.
func service(found map[string]int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		prefix, ok := strings.CutPrefix(r.URL.Path, "/range/")
		if !ok || len(prefix) != 5 || prefix != strings.ToUpper(prefix) {
			http.Error(w, "The hash prefix was not in a valid format", http.StatusBadRequest)
			return
		}
		if r.UserAgent() == "" || strings.HasPrefix(r.UserAgent(), "Go-http-client") {
			http.Error(w, "name yourself", http.StatusForbidden)
			return
		}
		var rows []string
		for i := range 40 {
			rows = append(rows, fmt.Sprintf("%035X:%d", 0xABC0+i, i+1))
		}
		for password, n := range found {
			if p, suffix := digest(password); p == prefix {
				rows = append(rows, fmt.Sprintf("%s:%d", suffix, n))
			}
		}
		if r.Header.Get("Add-Padding") == "true" {
			for i := range 800 {
				rows = append(rows, fmt.Sprintf("%035X:0", 0xDEF0000+i))
			}
		}
		_, _ = io.WriteString(w, strings.Join(rows, "\r\n"))
	})
}

// checker returns a Checker that asks the handler, with more time than a busy machine takes.
func checker(t *testing.T, h http.Handler) pwned.Checker {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return pwned.Checker{URL: s.URL + "/range", Client: s.Client(), Timeout: 10 * time.Second}
}

// says is a service that answers every request so.
func says(status int, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

// row64 is a row of 64 bytes.
func row64(suffix string, n int) string { return fmt.Sprintf("%s:%027d\n", suffix, n) }

// transport is a network without sockets.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(body io.Reader) *http.Response {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(body)}
}

// assertNothingTold wants the error to hold neither "password" nor digits of its hash.
func assertNothingTold(t *testing.T, err error) {
	t.Helper()
	prefix, suffix := digest("password")
	for _, secret := range []string{"password", prefix, suffix} {
		assert.NotContains(t, strings.ToUpper(fmt.Sprintf("%v %+v %#v", err, err, err)), strings.ToUpper(secret))
	}
}

// ASVS: 6.2.12.
func TestCount(t *testing.T) {
	c := checker(t, service(map[string]int{"password": 9545824, "correct horse": 1, "Пароль\x00 ": 7, "": 3}))
	for password, want := range map[string]int{
		"password": 9545824, "correct horse": 1, "Пароль\x00 ": 7, "": 3,
		"Password": 0, "password ": 0, "correct horse battery staple": 0, "Пароль": 0, strings.Repeat("a", 1<<20): 0,
	} {
		n, err := c.Count(t.Context(), password)
		require.NoError(t, err, "%.40q", password)
		assert.Equal(t, want, n, "%.40q", password)
	}
}

func TestCountReadsEveryForm(t *testing.T) {
	_, suffix := digest("password")
	other := strings.Repeat("0", 35)
	for name, c := range map[string]struct {
		body string
		want int
	}{
		"alone":                {suffix + ":5", 5},
		"lower case":           {strings.ToLower(suffix) + ":5", 5},
		"CRLF":                 {other + ":1\r\n" + suffix + ":5\r\n", 5},
		"LF":                   {other + ":1\n" + suffix + ":5\n" + other + ":9\n", 5},
		"last, no end of line": {other + ":1\r\n" + suffix + ":5", 5},
		"padding of its own":   {suffix + ":0", 0},
		"padding before":       {suffix + ":0\r\n" + suffix + ":5\r\n", 5},
		"padding after":        {suffix + ":5\r\n" + suffix + ":0\r\n", 5},
		"absent":               {other + ":1\r\n", 0},
		"the most it can be":   {suffix + ":2147483647", 2147483647},
		"1 MiB":                {row64(suffix, 5) + strings.Repeat(row64(other, 1), 1<<14-1), 5},
	} {
		n, err := checker(t, says(http.StatusOK, c.body)).Count(t.Context(), "password")
		require.NoError(t, err, name)
		assert.Equal(t, c.want, n, name)
	}
}

// ASVS: 4.2.5, 14.2.3.
func TestCountAsksByFiveDigits(t *testing.T) {
	const password = "correct horse battery staple"
	prefix, suffix := digest(password)
	var requests []*http.Request
	client := &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		requests = append(requests, r)
		return answer(strings.NewReader(suffix + ":2")), nil
	})}
	for url, want := range map[string]string{
		"":                                 "https://api.pwnedpasswords.com/range/" + prefix,
		"https://mirror.example/range":     "https://mirror.example/range/" + prefix,
		"https://mirror.example/range/":    "https://mirror.example/range/" + prefix,
		"http://10.0.0.1:8080":             "http://10.0.0.1:8080/" + prefix,
		"https://mirror.example/r?mode=s1": "https://mirror.example/r/" + prefix + "?mode=s1",
	} {
		requests = nil
		n, err := pwned.Checker{URL: url, Client: client}.Count(t.Context(), password)
		require.NoError(t, err)
		assert.Equal(t, 2, n)
		require.Len(t, requests, 1)
		r := requests[0]
		assert.Equal(t, want, r.URL.String())
		assert.Equal(t, http.MethodGet, r.Method)
		assert.Nil(t, r.Body)
		assert.Equal(t, http.Header{"Add-Padding": {"true"}, "User-Agent": {"github.com/ostiary/auth/pwned"}}, r.Header)
	}
}

// Whatever is no list of hashes is an error that Is ErrUnavailable, never a 0.
//
// ASVS: 6.2.12.
func TestCountRefusesOtherAnswers(t *testing.T) {
	_, suffix := digest("password")
	row := suffix + ":5\r\n"
	for name, h := range map[string]http.Handler{
		"429":             says(http.StatusTooManyRequests, row),
		"500":             says(http.StatusInternalServerError, row),
		"503":             says(http.StatusServiceUnavailable, row),
		"403":             says(http.StatusForbidden, row),
		"404":             says(http.StatusNotFound, row),
		"204":             says(http.StatusNoContent, ""),
		"206":             says(http.StatusPartialContent, row),
		"empty":           says(http.StatusOK, ""),
		"an empty line":   says(http.StatusOK, "\r\n"),
		"HTML":            says(http.StatusOK, "<!DOCTYPE html>\n<title>Log in to the Wi-Fi</title>\n"),
		"JSON":            says(http.StatusOK, `{"error":"down"}`),
		"NULs":            says(http.StatusOK, strings.Repeat("\x00", 1000)),
		"no colon":        says(http.StatusOK, row+suffix+"\r\n"),
		"no count":        says(http.StatusOK, row+suffix+":\r\n"),
		"a count of -1":   says(http.StatusOK, suffix+":-1\r\n"),
		"a count of +1":   says(http.StatusOK, suffix+":+1\r\n"),
		"a count of 0x1":  says(http.StatusOK, suffix+":0x1\r\n"),
		"a count of 1.5":  says(http.StatusOK, suffix+":1.5\r\n"),
		"a count of 1,5":  says(http.StatusOK, suffix+":1,500\r\n"),
		"a count of 2^31": says(http.StatusOK, suffix+":2147483648\r\n"),
		"a count of 2^64": says(http.StatusOK, suffix+":18446744073709551616\r\n"),
		"34 digits":       says(http.StatusOK, suffix[1:]+":5\r\n"),
		"36 digits":       says(http.StatusOK, "0"+suffix+":5\r\n"),
		"40 digits":       says(http.StatusOK, "5BAA6"+suffix+":5\r\n"),
		"no digits":       says(http.StatusOK, "G"+suffix[1:]+":5\r\n"),
		"no digit inside": says(http.StatusOK, suffix[:17]+" "+suffix[18:]+":5\r\n"),
		"white space":     says(http.StatusOK, row+" "+row),
		"two in a row":    says(http.StatusOK, suffix+":5 "+suffix+":5\r\n"),
		"a blank line":    says(http.StatusOK, row+"\r\n"+row),
		"a row cut":       says(http.StatusOK, row+suffix[:20]),
		"a long line":     says(http.StatusOK, row+suffix+":"+strings.Repeat("0", 200)+"5\r\n"),
		"over 1 MiB":      says(http.StatusOK, strings.Replace(strings.Repeat(row64(suffix, 5), 1<<14), "\n", "\r\n", 1)),
		"no end": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := io.WriteString(w, row); err != nil {
					return
				}
			}
		}),
		"cut in a row": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, row+suffix[:20])
		}),
		"cut after a row": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, row)
		}),
		"cut in chunks": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, row)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}),
		"hung up on": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
	} {
		n, err := checker(t, h).Count(t.Context(), "password")
		require.ErrorIs(t, err, pwned.ErrUnavailable, name)
		assert.Zero(t, n, name)
		assertNothingTold(t, err)
	}
}

func TestCountSaysWhatIsWrong(t *testing.T) {
	_, err := checker(t, says(http.StatusTooManyRequests, "")).Count(t.Context(), "password")
	require.EqualError(t, err, "pwned: service unavailable: status 429")

	c := checker(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, "0123")
	}))
	_, err = c.Count(t.Context(), "password")
	require.ErrorIs(t, err, io.ErrUnexpectedEOF, "rather than that the last row is malformed")

	gone := httptest.NewServer(nil)
	gone.Close()
	_, err = pwned.Checker{URL: gone.URL}.Count(t.Context(), "password")
	require.ErrorIs(t, err, pwned.ErrUnavailable)
	assert.Contains(t, err.Error(), "refused")
	assertNothingTold(t, err)
}

// ASVS: 15.3.2.
func TestCountFollowsNoRedirect(t *testing.T) {
	var followed atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		followed.Add(1)
		_, _ = io.WriteString(w, strings.Repeat("0", 35)+":1")
	}))
	t.Cleanup(other.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, to := range []string{other.URL, "/elsewhere/"} {
			mux := http.NewServeMux()
			mux.Handle("/range/", http.RedirectHandler(to, status))
			mux.Handle("/elsewhere/", other.Config.Handler)
			c := checker(t, mux)
			c.Client.CheckRedirect = func(*http.Request, []*http.Request) error { return nil }
			_, err := c.Count(t.Context(), "password")
			require.ErrorIs(t, err, pwned.ErrUnavailable)
			assert.Contains(t, err.Error(), fmt.Sprint(status))
			require.NoError(t, c.Client.CheckRedirect(nil, nil), "the host's client stays as it was")
		}
	}
	assert.Zero(t, followed.Load())
}

// A certificate that is not trusted is an outage: nobody in between can hide a leak.
func TestCountChecksCertificates(t *testing.T) {
	s := httptest.NewUnstartedServer(service(map[string]int{"password": 5}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	_, err := pwned.Checker{URL: s.URL + "/range", Timeout: 10 * time.Second}.Count(t.Context(), "password")
	require.ErrorIs(t, err, pwned.ErrUnavailable)
	assertNothingTold(t, err)

	n, err := pwned.Checker{URL: s.URL + "/range", Client: s.Client(), Timeout: 10 * time.Second}.Count(t.Context(), "password")
	require.NoError(t, err)
	assert.Equal(t, 5, n)
}

// slow is a service that sends a part of its answer, and no more until it is hung up on.
func slow(parts ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, p := range parts {
			_, _ = io.WriteString(w, p)
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
	})
}

func TestCountEndsAfterTimeout(t *testing.T) {
	_, suffix := digest("password")
	for name, h := range map[string]http.Handler{
		"no header":   slow(),
		"no row":      slow(""),
		"in a row":    slow(suffix[:10]),
		"after a row": slow(suffix + ":5\r\n"),
	} {
		c := checker(t, h)
		c.Timeout = 20 * time.Millisecond
		n, err := c.Count(t.Context(), "password")
		require.ErrorIs(t, err, pwned.ErrUnavailable, name)
		require.ErrorIs(t, err, context.DeadlineExceeded, name)
		assert.Zero(t, n, name)
		assertNothingTold(t, err)
	}
}

// hanging is a network on which nothing comes back.
var hanging = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
})}

func TestTimeoutIsASecondByDefault(t *testing.T) {
	for timeout, want := range map[time.Duration]time.Duration{0: time.Second, -1: time.Second, time.Minute: time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			_, err := pwned.Checker{Client: hanging, Timeout: timeout}.Count(t.Context(), "password")
			require.ErrorIs(t, err, pwned.ErrUnavailable)
			assert.Equal(t, want, time.Since(start))
		})
	}
}

// Who hangs up, or waits for less long, must not pass for an outage: a host may accept
// passwords in one.
func TestCountEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := pwned.Checker{Client: hanging}.Count(ctx, "password")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, pwned.ErrUnavailable)
		assertNothingTold(t, err)
	})
	ctx, cancel := context.WithCancel(t.Context())
	c := checker(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	_, err := c.Count(ctx, "password")
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, pwned.ErrUnavailable)
}

func TestCountRefusesMalformedURL(t *testing.T) {
	for _, url := range []string{"api.pwnedpasswords.com", "/range", "https://", "ftp://mirror.example", "://", "http://a b", "https:mirror.example"} {
		_, err := pwned.Checker{URL: url, Client: hanging, Timeout: time.Millisecond}.Count(t.Context(), "password")
		require.EqualError(t, err, "pwned: Checker.URL is no http or https URL", url)
		require.NotErrorIs(t, err, pwned.ErrUnavailable, url)
	}
}

// closer is a body that tells whether it was closed.
type closer struct {
	io.Reader
	closed bool
}

func (c *closer) Close() error {
	c.closed = true
	return nil
}

func TestCountLeavesNothingOpen(t *testing.T) {
	for body, status := range map[string]int{strings.Repeat("0", 35) + ":1": 200, "<html>": 200, "": 503} {
		c := &closer{Reader: strings.NewReader(body)}
		var request *http.Request
		client := &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			request = r
			return &http.Response{StatusCode: status, Body: c}, nil
		})}
		_, _ = pwned.Checker{Client: client, Timeout: time.Hour}.Count(t.Context(), "password")
		assert.True(t, c.closed, body)
		require.ErrorIs(t, request.Context().Err(), context.Canceled, "the timeout's timer has ended")
	}
}

// FuzzCount compares answers with a reading of them that splits them first.
func FuzzCount(f *testing.F) {
	_, suffix := digest("password")
	for _, body := range []string{
		"", suffix + ":5", suffix + ":5\r\n", strings.ToLower(suffix) + ":0\n" + suffix + ":12\r\n",
		strings.Repeat("0", 35) + ":1\r\n" + suffix + ":2147483647", suffix + ":2147483648", suffix + ":\r\n", suffix[1:] + ":1\n",
		"\n", "\r", suffix + ":1\r", suffix + ":1\r\r\n", suffix + ":1\n\n", "<html>", suffix + ":+1", suffix + ":00000000000000000001",
		suffix + ":" + strings.Repeat("0", 90) + "1",
	} {
		f.Add([]byte(body), false)
		f.Add([]byte(body), true)
	}
	errCut := errors.New("cut")
	f.Fuzz(func(t *testing.T, body []byte, cut bool) {
		var r io.Reader = strings.NewReader(string(body))
		if cut {
			r = io.MultiReader(r, transportError{errCut})
		}
		client := &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) { return answer(r), nil })}
		n, err := pwned.Checker{Client: client, Timeout: time.Hour}.Count(t.Context(), "password")
		want, ok := reading(string(body), suffix)
		if cut || !ok {
			require.ErrorIs(t, err, pwned.ErrUnavailable)
			require.Zero(t, n)
			return
		}
		require.NoError(t, err)
		require.Equal(t, want, n)
	})
}

// transportError is what a connection gives that was cut.
type transportError struct{ err error }

func (e transportError) Read([]byte) (int, error) { return 0, e.err }
