package mysqltest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// startLimit is how long a server may take until it answers, recovery included.
const startLimit = 60 * time.Second

// Ports are taken from below the range from which Linux gives them to outgoing
// connections, so that a killed server finds its own free again.
const (
	firstPort = 20000
	ports     = 10000
)

// Server is a MySQL or MariaDB server. Its methods are safe for concurrent use.
type Server struct {
	// Name is the leg's: "mariadb", "mariadb-snapshot", "mysql" or "external-N".
	Name string

	suite   *suite
	program program  // the zero value for an external server
	flags   []string // beyond those of every server
	private bool

	mu      sync.Mutex
	cfg     *mysql.Config // how to reach it, without a database; nil until it has started
	admin   *sql.DB
	id      uint32 // its server_id, random, by which it is known
	port    int
	dir     workDir
	process *process
	err     error // why it could not be started; it is not tried again
}

func (s *Server) isExternal() bool { return s.program.path == "" }

// Private starts another server of s's kind, with data of its own, for this test alone,
// which may kill it: what was committed is on the disk. Flags are added to the command
// line. Where s is external, it is a server that was found here. It ends with the test.
func (s *Server) Private(tb testing.TB, flags ...string) *Server {
	tb.Helper()
	p := &Server{Name: s.Name, suite: s.suite, program: s.program, private: true}
	if s.isExternal() {
		p.program = s.suite.anyProgram(tb)
	}
	p.flags = append(append(p.flags, s.flags...), "--innodb-flush-log-at-trx-commit=1")
	p.flags = append(p.flags, flags...)
	tb.Cleanup(func() {
		if err := p.stop(); err != nil {
			tb.Error(err)
		}
	})
	p.ready(tb)
	return p
}

// Kill ends the server as kill -9 does and returns when it is gone. Only a private
// server can be killed.
func (s *Server) Kill(tb testing.TB) {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.private {
		tb.Fatal("mysqltest: other tests use this server; kill a private one")
	}
	s.process.kill()
}

// Restart kills the server if it runs, starts it on the same port and data, and returns
// when it answers.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	s.Kill(tb)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.spawn(); err != nil {
		tb.Fatal(err)
	}
}

// ready has the server started if that was not done before.
func (s *Server) ready(tb testing.TB) {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cfg == nil && s.err == nil {
		s.err = s.start()
	}
	if s.err == nil && s.admin == nil {
		s.admin, s.err = openAdmin(s.cfg)
	}
	if s.err != nil {
		tb.Fatal(s.err)
	}
}

// start makes the server's data and runs it. Another process may take the port that was
// found free; then the next one is tried.
func (s *Server) start() error {
	dir, err := newWorkDir()
	if err != nil {
		return err
	}
	s.dir = dir
	if err := s.program.install(dir.path); err != nil {
		return err
	}
	for range 5 {
		if s.port, s.id, err = freePort(); err != nil {
			return err
		}
		cfg := mysql.NewConfig()
		cfg.User, cfg.Net = "root", "tcp"
		cfg.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
		if s.admin, err = openAdmin(cfg); err != nil {
			return err
		}
		if err = s.spawn(); err == nil {
			s.cfg = cfg
			return nil
		}
		_ = s.admin.Close()
		s.admin = nil
		if !strings.Contains(err.Error(), "Address already in use") {
			return err
		}
	}
	return err
}

// spawn runs the server on its port and waits until it, and no other, answers there.
func (s *Server) spawn() error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	log := filepath.Join(s.dir.path, "error.log")
	if err := os.Remove(log); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	p, err := startProcess(s.program.path, s.program.arguments(s.dir.path, log, s.port, s.id, s.flags))
	if err != nil {
		return fmt.Errorf("mysqltest: %w", err)
	}
	s.process = p
	for {
		var id uint32
		err := s.admin.QueryRowContext(ctx, "SELECT @@server_id").Scan(&id)
		if err == nil && id == s.id {
			return nil
		}
		select {
		case <-p.gone:
			text, _ := os.ReadFile(log) //nolint:gosec // a file of ours
			return fmt.Errorf("mysqltest: %s ended at its start:\n%s", s.program.path, text)
		case <-ctx.Done():
			p.kill()
			text, _ := os.ReadFile(log) //nolint:gosec // a file of ours
			return fmt.Errorf("mysqltest: %s does not answer (%w):\n%s", s.program.path, err, text)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// stop ends the server if it runs and removes its data.
func (s *Server) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.admin != nil {
		_ = s.admin.Close()
	}
	s.process.kill()
	return s.dir.remove()
}

// openAdmin opens this package's own pool. A DROP that waits for a transaction which a test
// left open fails soon.
func openAdmin(cfg *mysql.Config) (*sql.DB, error) {
	cfg = cfg.Clone()
	cfg.DBName = ""
	cfg.Logger = &mysql.NopLogger{}
	if cfg.Params == nil {
		cfg.Params = map[string]string{}
	}
	cfg.Params["lock_wait_timeout"] = "10"
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, fmt.Errorf("mysqltest: %w", err)
	}
	return sql.OpenDB(connector), nil
}

// freePort returns a port that nothing listens on, and a number to know the server by.
func freePort() (port int, id uint32, err error) {
	for range 100 {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails
		port = firstPort + int(binary.BigEndian.Uint32(b[:4])%ports)
		var lc net.ListenConfig
		l, err := lc.Listen(context.Background(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		_ = l.Close()
		return port, max(binary.BigEndian.Uint32(b[4:]), 1), nil
	}
	return 0, 0, fmt.Errorf("mysqltest: no port from %d to %d is free", firstPort, firstPort+ports-1)
}
