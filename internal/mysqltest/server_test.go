package mysqltest_test

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/mysqltest"
)

func TestMain(m *testing.M) { os.Exit(mysqltest.Main(m)) }

func TestLegsAreWhatTheySay(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		db := s.DB(t)
		var version string
		require.NoError(t, db.QueryRowContext(t.Context(), "SELECT VERSION()").Scan(&version))
		t.Log(version)
		if strings.HasPrefix(s.Name, "external-") {
			return
		}
		assert.Equal(t, s.Name != "mysql", strings.Contains(version, "MariaDB"))
		if s.Name != "mysql" {
			var snapshot bool
			require.NoError(t, db.QueryRowContext(t.Context(), "SELECT @@innodb_snapshot_isolation").Scan(&snapshot))
			assert.Equal(t, s.Name == "mariadb-snapshot", snapshot)
		}
	})
}

func TestServerIsStartedOnce(t *testing.T) {
	s := mysqltest.Default(t)
	var dsns [8]string
	var wg sync.WaitGroup
	for i := range dsns {
		wg.Go(func() { dsns[i] = s.DSN(t) })
	}
	wg.Wait()
	first, _, _ := strings.Cut(dsns[0], "/")
	for i, dsn := range dsns {
		server, _, _ := strings.Cut(dsn, "/")
		assert.Equal(t, first, server)
		assert.NotContains(t, dsns[:i], dsn)
	}
}

func TestKillAndRestart(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, shared *mysqltest.Server) {
		s := shared.Private(t, "--max-connections=77")
		db := s.DB(t)
		ctx := t.Context()
		var limit int
		require.NoError(t, db.QueryRowContext(ctx, "SELECT @@max_connections").Scan(&limit))
		assert.Equal(t, 77, limit)
		_, err := db.ExecContext(ctx, "CREATE TABLE t (id INT PRIMARY KEY) ENGINE=InnoDB")
		require.NoError(t, err)
		_, err = db.ExecContext(ctx, "INSERT INTO t VALUES (1)")
		require.NoError(t, err)
		tx, err := db.BeginTx(ctx, nil)
		require.NoError(t, err)
		_, err = tx.ExecContext(ctx, "INSERT INTO t VALUES (2)")
		require.NoError(t, err)

		s.Kill(t)
		require.Error(t, db.PingContext(ctx))
		require.Error(t, tx.Commit())
		s.Kill(t) // again: nothing happens

		for range 2 { // the second time it runs
			s.Restart(t)
			var ids int
			require.NoError(t, db.QueryRowContext(ctx, "SELECT SUM(id) FROM t").Scan(&ids))
			assert.Equal(t, 1, ids)
		}
	})
}

func TestSharedServerCannotBeKilled(t *testing.T) {
	s := mysqltest.Default(t)
	db := s.DB(t)
	end := observe(t, func(tb *fakeTB) { s.Kill(tb) })
	assert.Contains(t, end.fatal, "kill a private one")
	end = observe(t, func(tb *fakeTB) { s.Restart(tb) })
	assert.Contains(t, end.fatal, "kill a private one")
	require.NoError(t, db.PingContext(t.Context()))
}

func TestServerThatCannotStart(t *testing.T) {
	end := observe(t, func(tb *fakeTB) { mysqltest.Private(tb, "--no-such-option") })
	assert.Contains(t, end.fatal, "ended at its start")
	assert.Contains(t, end.fatal, "no-such-option")

	dir := t.TempDir()
	program(t, dir, "mysqld", "9.7.4")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mariadbd"), []byte("#!/bin/sh\necho no disk; exit 7\n"), 0o700))
	suite := mysqltest.NewSuite(map[string]string{"PATH": dir}, new(bytes.Buffer))
	legs := suite.Servers(t)
	end = observe(t, func(tb *fakeTB) { legs[0].DSN(tb) })
	assert.Contains(t, end.fatal, "no scripts of MariaDB's system tables")
	end = observe(t, func(tb *fakeTB) { legs[2].DSN(tb) })
	assert.Contains(t, end.fatal, "ended at its start")
	require.NoError(t, suite.Stop())
	for _, s := range legs {
		assert.NoDirExists(t, s.Dir())
	}
}

func TestPrivateServerEndsWithItsTest(t *testing.T) {
	var dir string
	t.Run("test", func(t *testing.T) {
		s := mysqltest.Private(t)
		require.NoError(t, s.DB(t).PingContext(t.Context()))
		dir = s.Dir()
		assert.DirExists(t, dir)
	})
	assert.NoDirExists(t, dir)
}

// TestKilledTestBinary kills a test binary: its server goes with it, and its folder with
// the next start of a server.
func TestKilledTestBinary(t *testing.T) {
	const marker = "AUTH_MYSQLTEST_CHILD"
	if os.Getenv(marker) == "1" {
		s := mysqltest.Private(t)
		_, _ = os.Stdout.WriteString("\nserver " + s.DSN(t) + " " + s.Dir() + "\n")
		select {}
	}
	if runtime.GOOS != "linux" {
		t.Skip("only Linux cleans up after a killed test binary")
	}
	t.Setenv("TMPDIR", t.TempDir()) // other test binaries clean up the common one
	other := mysqltest.Private(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledTestBinary$")
	cmd.Env = append(os.Environ(), marker+"=1")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var dsn, dir string
	for lines := bufio.NewScanner(stdout); dir == "" && lines.Scan(); {
		if words := strings.Fields(lines.Text()); len(words) == 3 && words[0] == "server" {
			dsn, dir = words[1], words[2]
		}
	}
	require.NotEmpty(t, dir)
	db := mysqltest.Open(t, dsn)
	require.NoError(t, db.PingContext(t.Context()))
	mysqltest.RemoveOrphans()
	require.DirExists(t, dir, "it is in use")

	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	require.Eventually(t, func() bool { return db.PingContext(t.Context()) != nil }, 10*time.Second, 10*time.Millisecond)
	require.Eventually(t, func() bool {
		mysqltest.RemoveOrphans()
		_, err := os.Stat(dir)
		return os.IsNotExist(err)
	}, 10*time.Second, 10*time.Millisecond)
	assert.DirExists(t, other.Dir(), "it is in use")
}
