package main_test

import (
	"database/sql"
	"go/scanner"
	"go/token"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	host "github.com/ostiary/auth/examples/ownusers"
	"github.com/ostiary/auth/internal/mysqltest"
	"github.com/ostiary/auth/storetest"
)

func TestMain(m *testing.M) { os.Exit(mysqltest.Main(m)) }

// open makes the host's stores on a new database.
func open(tb testing.TB, server *mysqltest.Server) auth.Stores {
	tb.Helper()
	db, err := host.Open(server.DSN(tb))
	require.NoError(tb, err)
	tb.Cleanup(func() { assert.NoError(tb, db.Close()) })
	stores, err := host.Stores(tb.Context(), db)
	require.NoError(tb, err)
	return stores
}

// harness runs the conformance suite on the host's stores.
func harness(server *mysqltest.Server) storetest.Harness {
	find := func(s auth.Stores) *sql.DB {
		accounts, _ := s.Users.(host.Accounts)
		return accounts.DB
	}
	return storetest.Harness{
		New: func(tb testing.TB) auth.Stores {
			tb.Helper()
			return open(tb, server)
		},
		Advance: func(tb testing.TB, s auth.Stores, d time.Duration) {
			tb.Helper()
			exec(tb, find(s), "UPDATE accounts SET joined_at = joined_at - INTERVAL ? MICROSECOND", d.Microseconds())
			mysqltest.Advance(tb, find(s), d)
		},
		BumpAuthVersion: func(tb testing.TB, s auth.Stores, id auth.UserID) {
			tb.Helper()
			require.NoError(tb, host.EndSessions(tb.Context(), find(s), id))
		},
		DeleteUser: func(tb testing.TB, s auth.Stores, id auth.UserID) {
			tb.Helper()
			account := uuid.MustParse(string(id))
			exec(tb, find(s), "DELETE FROM accounts WHERE account_id = ?", account[:])
		},
	}
}

func exec(tb testing.TB, db *sql.DB, query string, args ...any) {
	tb.Helper()
	_, err := db.ExecContext(tb.Context(), query, args...)
	require.NoError(tb, err)
}

func TestConformance(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		storetest.Run(t, harness(server))
	})
}

// TestUserStoreIsShort counts the lines of users.go that hold code: what a host with its
// own users table has to write.
func TestUserStoreIsShort(t *testing.T) {
	text, err := os.ReadFile("users.go")
	require.NoError(t, err)
	files := token.NewFileSet()
	file := files.AddFile("users.go", -1, len(text))
	var s scanner.Scanner
	s.Init(file, text, nil, 0)
	lines := map[int]bool{}
	for pos, tok, _ := s.Scan(); tok != token.EOF; pos, tok, _ = s.Scan() {
		lines[files.Position(pos).Line] = true
	}
	assert.Zero(t, s.ErrorCount)
	assert.LessOrEqual(t, len(lines), 60)
	assert.Greater(t, len(lines), 20)
}
