// Package instance builds and runs the program e2e/server.
package instance

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/e2e/client"
)

// Ready is what the program writes before its URL when it serves.
const Ready = "ready at "

// startLimit is how long the program may take until it is ready.
const startLimit = time.Minute

// Config is the program's Config without what its flags set. A test that makes an
// Authenticator from it reads and signs the program's tokens.
func Config() auth.Config {
	return auth.Config{
		Tokens: auth.TokenOptions{
			AccessKeys:  []auth.Key{auth.HMACKey([]byte("an access secret of e2e, 32 bytes and more"))},
			RefreshKeys: []auth.Key{auth.HMACKey([]byte("a refresh secret of e2e, 32 bytes and more"))},
		},
		HashCost:         4,
		InsecureHashCost: true,
		ClientIP:         clientIP,
	}
}

// clientIP is the address that the request names, else its peer's.
func clientIP(r *http.Request) netip.Addr {
	if ip, err := netip.ParseAddr(r.Header.Get(client.IPHeader)); err == nil {
		return ip
	}
	peer, _ := netip.ParseAddrPort(r.RemoteAddr)
	return peer.Addr()
}

// Build builds the program into the folder and returns its path. Flags are those of go
// build, such as -race.
func Build(dir string, flags ...string) (program string, err error) {
	program = filepath.Join(dir, "server")
	args := append([]string{"build", "-buildvcs=false", "-o", program}, flags...)
	cmd := exec.Command("go", append(args, "github.com/ostiary/auth/e2e/server")...) //nolint:gosec,noctx // flags of ours; it ends by itself
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("instance: go build: %w\n%s", err, out)
	}
	return program, nil
}

// Process is a program that runs. Its methods are safe for concurrent use.
type Process struct {
	URL string // without a slash at its end

	cmd   *exec.Cmd
	stdin io.Closer
	gone  chan struct{} // closed when it has ended
	log   safeBuffer
}

// Start starts the program with these arguments and returns when it serves.
func Start(program string, args ...string) (*Process, error) {
	p := &Process{cmd: exec.Command(program, args...), gone: make(chan struct{})} //nolint:gosec,noctx // built here; Kill ends it
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.stdin = stdin
	stdout, stdoutW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.cmd.Stdout, p.cmd.Stderr = stdoutW, &p.log
	err = p.cmd.Start()
	_ = stdoutW.Close()
	if err != nil {
		_ = stdout.Close()
		return nil, fmt.Errorf("instance: %w", err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.gone)
	}()
	line := make(chan string, 1)
	go func() {
		defer func() { _ = stdout.Close() }()
		text, _ := bufio.NewReader(stdout).ReadString('\n')
		line <- text
	}()
	select {
	case text := <-line:
		if url, ok := strings.CutPrefix(text, Ready); ok {
			p.URL = strings.TrimSpace(url)
			return p, nil
		}
	case <-time.After(startLimit):
	}
	p.Kill()
	return nil, fmt.Errorf("instance: the program does not start:\n%s", p.Log())
}

// Kill ends the program as kill -9 does and returns when it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.gone
	_ = p.stdin.Close()
}

// Stop ends the program by SIGTERM, and returns when it is gone.
func (p *Process) Stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.gone
	_ = p.stdin.Close()
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("instance: exit code %d:\n%s", code, p.Log())
	}
	return nil
}

// Log is what the program wrote to its standard error so far. The race detector's
// findings are there too.
func (p *Process) Log() string { return p.log.String() }

// safeBuffer is a [bytes.Buffer] for concurrent use.
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
