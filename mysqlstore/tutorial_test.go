package mysqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/mysqltest"
	"github.com/ostiary/auth/mysqlstore"
)

// someHash is a bcrypt hash as the tutorial makes them.
const someHash = "$2b$10$UUCffLfXHhU.xaUrC9kb0Oi1u7D6X4RGvo12iYimMLbfKLvsn.l9C"

// run executes statements, each ended by a semicolon at the end of a line.
func run(tb testing.TB, db *sql.DB, statements string) {
	tb.Helper()
	for s := range strings.SplitSeq(statements, ";\n") {
		if s = strings.TrimSpace(s); s != "" {
			_, err := db.ExecContext(tb.Context(), s)
			require.NoError(tb, err, s)
		}
	}
}

// tutorialDSN returns the name of a new database, filled with the tutorial's seven people.
func tutorialDSN(tb testing.TB, s *mysqltest.Server, more ...string) string {
	tb.Helper()
	dsn := s.DSN(tb)
	text, err := os.ReadFile("testdata/tutorial.sql")
	require.NoError(tb, err)
	db := mysqltest.Open(tb, dsn)
	run(tb, db, string(text))
	for _, statements := range more {
		run(tb, db, statements)
	}
	return dsn
}

func upgrade(ctx context.Context, db *sql.DB) error {
	return mysqlstore.New(db, mysqlstore.Options{}).UpgradeTutorial(ctx)
}

// tablesOf returns how the tables of a database are made.
func tablesOf(tb testing.TB, db *sql.DB) map[string]string {
	tb.Helper()
	made := map[string]string{}
	for _, row := range rowsOf(tb, db, "SHOW TABLES") {
		made[row[0]] = rowsOf(tb, db, "SHOW CREATE TABLE `"+row[0]+"`")[0][1]
	}
	return made
}

// dumpOf returns every table of a database and every row.
func dumpOf(tb testing.TB, db *sql.DB) string {
	tb.Helper()
	var b strings.Builder
	for _, row := range rowsOf(tb, db, "SHOW TABLES") {
		fmt.Fprintln(&b, rowsOf(tb, db, "SHOW CREATE TABLE `"+row[0]+"`")[0][1])
		rows := rowsOf(tb, db, "SELECT * FROM `"+row[0]+"`")
		slices.SortFunc(rows, slices.Compare)
		for _, r := range rows {
			fmt.Fprintf(&b, "%q\n", r)
		}
	}
	return b.String()
}

// rowsOf returns the result of a query as text; NULL is "NULL".
func rowsOf(tb testing.TB, db *sql.DB, query string) [][]string {
	tb.Helper()
	rows, err := db.QueryContext(tb.Context(), query)
	require.NoError(tb, err, query)
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	require.NoError(tb, err)
	var list [][]string
	for rows.Next() {
		values := make([]sql.NullString, len(names))
		targets := make([]any, len(names))
		for i := range values {
			targets[i] = &values[i]
		}
		require.NoError(tb, rows.Scan(targets...))
		row := make([]string, len(names))
		for i, v := range values {
			row[i] = v.String
			if !v.Valid {
				row[i] = "NULL"
			}
		}
		list = append(list, row)
	}
	require.NoError(tb, rows.Err())
	return list
}

var autoIncrement = regexp.MustCompile(` AUTO_INCREMENT=\d+`)

func TestUpgradeTutorial(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		db := mysqltest.Open(t, tutorialDSN(t, s, "INSERT INTO users (id, name, email, password) VALUES "+
			"(9, '&amp;lt;b&amp;gt;', ' nine@example.com', '"+someHash+"'), (10, 'Zoe\u0308', 'ten@example.com', '"+someHash+"')"))
		before := rowsOf(t, db, "SELECT id, password FROM users ORDER BY id")
		tokens := rowsOf(t, db, "SELECT user_id, token, created_at FROM refresh_tokens ORDER BY user_id")
		store := mysqlstore.New(db, mysqlstore.Options{})
		require.ErrorContains(t, store.Migrate(t.Context()), "UpgradeTutorial")
		require.NoError(t, store.UpgradeTutorial(t.Context()))

		t.Run("people", func(t *testing.T) {
			for i, want := range []auth.UserRecord{
				{User: auth.User{ID: "1", Name: "Ann Lee", Email: "ann@example.com"}, EmailKey: "ann@example.com"},
				{User: auth.User{ID: "2", Name: "Bob", Email: "BOB@Example.COM"}, EmailKey: "bob@example.com"},
				{User: auth.User{ID: "3", Name: "Tom & Jerry", Email: "tom@example.com"}, EmailKey: "tom@example.com"},
				{User: auth.User{ID: "4", Name: "李小龙", Email: "lee@example.com"}, EmailKey: "lee@example.com"},
				{User: auth.User{ID: "5", Name: "Eve", Email: "eve@example.com"}, EmailKey: "eve@example.com"},
				{User: auth.User{ID: "6", Name: "Zoë", Email: "zoë@example.com"}, EmailKey: "zoë@example.com"},
				{User: auth.User{ID: "7", Name: "Long Pass", Email: "long@example.com"}, EmailKey: "long@example.com"},
				{User: auth.User{ID: "9", Name: "&lt;b&gt;", Email: "nine@example.com"}, EmailKey: "nine@example.com"},
				{User: auth.User{ID: "10", Name: "Zo\u00EB", Email: "ten@example.com"}, EmailKey: "ten@example.com"},
			} {
				got, err := store.Stores().Users.UserByID(t.Context(), want.ID)
				require.NoError(t, err)
				byKey, err := store.Stores().Users.UserByEmail(t.Context(), want.EmailKey)
				require.NoError(t, err)
				assert.Equal(t, got, byKey)
				want.PasswordHash = "bcrypt-tutorial:" + before[i][1]
				want.AuthVersion = 1
				if i < 7 {
					want.CreatedAt = time.Date(2026, 11, 23, 21, 7, 37, 0, time.UTC)
				} else {
					want.CreatedAt = got.CreatedAt
				}
				assert.Equal(t, want, got, "user %s", want.ID)
			}
		})

		t.Run("tables", func(t *testing.T) {
			fresh := s.DB(t)
			require.NoError(t, mysqlstore.New(fresh, mysqlstore.Options{}).Migrate(t.Context()))
			want, got := tablesOf(t, fresh), tablesOf(t, db)
			for _, table := range []string{"users", "refresh_tokens"} {
				assert.Equal(t, want[table], autoIncrement.ReplaceAllString(got[table], ""))
			}
			assert.Len(t, got, 3)
		})

		t.Run("sessions", func(t *testing.T) {
			assert.Empty(t, rowsOf(t, db, "SELECT id FROM refresh_tokens"))
			assert.Equal(t, tokens, rowsOf(t, db, "SELECT user_id, token, created_at FROM tutorial_refresh_tokens ORDER BY user_id"))
		})

		t.Run("again", func(t *testing.T) {
			upgraded := tablesOf(t, db)
			require.NoError(t, store.Migrate(t.Context()))
			made := tablesOf(t, db)
			assert.Contains(t, made, "rate_limits")
			delete(made, "rate_limits")
			assert.Equal(t, upgraded, made, "Migrate makes what else is missing")
			dump := dumpOf(t, db)
			require.NoError(t, store.UpgradeTutorial(t.Context()))
			require.NoError(t, store.Migrate(t.Context()))
			assert.Equal(t, dump, dumpOf(t, db))
		})

		t.Run("next ID", func(t *testing.T) {
			id, err := store.Stores().Users.CreateUser(t.Context(),
				auth.NewUser{Name: "Next", Email: "next@example.com", EmailKey: "next@example.com", PasswordHash: someHash})
			require.NoError(t, err)
			assert.Equal(t, auth.UserID("11"), id)
		})
	})
}
