package mysqltest

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// howToGet says what a person can do where no server was found.
const howToGet = "no MySQL server: run make test, which gets one; " +
	"or install Debian's mariadb-server-core; " +
	"or set AUTH_TEST_MYSQL_DSN to a server whose user may create databases"

// Names of the legs that are started here.
const (
	nameMariaDB  = "mariadb"
	nameSnapshot = "mariadb-snapshot"
	nameMySQL    = "mysql"
)

// program is a server that can be started here.
type program struct {
	path    string // "" if there is none
	mariadb bool
}

// suite is the servers of one test binary.
type suite struct {
	getenv func(string) string
	out    io.Writer
	sbin   []string // folders that are searched after those of PATH

	mu       sync.Mutex
	willStop bool // Main runs, and stops what is started
	looked   bool
	legs     []*Server
	err      error // AUTH_TEST_MYSQL_DSN cannot be read
}

func newSuite(getenv func(string) string, out io.Writer) *suite {
	return &suite{getenv: getenv, out: out, sbin: []string{"/usr/sbin"}}
}

// servers returns at least one server. It ends the test where there is none.
func (u *suite) servers(tb testing.TB) []*Server {
	tb.Helper()
	u.mu.Lock()
	if !u.looked {
		u.looked = true
		u.look()
	}
	u.mu.Unlock()
	switch {
	case u.err != nil:
		tb.Fatal(u.err)
	case !u.willStop:
		tb.Fatal("mysqltest: TestMain must call mysqltest.Main, which stops the servers")
	case len(u.legs) == 0:
		u.none(tb, howToGet)
	case u.legs[0].Name == nameMySQL && u.required():
		tb.Fatal("mysqltest: AUTH_REQUIRE_MYSQL is 1, but there is no MariaDB: install Debian's mariadb-server-core")
	}
	return u.legs
}

// anyProgram returns a server that can be started here. It ends the test where there is
// none.
func (u *suite) anyProgram(tb testing.TB) program {
	tb.Helper()
	for _, find := range []func() program{u.findMariaDB, u.findMySQL} {
		if p := find(); p.path != "" {
			return p
		}
	}
	u.none(tb, "no MySQL server that a test may kill: install Debian's mariadb-server-core")
	return program{}
}

// none skips a test that needs a server, or fails it if it must not be skipped.
func (u *suite) none(tb testing.TB, reason string) {
	tb.Helper()
	if u.required() {
		tb.Fatal("mysqltest: AUTH_REQUIRE_MYSQL is 1, but there is " + reason)
	}
	tb.Skip("mysqltest: there is " + reason)
}

func (u *suite) required() bool { return u.getenv("AUTH_REQUIRE_MYSQL") == "1" }

// look finds the legs and says which cannot be had.
func (u *suite) look() {
	if dsns := strings.Fields(u.getenv("AUTH_TEST_MYSQL_DSN")); len(dsns) > 0 {
		u.lookExternal(dsns)
		return
	}
	if p := u.findMariaDB(); p.path != "" {
		u.legs = append(u.legs,
			&Server{Name: nameMariaDB, suite: u, program: p, flags: []string{"--loose-innodb-snapshot-isolation=OFF"}},
			&Server{Name: nameSnapshot, suite: u, program: p, flags: []string{"--innodb-snapshot-isolation=ON"}})
	} else {
		_, _ = fmt.Fprintln(u.out, "MariaDB: not to be had here")
	}
	if p := u.findMySQL(); p.path != "" {
		u.legs = append(u.legs, &Server{Name: nameMySQL, suite: u, program: p})
	} else {
		_, _ = fmt.Fprintln(u.out, "real MySQL: not to be had here")
	}
}

func (u *suite) lookExternal(dsns []string) {
	for i, dsn := range dsns {
		cfg, err := mysql.ParseDSN(dsn)
		if err != nil {
			u.err = fmt.Errorf("mysqltest: AUTH_TEST_MYSQL_DSN, name %d: %w", i+1, err)
			return
		}
		u.legs = append(u.legs, &Server{Name: fmt.Sprintf("external-%d", i+1), suite: u, cfg: cfg})
	}
}

func (u *suite) findMariaDB() program {
	dirs := append(u.path(), u.cached("mariadb")...)
	for _, path := range executables(dirs, "mariadbd") {
		return program{path: path, mariadb: true}
	}
	return program{}
}

// findMySQL passes over programs named mysqld that are MariaDB's.
func (u *suite) findMySQL() program {
	dirs := append(u.cached("mysql"), u.path()...)
	for _, path := range executables(dirs, "mysqld") {
		out, err := exec.CommandContext(context.Background(), path, "--no-defaults", "--version").Output() //nolint:gosec // a program of the developer's own PATH or cache
		if err == nil && !strings.Contains(string(out), "MariaDB") {
			return program{path: path}
		}
	}
	return program{}
}

// path is the folders in which the system's servers lie.
func (u *suite) path() []string {
	return append(filepath.SplitList(u.getenv("PATH")), u.sbin...)
}

// cached is the folder into which make test unpacks a server, if it can be named.
func (u *suite) cached(name string) []string {
	cache := u.getenv("XDG_CACHE_HOME")
	if home := u.getenv("HOME"); cache == "" && home != "" {
		cache = filepath.Join(home, ".cache")
	}
	if cache == "" {
		return nil
	}
	return []string{filepath.Join(cache, "ostiary-auth", name)}
}

// executables returns the programs of that name, in the order of the folders. A folder
// that is not absolute is passed over, as [exec.LookPath] does.
func executables(dirs []string, name string) []string {
	var found []string
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		if err == nil && filepath.IsAbs(path) && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			found = append(found, path)
		}
	}
	return found
}

// stop ends the servers and removes their data.
func (u *suite) stop() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, s := range u.legs {
		if err := s.stop(); err != nil {
			return err
		}
	}
	return nil
}
