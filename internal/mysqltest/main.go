package mysqltest

import (
	"fmt"
	"os"
	"testing"
)

// shared holds the servers that all tests of this binary use.
var shared = newSuite(os.Getenv, os.Stdout) //nolint:gochecknoglobals // a test binary is the unit that owns the servers

// Main runs the tests, stops the servers that they started and returns the exit code.
// A package whose tests ask for a server calls it in TestMain, and nothing else there:
//
//	func TestMain(m *testing.M) { os.Exit(mysqltest.Main(m)) }
func Main(m *testing.M) int {
	shared.mu.Lock()
	shared.willStop = true
	shared.mu.Unlock()
	code := m.Run()
	if err := shared.stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

// Legs runs f as a subtest on each kind of server that can be had, one after the other:
// "mariadb", "mariadb-snapshot" (with innodb_snapshot_isolation, MariaDB 11.8's default)
// and "mysql" (Oracle's), or "external-1", "external-2", … as AUTH_TEST_MYSQL_DSN lists
// them. What cannot be had is named once on standard output, which go test shows with -v
// and for tests that fail. Where Oracle's alone is
// missing, the other legs run; where MariaDB's are, that is a failure if
// AUTH_REQUIRE_MYSQL is 1.
func Legs(t *testing.T, f func(t *testing.T, s *Server)) {
	t.Helper()
	for _, s := range shared.servers(t) {
		t.Run(s.Name, func(t *testing.T) { f(t, s) })
	}
}

// Default returns the first of the servers that Legs runs on, MariaDB as a rule.
func Default(tb testing.TB) *Server {
	tb.Helper()
	return shared.servers(tb)[0]
}

// Private starts a server for this test alone. See [Server.Private].
func Private(tb testing.TB, flags ...string) *Server {
	tb.Helper()
	return Default(tb).Private(tb, flags...)
}
