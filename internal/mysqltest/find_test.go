package mysqltest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/mysqltest"
)

// program writes a program that answers --version as a server does.
func program(t *testing.T, dir, name, version string) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o700))
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\necho '"+path+"  Ver "+version+"'\n"), 0o700))
	return path
}

func names(servers []*mysqltest.Server) []string {
	var names []string
	for _, s := range servers {
		names = append(names, s.Name)
	}
	return names
}

func TestNoServer(t *testing.T) {
	for _, env := range []map[string]string{
		{},
		{"PATH": t.TempDir(), "HOME": t.TempDir(), "XDG_CACHE_HOME": t.TempDir()},
		{"AUTH_REQUIRE_MYSQL": "0"},
	} {
		end := observe(t, func(tb *fakeTB) { mysqltest.NewSuite(env, new(bytes.Buffer)).Servers(tb) })
		assert.Empty(t, end.fatal)
		assert.Contains(t, end.skipped, "make test")
		assert.Contains(t, end.skipped, "mariadb-server-core")
		assert.Contains(t, end.skipped, "AUTH_TEST_MYSQL_DSN")
	}
	env := map[string]string{"AUTH_REQUIRE_MYSQL": "1"}
	end := observe(t, func(tb *fakeTB) { mysqltest.NewSuite(env, new(bytes.Buffer)).Servers(tb) })
	assert.Empty(t, end.skipped)
	assert.Contains(t, end.fatal, "AUTH_REQUIRE_MYSQL")
	assert.Contains(t, end.fatal, "mariadb-server-core")
}

func TestMainIsNeeded(t *testing.T) {
	dir := t.TempDir()
	program(t, dir, "mariadbd", "10.11.19-MariaDB")
	suite := mysqltest.NewSuite(map[string]string{"PATH": dir}, new(bytes.Buffer)).WithoutMain()
	end := observe(t, func(tb *fakeTB) { suite.Servers(tb) })
	assert.Contains(t, end.fatal, "mysqltest.Main")
}

func TestWhereServersAreFound(t *testing.T) {
	const mariadb, oracle = "10.11.19-MariaDB", "9.7.4 for Linux on x86_64"
	path, sbin, home, xdg := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	inSbin := program(t, sbin, "mariadbd", mariadb)
	program(t, sbin, "mysqld", mariadb)
	inHome := program(t, filepath.Join(home, ".cache/ostiary-auth/mysql"), "mysqld", oracle)
	program(t, filepath.Join(home, ".cache/ostiary-auth/mariadb"), "mariadbd", mariadb)
	inXDG := program(t, filepath.Join(xdg, "ostiary-auth/mariadb"), "mariadbd", mariadb)
	inPath := program(t, path, "mysqld", oracle)
	program(t, filepath.Join(path, "relative"), "mariadbd", mariadb)
	require.NoError(t, os.WriteFile(filepath.Join(path, "mariadbd"), nil, 0o600)) // no program
	require.NoError(t, os.MkdirAll(filepath.Join(path, "folder", "mariadbd"), 0o700))

	t.Chdir(path)
	for name, tt := range map[string]struct {
		env            map[string]string
		sbin           []string
		mariadb, mysql string
	}{
		"system, and the home's cache": {map[string]string{"PATH": "", "HOME": home}, []string{sbin}, inSbin, inHome},
		"both in PATH":                 {map[string]string{"PATH": path + "/folder:" + path + ":" + sbin}, nil, inSbin, inPath},
		"MySQL in PATH and the cache":  {map[string]string{"PATH": sbin + ":" + path, "HOME": home}, nil, inSbin, inHome},
		"MariaDB's mysqld before it":   {map[string]string{"PATH": sbin + ":" + path}, nil, inSbin, inPath},
		"a relative folder":            {map[string]string{"PATH": "relative:" + sbin}, nil, inSbin, ""},
		"a cache of another name":      {map[string]string{"XDG_CACHE_HOME": xdg, "HOME": home}, nil, inXDG, ""},
		"MariaDB's mysqld alone":       {map[string]string{"PATH": sbin}, nil, inSbin, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			suite := mysqltest.NewSuite(tt.env, &out, tt.sbin...)
			legs := suite.Servers(t)
			assert.Equal(t, legs, suite.Servers(t))
			assert.Equal(t, tt.mariadb, legs[0].Program())
			assert.Equal(t, tt.mariadb, legs[1].Program())
			if tt.mysql == "" {
				assert.Equal(t, []string{"mariadb", "mariadb-snapshot"}, names(legs))
				assert.Equal(t, "real MySQL: not to be had here\n", out.String())
				return
			}
			assert.Equal(t, []string{"mariadb", "mariadb-snapshot", "mysql"}, names(legs))
			assert.Equal(t, tt.mysql, legs[2].Program())
			assert.Empty(t, out.String())
		})
	}
}

func TestOnlyMySQLMayBeMissing(t *testing.T) {
	dir := t.TempDir()
	mysqld := program(t, dir, "mysqld", "8.4.0 for Linux on x86_64")
	env := map[string]string{"PATH": dir}
	var out bytes.Buffer
	legs := mysqltest.NewSuite(env, &out).Servers(t)
	assert.Equal(t, []string{"mysql"}, names(legs))
	assert.Equal(t, mysqld, legs[0].Program())
	assert.Equal(t, "MariaDB: not to be had here\n", out.String())

	env["AUTH_REQUIRE_MYSQL"] = "1"
	end := observe(t, func(tb *fakeTB) { mysqltest.NewSuite(env, &out).Servers(tb) })
	assert.Contains(t, end.fatal, "there is no MariaDB")

	require.NoError(t, os.Rename(mysqld, filepath.Join(dir, "mariadbd")))
	legs = mysqltest.NewSuite(env, &out).Servers(t)
	assert.Equal(t, []string{"mariadb", "mariadb-snapshot"}, names(legs))
}

func TestExternalServers(t *testing.T) {
	dsn := mysqltest.Default(t).DSN(t, "timeout=5s")
	var out bytes.Buffer
	suite := mysqltest.NewSuite(map[string]string{"AUTH_TEST_MYSQL_DSN": dsn + " " + dsn + "&readTimeout=5s", "AUTH_REQUIRE_MYSQL": "1"}, &out)
	t.Cleanup(func() { require.NoError(t, suite.Stop()) })
	legs := suite.Servers(t)
	assert.Equal(t, []string{"external-1", "external-2"}, names(legs))
	for _, s := range legs {
		var name string
		require.NoError(t, s.DB(t, "parseTime=true").QueryRowContext(t.Context(), "SELECT DATABASE()").Scan(&name))
		assert.Regexp(t, "^auth_test_", name)
		assert.NotContains(t, dsn, name)

		end := observe(t, func(tb *fakeTB) { s.Kill(tb) })
		assert.NotEmpty(t, end.fatal)
		end = observe(t, func(tb *fakeTB) { s.Private(tb) })
		assert.Contains(t, end.fatal, "that a test may kill")
	}
	assert.Empty(t, out.String())
}

func TestExternalServerCannotBeRead(t *testing.T) {
	for dsn, want := range map[string]string{
		"user:pass@nowhere":           "AUTH_TEST_MYSQL_DSN, name 1",
		"root@tcp(127.0.0.1:1)/ root": "AUTH_TEST_MYSQL_DSN, name 2",
	} {
		suite := mysqltest.NewSuite(map[string]string{"AUTH_TEST_MYSQL_DSN": dsn}, new(bytes.Buffer))
		for range 2 {
			end := observe(t, func(tb *fakeTB) { suite.Servers(tb) })
			assert.Contains(t, end.fatal, want)
		}
	}
	suite := mysqltest.NewSuite(map[string]string{"AUTH_TEST_MYSQL_DSN": "root@tcp(127.0.0.1:1)/"}, new(bytes.Buffer))
	end := observe(t, func(tb *fakeTB) { suite.Servers(tb)[0].DSN(tb) })
	assert.Contains(t, end.fatal, "connection refused")
}
