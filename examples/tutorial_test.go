package examples_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/mysqltest"
)

// person is a user of the tutorial's database.
type person struct {
	name, email, password string
}

// people are in the order of their IDs, from 1.
var people = []person{
	{"Ann Lee", "ann@example.com", "correct horse"},
	{"Bob", "BOB@Example.COM", "battery staple"},
	{"Tom & Jerry", "tom@example.com", "tom's cheese"},
	{"李小龙", "lee@example.com", "be water, my friend"},
	{"Eve", "eve@example.com", "spaced out"},
	{"Zoë", "zoë@example.com", "naïve café"},
	{"Long Pass", "long@example.com", strings.Repeat("p", 80)},
}

const eve = 5

// tutorialDatabase is a new database with the tutorial's tables and people.
func tutorialDatabase(t *testing.T, s *mysqltest.Server) (dsn string, db *sql.DB) {
	t.Helper()
	dsn = s.DSN(t)
	db = mysqltest.Open(t, dsn)
	text, err := os.ReadFile(filepath.Join("mysql", "testdata", "tutorial.sql"))
	require.NoError(t, err)
	for query := range strings.SplitSeq(string(text), ";\n") {
		if strings.TrimSpace(query) != "" {
			_, err := db.ExecContext(t.Context(), query)
			require.NoError(t, err)
		}
	}
	return dsn, db
}

// dump is every table with its rows.
func dump(t *testing.T, db *sql.DB) string {
	t.Helper()
	var b strings.Builder
	for _, table := range rows(t, db, "SHOW TABLES") {
		fmt.Fprintln(&b, rows(t, db, "SHOW CREATE TABLE "+table[0]))
		list := rows(t, db, "SELECT * FROM "+table[0])
		slices.SortFunc(list, slices.Compare)
		fmt.Fprintf(&b, "%q\n", list)
	}
	return b.String()
}

func rows(t *testing.T, db *sql.DB, query string) [][]string {
	t.Helper()
	result, err := db.QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer func() { _ = result.Close() }()
	columns, err := result.Columns()
	require.NoError(t, err)
	var list [][]string
	for result.Next() {
		values, targets, row := make([]sql.NullString, len(columns)), make([]any, len(columns)), make([]string, len(columns))
		for i := range values {
			targets[i] = &values[i]
		}
		require.NoError(t, result.Scan(targets...))
		for i, v := range values {
			row[i] = v.String
		}
		list = append(list, row)
	}
	require.NoError(t, result.Err())
	return list
}

func logIn(t *testing.T, status int, url, email, password string) answer {
	t.Helper()
	body, err := json.Marshal(map[string]string{"email": email, "password": password})
	require.NoError(t, err)
	return do(t, status, "POST", url+"/api/login", "", string(body))
}

// TestUpgradeTutorial takes the tutorial's database over and logs everybody in, twice; eve,
// whose password the tutorial trimmed, by both of its spellings in both orders.
func TestUpgradeTutorial(t *testing.T) {
	orders := [][]string{{"spaced out", "  spaced out  "}, {"  spaced out  ", "spaced out"}}
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		for _, tutorial := range []bool{false, true} {
			for i, order := range orders {
				t.Run(fmt.Sprintf("tutorial=%t/%d", tutorial, i), func(t *testing.T) {
					takeOver(t, s, tutorial, order)
				})
			}
		}
	})
}

func takeOver(t *testing.T, s *mysqltest.Server, tutorial bool, evesPasswords []string) {
	t.Helper()
	dsn, db := tutorialDatabase(t, s)
	args := []string{"-upgrade-tutorial", fmt.Sprintf("-tutorial=%t", tutorial), "-cost", "11", "-no-limits", "-dsn", dsn}
	refused := http.StatusUnauthorized
	if tutorial {
		refused = http.StatusUnprocessableEntity
	}
	p, url := serve(t, keys, "mysql", args...)
	for round := range 2 {
		for i, who := range people {
			id := i + 1
			if id == eve {
				who.password = evesPasswords[round]
			}
			name := who.name
			if tutorial {
				name = strings.ReplaceAll(name, "&", "&amp;")
			}
			tokens := logIn(t, http.StatusOK, url, who.email, who.password)
			profile := do(t, http.StatusOK, "GET", url+"/api/profile", tokens.str("access_token"), "")
			assert.Equal(t, map[string]any{"id": float64(id), "name": name, "email": who.email}, profile.body["user"])
			do(t, http.StatusOK, "GET", url+"/api/refresh", tokens.str("refresh_token"), "")
		}
		logIn(t, http.StatusOK, url, "bob@example.com", "battery staple")
		logIn(t, refused, url, "eve@example.com", "spacedout")
		logIn(t, refused, url, "long@example.com", strings.Repeat("p", 71))
	}

	// A new user's password counts to its last byte.
	long := strings.Repeat("q", 80)
	signup := do(t, http.StatusCreated, "POST", url+"/api/signup", "", `{"name":"New","email":"new@example.com","password":"`+long+`"}`)
	assert.EqualValues(t, len(people)+1, signup.body["user_id"])
	logIn(t, refused, url, "new@example.com", long[:72])
	logIn(t, refused, url, "new@example.com", long[:79]+"x")
	logIn(t, http.StatusOK, url, "new@example.com", long)
	if !tutorial { // which trims by its policy, not by the form of the hash
		logIn(t, refused, url, "new@example.com", " "+long)
	}

	assert.Zero(t, p.end(t, syscall.SIGTERM))
	before := dump(t, db)
	serve(t, keys, "mysql", args...)
	assert.Equal(t, before, dump(t, db))
	assert.Equal(t, len(people), count(t, db, "tutorial_refresh_tokens"))
}

// TestTutorialDatabaseIsNotTouched starts without -upgrade-tutorial.
func TestTutorialDatabaseIsNotTouched(t *testing.T) {
	dsn, db := tutorialDatabase(t, mysqltest.Default(t))
	before := dump(t, db)
	code, out := finish(t, command(t, keys, "mysql", "-dsn", dsn))
	assert.Equal(t, 1, code)
	assert.Contains(t, out, "UpgradeTutorial")
	assert.Equal(t, before, dump(t, db))
}
