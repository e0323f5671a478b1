package examples_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestQuickstartLines runs what quickstart prints as a person would, in a shell: with a
// curl of the test's own, and with the machine's where there is one.
func TestQuickstartLines(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	standIn := t.TempDir()
	require.NoError(t, os.Symlink(self, filepath.Join(standIn, "curl")))
	paths := map[string]string{"stand-in": standIn + string(os.PathListSeparator) + os.Getenv("PATH")}
	if _, err := exec.LookPath("curl"); err == nil {
		paths["curl"] = os.Getenv("PATH")
	}
	for name, path := range paths {
		t.Run(name, func(t *testing.T) {
			p, url := serve(t, nil, "quickstart")
			_, script, ok := strings.Cut(p.stdout.String(), "In another terminal:\n")
			require.True(t, ok)

			shell := exec.CommandContext(t.Context(), "sh", "-eu")
			shell.Stdin = strings.NewReader(script)
			shell.Env = append(os.Environ(), "PATH="+path)
			shell.Stderr = os.Stderr
			out, err := shell.Output()
			require.NoError(t, err)

			var answers []answer
			for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
				var a answer
				require.NoError(t, d.Decode(&a.body), string(out))
				answers = append(answers, a)
			}
			require.Len(t, answers, 6, string(out))
			signup, login, profile, refresh, sessions, logout := answers[0], answers[1], answers[2], answers[3], answers[4], answers[5]
			assert.EqualValues(t, http.StatusCreated, signup.body["status"])
			assert.EqualValues(t, 1, signup.body["user_id"])
			assert.EqualValues(t, http.StatusOK, login.body["status"])
			assert.Equal(t, map[string]any{"id": 1.0, "name": "Ann Lee", "email": annsEmail}, profile.body["user"])
			assert.EqualValues(t, http.StatusOK, refresh.body["status"])
			first, second := claims(t, login.str("refresh_token")), claims(t, refresh.str("refresh_token"))
			assert.Equal(t, first.SID, second.SID)
			assert.Equal(t, []int{1, 2}, []int{first.Gen, second.Gen})
			list, _ := sessions.body["sessions"].([]any)
			require.Len(t, list, 1)
			assert.Subset(t, list[0], map[string]any{"id": first.SID, "ip": "127.0.0.1", "current": true})
			assert.EqualValues(t, http.StatusOK, logout.body["status"])
			do(t, http.StatusUnauthorized, "POST", url+"/api/refresh", refresh.str("refresh_token"), "")
		})
	}
}

func TestQuickstartSaysThatItsKeysAreRandom(t *testing.T) {
	p, _ := serve(t, nil, "quickstart")
	assert.Contains(t, p.stderr.String(), "a second instance cannot read this one's tokens")
}

// TestQuickstartFindings has findings of the flags' making alone.
func TestQuickstartFindings(t *testing.T) {
	for args, findings := range map[string][]string{
		"": nil, "-cost=10": nil, "-no-limits": {"InsecureNoLimits"}, "-no-limits -tutorial": {"InsecureTutorialMode", "InsecureNoLimits"},
	} {
		p, _ := serve(t, nil, "quickstart", strings.Fields(args)...)
		log := p.stderr.String()
		assert.Equal(t, len(findings), strings.Count(log, "not set up well"), log)
		for _, f := range findings {
			assert.Contains(t, log, f+" is set")
		}
	}
}

func TestQuickstartListensOnThisMachine(t *testing.T) {
	code, out := finish(t, command(t, nil, "quickstart", "-h"))
	assert.Zero(t, code)
	assert.Contains(t, out, `(default "127.0.0.1:3000")`)

	p := start(t, command(t, nil, "quickstart", "-addr", ":0"))
	assert.Regexp(t, `^http://localhost:\d+$`, p.url(t))
}

func TestQuickstartTutorialMode(t *testing.T) {
	_, url := serve(t, nil, "quickstart", "-tutorial", "-cost", "10", "-hashes", "2")
	do(t, http.StatusCreated, "POST", url+"/api/signup", "", `{"name":"<b>","email":"ann@example.com","password":"four"}`)
	tokens := do(t, http.StatusOK, "POST", url+"/api/login", "", `{"email":"ann@example.com","password":" four "}`)
	assert.NotContains(t, tokens.body, "token_type")
	profile := do(t, http.StatusOK, "GET", url+"/api/profile", tokens.str("access_token"), "")
	assert.Equal(t, map[string]any{"id": 1.0, "name": "&lt;b&gt;", "email": annsEmail}, profile.body["user"])
}

// TestNoLimits sends more rotations at once than the limit lets through.
func TestNoLimits(t *testing.T) {
	for _, noLimits := range []bool{false, true} {
		t.Run(fmt.Sprint(noLimits), func(t *testing.T) {
			_, url := serve(t, nil, "quickstart", "-cost=10", fmt.Sprintf("-no-limits=%t", noLimits))
			do(t, http.StatusCreated, "POST", url+"/api/signup", "", ann)
			token := do(t, http.StatusOK, "POST", url+"/api/login", "", annLogin).str("refresh_token")
			for range 8 {
				token = do(t, http.StatusOK, "POST", url+"/api/refresh", token, "").str("refresh_token")
			}
			last := http.StatusTooManyRequests
			if noLimits {
				last = http.StatusOK
			}
			do(t, last, "POST", url+"/api/refresh", token, "")
		})
	}
}

func TestBadCommandLines(t *testing.T) {
	for _, args := range []string{
		"-nonsense", "-cost", "-cost x", "-cost 9", "-cost 19", "-hashes -1", "-hashes many", "-no-limits=maybe", "stray", "-tutorial stray",
	} {
		for _, name := range []string{"quickstart", "mysql"} {
			code, out := finish(t, command(t, nil, name, strings.Fields(args)...))
			assert.Equal(t, 2, code, "%s %s", name, args)
			assert.Contains(t, out, "-addr", "the usage")
		}
	}
	code, out := finish(t, command(t, nil, "quickstart", "-dsn", "x"))
	assert.Equal(t, 2, code)
	assert.Contains(t, out, "-hashes number")
}

func TestAddressInUse(t *testing.T) {
	_, url := serve(t, nil, "quickstart")
	code, out := finish(t, command(t, nil, "quickstart", "-addr", strings.TrimPrefix(url, "http://")))
	assert.Equal(t, 1, code)
	assert.Contains(t, out, "address already in use")
}

// halfSent is a sign-up whose body is not sent to its end yet.
type halfSent struct {
	net.Conn

	rest string
}

func sendHalf(t *testing.T, url string) halfSent {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "POST /api/signup HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n%s", len(ann), ann[:9])
	require.NoError(t, err)
	const reads = "HTTP/1.1 100 Continue\r\n\r\n" // says that the handler has begun to read the body
	said := make([]byte, len(reads))
	_, err = io.ReadFull(conn, said)
	require.NoError(t, err)
	require.Equal(t, reads, string(said))
	return halfSent{conn, ann[9:]}
}

// untilClosed waits until the server takes no more connections.
func (p *process) untilClosed(t *testing.T, url string) {
	t.Helper()
	p.until(t, "the closed port", func() bool {
		var d net.Dialer
		conn, err := d.DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
}

// drains has the process end by the signal while it hashes the password of a request.
func drains(t *testing.T, p *process, url string, sig syscall.Signal) {
	t.Helper()
	request := sendHalf(t, url)
	require.NoError(t, p.cmd.Process.Signal(sig))
	p.untilClosed(t, url)

	_, err := request.Write([]byte(request.rest))
	require.NoError(t, err)
	var status int
	_, err = fmt.Fscanf(request, "HTTP/1.1 %d", &status)
	require.NoError(t, err)
	assert.Equal(t, http.StatusCreated, status)
	assert.Zero(t, p.wait(t))
}

func TestQuickstartDrains(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			p, url := serve(t, nil, "quickstart", "-cost", "13")
			drains(t, p, url, sig)
		})
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	p, url := serve(t, nil, "quickstart")
	sendHalf(t, url)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	p.untilClosed(t, url)
	assert.Equal(t, -1, p.end(t, syscall.SIGTERM))
}
