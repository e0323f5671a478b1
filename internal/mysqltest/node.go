package mysqltest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Node is a server that its test configures and stops itself: a member of a cluster, for
// instance. It is not safe for concurrent use.
type Node struct {
	Dir  string // of all its files; Close removes it
	Port int    // of 127.0.0.1

	program   program
	dir       workDir
	id        uint32
	uid, gid  int // of those who run it and own Dir, or -1: those who run the test
	processes []*process
}

// NewMariaDBNode returns a node on a new folder, without data, on a port that was found
// free. If root runs the test, the user nobody runs the node: the scripts that copy data
// between MariaDB's nodes do not work as root. It ends the test where there is no
// MariaDB.
func NewMariaDBNode(tb testing.TB) *Node {
	tb.Helper()
	p := shared.findMariaDB()
	if p.path == "" {
		shared.none(tb, howToGet)
	}
	return newNode(tb, p, "nobody")
}

// NewMySQLNode returns a node of Oracle's server, as NewMariaDBNode does, save that who
// runs the test runs it.
func NewMySQLNode(tb testing.TB) *Node {
	tb.Helper()
	p := shared.findMySQL()
	if p.path == "" {
		shared.none(tb, "no MySQL server of Oracle's: scripts/get-mysql.sh gets one")
	}
	return newNode(tb, p, "")
}

func newNode(tb testing.TB, p program, as string) *Node {
	tb.Helper()
	n := &Node{program: p, uid: -1, gid: -1}
	if as != "" && os.Getuid() == 0 {
		u, err := user.Lookup(as)
		if err != nil {
			tb.Fatalf("mysqltest: %v", err)
		}
		n.uid, _ = strconv.Atoi(u.Uid)
		n.gid, _ = strconv.Atoi(u.Gid)
	}
	var err error
	if n.dir, err = newWorkDir(); err != nil {
		tb.Fatal(err)
	}
	n.Dir = n.dir.path
	if n.Port, n.id, err = freePort(); err != nil {
		tb.Fatal(err)
	}
	if err := n.HandOver(); err != nil {
		tb.Fatal(err)
	}
	return n
}

// FreePort returns a port of 127.0.0.1 that nothing listens on, and that Linux gives to no
// outgoing connection.
func FreePort() (int, error) {
	port, _, err := freePort()
	return port, err
}

// Install makes the node's data, with a user root who has no password.
func (n *Node) Install() error {
	if err := n.program.install(n.Dir); err != nil {
		return err
	}
	return n.HandOver()
}

// CopyData gives the node the data of another one that has never run.
func (n *Node) CopyData(from *Node) error {
	for _, name := range []string{dataDir, initFile} {
		source := filepath.Join(from.Dir, name)
		info, err := os.Stat(source)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return err
		case info.IsDir():
			err = os.CopyFS(filepath.Join(n.Dir, name), os.DirFS(source))
		default:
			err = copyFile(filepath.Join(n.Dir, name), source)
		}
		if err != nil {
			return err
		}
	}
	// A server without this file gives itself a UUID of its own.
	if err := os.Remove(filepath.Join(n.Dir, dataDir, "auto.cnf")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return n.HandOver()
}

func copyFile(dest, source string) error {
	text, err := os.ReadFile(source) //nolint:gosec // a file of ours
	if err != nil {
		return err
	}
	return os.WriteFile(dest, text, 0o600) //nolint:gosec // a file of ours
}

// HandOver makes those who run the node the owners of its files.
func (n *Node) HandOver() error {
	if n.uid < 0 {
		return nil
	}
	root, err := os.OpenRoot(n.Dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return fs.WalkDir(root.FS(), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return root.Lchown(path, n.uid, n.gid)
	})
}

// Start runs the node with more flags and with more of an environment, and returns when it
// executes statements. The node ends when this process does.
func (n *Node) Start(ctx context.Context, env []string, flags ...string) error {
	if err := os.Remove(n.log()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	args := n.program.arguments(n.Dir, n.log(), n.Port, n.id, flags)
	if n.uid >= 0 {
		args = slices.DeleteFunc(args, func(arg string) bool { return arg == "--user=root" })
	}
	cmd := exec.Command(n.program.path, args...) //nolint:gosec,noctx // a server that was found here; Kill ends it
	cmd.Env = append(os.Environ(), env...)
	cmd.Dir = n.Dir
	dieWithParent(cmd)
	if n.uid >= 0 {
		runAs(cmd, n.uid, n.gid)
	}
	p, err := startCommand(cmd)
	if err != nil {
		return fmt.Errorf("mysqltest: %w", err)
	}
	n.processes = append(n.processes, p)
	return n.answers(ctx, p)
}

func (n *Node) log() string { return filepath.Join(n.Dir, "error.log") }

// answers waits until this node, and no other server, executes statements.
func (n *Node) answers(ctx context.Context, p *process) error {
	admin, err := openAdmin(n.Config())
	if err != nil {
		return err
	}
	defer func() { _ = admin.Close() }()
	for {
		var id uint32
		err := admin.QueryRowContext(ctx, "SELECT @@server_id").Scan(&id)
		if err == nil && id == n.id {
			return nil
		}
		select {
		case <-p.gone:
			return fmt.Errorf("mysqltest: %s ended at its start:\n%s", n.program.path, n.logText())
		case <-ctx.Done():
			return fmt.Errorf("mysqltest: %s does not answer (%w):\n%s", n.program.path, err, n.logText())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// logText is the end of the node's log.
func (n *Node) logText() []byte {
	text, _ := os.ReadFile(n.log())
	const kept = 8 << 10
	return text[max(0, len(text)-kept):]
}

// Config returns how root reaches the node.
func (n *Node) Config() *mysql.Config {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Net = "root", "tcp"
	cfg.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(n.Port))
	return cfg
}

// Kill ends the node as kill -9 does and returns when it is gone.
func (n *Node) Kill() {
	for _, p := range n.processes {
		p.kill()
	}
	n.processes = nil
}

// Close kills the node and removes its files.
func (n *Node) Close() error {
	n.Kill()
	return n.dir.remove()
}
