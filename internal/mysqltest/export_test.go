package mysqltest

import (
	"io"
	"testing"
)

// Suite is a suite apart from the one that this test binary's tests share.
type Suite struct{ suite }

// NewSuite returns a suite with an environment of its own, that looks for servers in the
// folders of PATH and of sbin.
func NewSuite(env map[string]string, out io.Writer, sbin ...string) *Suite {
	return &Suite{suite{getenv: func(name string) string { return env[name] }, out: out, sbin: sbin, willStop: true}}
}

// WithoutMain has the suite stopped by nobody.
func (u *Suite) WithoutMain() *Suite {
	u.willStop = false
	return u
}

// Servers is what Legs runs on.
func (u *Suite) Servers(tb testing.TB) []*Server {
	tb.Helper()
	return u.servers(tb)
}

// Stop is what Main does at the end.
func (u *Suite) Stop() error { return u.stop() }

// Program is the server's program.
func (s *Server) Program() string { return s.program.path }

// Dir is the server's folder.
func (s *Server) Dir() string { return s.dir.path }

// RemoveOrphans removes what killed test binaries left behind.
func RemoveOrphans() { removeOrphans() }
