package examples_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/mysqltest"
)

// patience is for what takes a moment, on a machine that does other things too.
const patience = 90 * time.Second

// programs is the folder of the built examples.
var programs string

func TestMain(m *testing.M) {
	if isCurl() {
		os.Exit(curl(os.Args[1:]))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "ostiary-auth-examples-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	programs = dir
	return mysqltest.Main(m)
}

// build makes every program, once.
var build = sync.OnceValues(func() ([]byte, error) {
	return exec.Command("go", "build", "-buildvcs=false", "-o", programs,
		"./quickstart", "./mysql", "./chi", "./gin", "./echo", "./direct", "./ownusers").CombinedOutput()
})

// settings are the variables that the programs read; none comes from the test's own
// environment.
var settings = []string{
	"ACCESS_TOKEN_SECRET", "ACCESS_TOKEN_EXPIRY", "REF_TOKEN_SECRET", "REF_TOKEN_EXPIRY",
	"DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD", "PORT",
}

// command is an example with its arguments, in a new folder and with the variables.
func command(t *testing.T, env []string, name string, args ...string) *exec.Cmd {
	t.Helper()
	out, err := build()
	require.NoError(t, err, string(out))
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), filepath.Join(programs, name), args...)
	cmd.Dir = t.TempDir()
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(settings, name)
	})
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// finish runs an example to its end and returns its exit code and what it wrote.
func finish(t *testing.T, cmd *exec.Cmd) (code int, output string) {
	t.Helper()
	p := start(t, cmd)
	code = p.wait(t)
	return code, p.stdout.String() + p.stderr.String()
}

// process is an example that runs.
type process struct {
	cmd    *exec.Cmd
	stdout safeBuffer
	stderr safeBuffer
	gone   chan struct{} // closed when it has ended
}

// start starts the command; it is killed with the test.
func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, gone: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.stdout, &p.stderr
	require.NoError(t, cmd.Start())
	go func() {
		_ = cmd.Wait()
		close(p.gone)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-p.gone
		if t.Failed() {
			t.Logf("%s wrote:\n%s%s", cmd.Path, p.stdout.String(), p.stderr.String())
		}
	})
	return p
}

// until waits for a condition, and fails if the process ends before or patience does.
func (p *process) until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	p.untilWithin(t, patience, what, condition)
}

func (p *process) untilWithin(t *testing.T, d time.Duration, what string, condition func() bool) {
	t.Helper()
	limit := time.After(d)
	for !condition() {
		select {
		case <-p.gone:
			require.FailNow(t, "the process has ended", "waiting for %s", what)
		case <-limit:
			require.FailNow(t, "it does not happen", "waiting for %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

var running = regexp.MustCompile(`(?m)^Server is running on (http://\S+)$`)

// url waits until the process serves.
func (p *process) url(t *testing.T) string {
	t.Helper()
	return p.urlWithin(t, patience)
}

func (p *process) urlWithin(t *testing.T, d time.Duration) string {
	t.Helper()
	p.untilWithin(t, d, "the server", func() bool { return running.MatchString(p.stdout.String()) })
	return running.FindStringSubmatch(p.stdout.String())[1]
}

// serve starts an example on a free port, and returns it and its URL.
func serve(t *testing.T, env []string, name string, args ...string) (p *process, url string) {
	t.Helper()
	p = start(t, command(t, env, name, append([]string{"-addr", "127.0.0.1:0"}, args...)...))
	return p, p.url(t)
}

// end sends the signal and returns the exit code.
func (p *process) end(t *testing.T, sig syscall.Signal) int {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(sig))
	return p.wait(t)
}

// wait returns the exit code, or -1 if a signal has ended the process.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.gone:
	case <-time.After(patience):
		require.FailNow(t, "the process does not end")
	}
	return p.cmd.ProcessState.ExitCode()
}

// answer is a response.
type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any // of JSON
}

func (a answer) str(name string) string {
	s, _ := a.body[name].(string)
	return s
}

// try sends a request with a bearer token and a JSON body, both unless they are empty.
func try(ctx context.Context, method, url, token, body string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: res.StatusCode, header: res.Header, text: string(text)}
	if len(text) > 0 && strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
		err = json.Unmarshal(text, &a.body)
	}
	return a, err
}

// do is try, and the answer must have the status.
func do(t *testing.T, status int, method, url, token, body string) answer {
	t.Helper()
	a, err := try(t.Context(), method, url, token, body)
	require.NoError(t, err)
	require.Equal(t, status, a.status, "%s %s: %s", method, url, a.text)
	return a
}

const (
	ann       = `{"name":"Ann Lee","email":"ann@example.com","password":"correct horse"}`
	annLogin  = `{"email":"ann@example.com","password":"correct horse"}`
	annsEmail = "ann@example.com"
)

// tokenClaims are some of those that a token may have.
type tokenClaims struct {
	SID      string `json:"sid"`
	Gen      int    `json:"gen"`
	AuthTime int64  `json:"auth_time"`
	Exp      int64  `json:"exp"`
	Max      int64  `json:"max"`
}

// claims are those of a token, which is not verified.
func claims(t *testing.T, token string) tokenClaims {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	var c tokenClaims
	require.NoError(t, json.Unmarshal(text, &c))
	return c
}

// safeBuffer is a bytes.Buffer for concurrent use.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
