package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// startLimit is how long the example may take until it serves.
const startLimit = time.Minute

// example is a process of examples/mysql.
type example struct {
	url string

	cmd *exec.Cmd
	dir string // its program and its log
}

// startExample builds the example and returns when it serves on a free port. Nothing of
// the environment or of a .env sets it up. It is killed when ctx ends.
func startExample(ctx context.Context, args ...string) (e *example, err error) {
	dir, err := os.MkdirTemp("", "ostiary-auth-storm-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	e = &example{dir: dir}
	program := filepath.Join(dir, "mysql")
	if err := buildExample(ctx, program); err != nil {
		return nil, err
	}
	log, err := os.Create(e.logFile())
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	e.cmd = exec.CommandContext(ctx, program, append([]string{"-addr", "127.0.0.1:0", "-purge", "0"}, args...)...) //nolint:gosec // built here
	e.cmd.Dir, e.cmd.Env, e.cmd.Stderr = dir, []string{}, log
	stdout, err := e.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := e.cmd.Start(); err != nil {
		return nil, err
	}
	late := time.AfterFunc(startLimit, func() { _ = e.cmd.Process.Kill() })
	line, _ := bufio.NewReader(stdout).ReadString('\n') // an end without a line is one that does not match
	url, ok := strings.CutPrefix(line, "Server is running on ")
	if !late.Stop() || !ok {
		_ = e.cmd.Process.Kill()
		return nil, fmt.Errorf("the example does not start: %w\n%s", e.cmd.Wait(), e.log())
	}
	e.url = strings.TrimSpace(url)
	return e, nil
}

// buildExample finds the examples beside this module, in the one that it replaces.
func buildExample(ctx context.Context, program string) error {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/ostiary/auth").Output()
	if err != nil {
		return fmt.Errorf("go list: %w", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(root)), "examples")
	out, err := exec.CommandContext(ctx, "go", "build", "-C", dir, "-buildvcs=false", "-o", program, "./mysql").CombinedOutput() //nolint:gosec // of this repository
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// stop ends the example as a host does, and removes its files.
func (e *example) stop() error {
	err := e.cmd.Process.Signal(syscall.SIGTERM)
	if waitErr := e.cmd.Wait(); waitErr != nil {
		err = fmt.Errorf("the example: %w\n%s", waitErr, e.log())
	}
	return errors.Join(err, os.RemoveAll(e.dir))
}

func (e *example) logFile() string { return filepath.Join(e.dir, "log") }

// log is the end of what the example has logged.
func (e *example) log() []byte {
	text, err := os.ReadFile(e.logFile())
	if err != nil {
		return []byte(err.Error())
	}
	const kept = 8 << 10
	return text[max(0, len(text)-kept):]
}

// memory is how many bytes of memory the process has now, and had at most.
func (e *example) memory() (now, most int64, err error) {
	file := fmt.Sprintf("/proc/%d/status", e.cmd.Process.Pid)
	text, err := os.ReadFile(file) //nolint:gosec // the kernel's, which is Linux
	if err != nil {
		return 0, 0, err
	}
	if now, err = kilobytes(string(text), "VmRSS"); err == nil {
		most, err = kilobytes(string(text), "VmHWM")
	}
	return now << 10, most << 10, err
}

// kilobytes is what a line of such a file says (proc_pid_status(5)).
func kilobytes(status, name string) (int64, error) {
	found := regexp.MustCompile(`(?m)^` + name + `:\s+(\d+) kB$`).FindStringSubmatch(status)
	if found == nil {
		return 0, fmt.Errorf("no %s in the process's status", name)
	}
	return strconv.ParseInt(found[1], 10, 64)
}
