// Program mutants plants faults in a copy of the repository, one at a time, and runs the
// test that is named for each: it fails if one of those tests passes all the same, fails
// without the fault, or a fault no longer fits the code.
//
//	go -C e2e run ./mutants
//	go -C e2e run ./mutants -tags=cluster
//
// With -tags it runs the mutants whose tests need those build tags, without it the others.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	tags := flag.String("tags", "", "run the mutants whose tests have these build `tags`")
	only := flag.String("only", "", "run the mutants whose name contains this `text`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *tags, *only); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1) //nolint:gocritic // stop has nothing left to do
	}
}

func run(ctx context.Context, tags, only string) error {
	root, err := git(ctx, ".", "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	work, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = work.Close() }()
	if err := copyTree(ctx, strings.TrimSpace(root), work); err != nil {
		return err
	}
	var problems []error
	ran := 0
	for _, m := range mutants() {
		if m.tags != tags || !strings.Contains(m.name, only) {
			continue
		}
		ran++
		err := m.try(ctx, work)
		if err == nil {
			fmt.Printf("caught    %s: %s\n", m.name, m.test)
			continue
		}
		fmt.Printf("NOT CAUGHT %s: %v\n", m.name, err)
		problems = append(problems, fmt.Errorf("%s: %w", m.name, err))
	}
	if ran == 0 {
		return errors.New("no mutant has these tags and this name")
	}
	return errors.Join(problems...)
}

// copyTree copies what git knows of, as it is in the work tree.
func copyTree(ctx context.Context, from string, to *os.Root) error {
	list, err := git(ctx, from, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(from)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for name := range strings.SplitSeq(strings.TrimRight(list, "\x00"), "\x00") {
		data, err := root.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) { // deleted and not yet committed
			continue
		}
		if err != nil {
			return err
		}
		info, err := root.Stat(name)
		if err != nil {
			return err
		}
		if err := to.MkdirAll(filepath.Dir(name), 0o750); err != nil {
			return err
		}
		if err := to.WriteFile(name, data, info.Mode()); err != nil {
			return err
		}
	}
	return nil
}

// try returns nil if the mutant's test passes without its fault and fails with it.
func (m mutant) try(ctx context.Context, work *os.Root) error {
	if out, err := m.runTest(ctx, work); err != nil {
		return fmt.Errorf("%s fails without it: %w\n%s", m.test, err, tail(out))
	}
	undo, err := m.plant(work)
	defer undo()
	if err != nil {
		return err
	}
	if out, err := m.goCommand(ctx, work, "vet", "-tags="+m.tags, m.pkg); err != nil {
		return fmt.Errorf("it does not compile: %w\n%s", err, tail(out))
	}
	out, err := m.runTest(ctx, work)
	name, _, _ := strings.Cut(m.test, "/")
	switch {
	case err == nil:
		return fmt.Errorf("%s passes", m.test)
	case !strings.Contains(out, "--- FAIL: "+name):
		return fmt.Errorf("%s did not fail by itself: %w\n%s", m.test, err, tail(out))
	}
	return nil
}

// plant makes the edits, and returns what undoes them.
func (m mutant) plant(work *os.Root) (undo func(), err error) {
	originals := map[string][]byte{}
	undo = func() {
		for file, data := range originals {
			if err := work.WriteFile(file, data, 0o600); err != nil {
				panic(err) // every later mutant would be judged wrongly
			}
		}
	}
	for _, e := range m.edits {
		data, err := work.ReadFile(e.file)
		if err != nil {
			return undo, err
		}
		if n := bytes.Count(data, []byte(e.old)); n != 1 {
			return undo, fmt.Errorf("%s has the text %d times, not once: %q", e.file, n, e.old)
		}
		if originals[e.file] == nil {
			originals[e.file] = data
		}
		mutated := bytes.Replace(data, []byte(e.old), []byte(e.new), 1)
		if err := work.WriteFile(e.file, mutated, 0o600); err != nil {
			return undo, err
		}
	}
	return undo, nil
}

func (m mutant) runTest(ctx context.Context, work *os.Root) (string, error) {
	return m.goCommand(ctx, work, "test", "-count=1", "-tags="+m.tags, "-run="+pattern(m.test), m.pkg)
}

// pattern anchors the first and the last name of a test's path.
func pattern(test string) string {
	names := strings.Split(test, "/")
	if names[0] != "" {
		names[0] = "^" + names[0]
	}
	return strings.Join(names, "/")
}

func (m mutant) goCommand(ctx context.Context, work *os.Root, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // arguments of ours
	cmd.Dir = filepath.Join(work.Name(), m.module)
	cmd.Env = append(os.Environ(), "AUTH_REQUIRE_MYSQL=1")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// git is what git says of a checkout, which may be another user's.
func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "safe.directory=*"}, args...)...) //nolint:gosec // arguments of ours
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w", strings.Join(args, " "), err)
	}
	return string(out), nil
}

// tail is the end of a test's output.
func tail(out string) string {
	const most = 4000
	return out[max(0, len(out)-most):]
}
