package mysqltest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"strings"
	"testing"

	_ "github.com/go-sql-driver/mysql" // the driver "mysql"
)

// collation is the databases'. It holds letters equal that a canonical address keeps
// apart, so a column that relies on its database's collation does not pass.
const collation = "utf8mb4_general_ci"

// DSN makes a new, empty database and returns its data source name. Params, such as
// "parseTime=true", are the driver's options, written as in a data source name. The
// database is dropped when the test and its subtests end, and so must not be in use any
// more by then; a private server's goes with the server.
func (s *Server) DSN(tb testing.TB, params ...string) string {
	tb.Helper()
	s.ready(tb)
	cfg := s.cfg.Clone()
	cfg.DBName = "auth_test_" + strings.ToLower(rand.Text())
	if _, err := s.admin.ExecContext(tb.Context(), "CREATE DATABASE "+cfg.DBName+" CHARACTER SET utf8mb4 COLLATE "+collation); err != nil {
		tb.Fatalf("mysqltest: %v", err)
	}
	tb.Cleanup(func() {
		if s.private {
			return
		}
		if _, err := s.admin.ExecContext(context.Background(), "DROP DATABASE "+cfg.DBName); err != nil {
			tb.Errorf("mysqltest: %v", err)
		}
	})
	return withParams(cfg.FormatDSN(), params)
}

// DB returns a pool on a new, empty database, as DSN makes it. It is closed when the test
// and its subtests end.
func (s *Server) DB(tb testing.TB, params ...string) *sql.DB {
	tb.Helper()
	return Open(tb, s.DSN(tb, params...))
}

// Open returns a pool on a database that DSN made, with further options of the driver's.
// It is closed when the test and its subtests end.
func Open(tb testing.TB, dsn string, params ...string) *sql.DB {
	tb.Helper()
	db, err := sql.Open("mysql", withParams(dsn, params))
	if err != nil {
		tb.Fatalf("mysqltest: %v", err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Errorf("mysqltest: %v", err)
		}
	})
	return db
}

func withParams(dsn string, params []string) string {
	for _, p := range params {
		if strings.Contains(dsn[strings.LastIndexByte(dsn, '/')+1:], "?") {
			dsn += "&" + p
		} else {
			dsn += "?" + p
		}
	}
	return dsn
}
