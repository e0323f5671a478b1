//go:build browser

package browser_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// patience is for what takes a moment, on a machine that does other things too.
const patience = time.Minute

var (
	program string          // examples/browser, built
	browser context.Context // the one browser; each visitor has its own cookies
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e/browser:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "ostiary-auth-browser-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program = filepath.Join(dir, "browser")
	if out, err := exec.Command("go", "-C", "../../examples", "build", "-buildvcs=false", "-o", program, "./browser").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w\n%s", err, out)
	}

	path, err := findBrowser()
	if err != nil {
		return 0, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.UserDataDir(filepath.Join(dir, "profile")),
		chromedp.IgnoreCertErrors, // of the one test over https
	)
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	defer stop()
	ctx, cancel := chromedp.NewContext(allocator)
	defer cancel()
	if err := chromedp.Do(ctx); err != nil {
		return 0, fmt.Errorf("the browser %s: %w", path, err)
	}
	browser = ctx //nolint:fatcontext // TestMain sets it, once
	return m.Run(), nil
}

// findBrowser looks where scripts/install-browser.sh does.
func findBrowser() (string, error) {
	if name := os.Getenv("CHROMIUM"); name != "" {
		return exec.LookPath(name)
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is no browser: run scripts/install-browser.sh, or set CHROMIUM to one")
}

var running = regexp.MustCompile(`(?m)^Server is running on (https?://\S+)$`)

// serve starts the example on a free port and returns its URL. It ends with the test.
func serve(t *testing.T, args ...string) string {
	t.Helper()
	var out safeBuffer
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, append([]string{"-addr", "127.0.0.1:0", "-cost", "10"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	gone := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(gone)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-gone
		if t.Failed() {
			t.Logf("the server wrote:\n%s", out.String())
		}
	})
	for end := time.After(patience); !running.MatchString(out.String()); {
		select {
		case <-gone:
			require.FailNow(t, "the server does not start")
		case <-end:
			require.FailNow(t, "the server does not say that it runs")
		case <-time.After(10 * time.Millisecond):
		}
	}
	return running.FindStringSubmatch(out.String())[1]
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
