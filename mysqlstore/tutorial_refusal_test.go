package mysqlstore_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/mysqltest"
	"github.com/ostiary/auth/mysqlstore"
)

// user is the statement that adds a row to the tutorial's users.
func user(id int, name, email, hash string) string {
	return fmt.Sprintf("INSERT INTO users (id, name, email, password) VALUES (%d, '%s', '%s', '%s')", id, name, email, hash)
}

// The tutorial's collation held many addresses equal, but not these.
func TestUpgradeTutorialCollisions(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		dsn := tutorialDSN(t, s,
			user(20, "Zoe", "zoe\u0308@example.com", someHash), // decomposed
			user(21, "Idn", "a@bücher.example", someHash),
			user(22, "Ace", "A@xn--bcher-kva.example", someHash),
			user(23, "Ang", "\u212Bke@example.com", someHash), // the angstrom sign
			user(24, "Ang", "A\u030Ake@example.com", someHash),
			user(25, "Zoe", "zoe\u0308@EXAMPLE.com\t", someHash),
		)
		db := mysqltest.Open(t, dsn)
		before := dumpOf(t, db)
		err := upgrade(t.Context(), db)
		require.ErrorContains(t, err, "users 6 and 25, and 1 more, have one e-mail address in two spellings")
		require.ErrorContains(t, err, "users 21 and 22 have one")
		require.ErrorContains(t, err, "users 23 and 24 have one")
		require.NotErrorIs(t, err, auth.ErrUnavailable)
		assert.Equal(t, before, dumpOf(t, db))

		run(t, db, "DELETE FROM users WHERE id IN (20, 22, 24, 25)")
		require.NoError(t, upgrade(t.Context(), db))
	})
}

// People who differ stay two.
func TestUpgradeTutorialKeepsPeopleApart(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		db := mysqltest.Open(t, tutorialDSN(t, s,
			user(20, "Ano", "straße@example.com", someHash),
			user(21, "Bno", "strasse@example.com", someHash),
			user(22, "Cno", "a@faß.de", someHash),
			user(23, "Dno", "a@fass.de", someHash),
		))
		require.NoError(t, upgrade(t.Context(), db))
		assert.Len(t, rowsOf(t, db, "SELECT id FROM users"), 11)
	})
}

func TestUpgradeTutorialRefusesRows(t *testing.T) {
	for name, c := range map[string]struct{ statements, want string }{
		"address without a dot":  {user(20, "Ano", "ann@localhost", someHash), "user 20: email: "},
		"address with a quote":   {user(20, "Ano", `"a b"@example.com`, someHash), "user 20: email: "},
		"short name":             {user(20, "Al", "al@example.com", someHash), "user 20: name: too short"},
		"name of escapes":        {user(20, "&lt;&gt;", "al@example.com", someHash), "user 20: name: too short"},
		"control character":      {user(20, "A\x01no", "al@example.com", someHash), "user 20: name: control"},
		"no hash":                {user(20, "Ano", "al@example.com", ""), "user 20: passhash: "},
		"another hash":           {user(20, "Ano", "al@example.com", "5f4dcc3b5aa765d61d8327deb882cf99"), "user 20: passhash: "},
		"a hash that is cut":     {user(20, "Ano", "al@example.com", someHash[:59]), "user 20: passhash: "},
		"a hash of endless work": {user(20, "Ano", "al@example.com", strings.Replace(someHash, "$10$", "$31$", 1)), "user 20: passhash: "},
		"negative ID":            {user(-3, "Ano", "al@example.com", someHash), "user -3: an ID is a positive number"},
		"zero date": {
			user(20, "Ano", "al@example.com", someHash) + ";\nUPDATE users SET updated_at = 0 WHERE id = 20", "user 20: created_at or updated_at is no date",
		},
		"two faults": {user(20, "Al", "al@localhost", someHash), "user 20: name: too short; user 20: email: "},
	} {
		t.Run(name, func(t *testing.T) {
			mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
				dsn := tutorialDSN(t, s)
				run(t, mysqltest.Open(t, dsn, "sql_mode=%27%27"), c.statements)
				db := mysqltest.Open(t, dsn)
				before := dumpOf(t, db)
				err := upgrade(t.Context(), db)
				require.ErrorContains(t, err, c.want)
				require.NotErrorIs(t, err, auth.ErrUnavailable)
				assert.NotContains(t, err.Error(), "al@", "personal data")
				assert.Equal(t, before, dumpOf(t, db))
			})
		})
	}
}

func TestUpgradeTutorialListsTwentyProblems(t *testing.T) {
	var rows []string
	for i := range 600 { // more than a batch
		rows = append(rows, fmt.Sprintf("(%d, 'Al', 'al%d@example.com', '%s')", 100+i, i, someHash))
	}
	db := mysqltest.Open(t, tutorialDSN(t, mysqltest.Default(t), "INSERT INTO users (id, name, email, password) VALUES "+strings.Join(rows, ", ")))
	before := dumpOf(t, db)
	err := upgrade(t.Context(), db)
	require.ErrorContains(t, err, "user 100: name: too short; ")
	require.ErrorContains(t, err, "user 119: name: too short; and 580 more")
	assert.Equal(t, 20, strings.Count(err.Error(), "too short"))
	assert.Equal(t, before, dumpOf(t, db))
}

func TestUpgradeTutorialRefusesTables(t *testing.T) {
	const restricts = "CREATE TABLE orders (id INT PRIMARY KEY, user_id INT NOT NULL, CONSTRAINT their_user FOREIGN KEY (user_id) REFERENCES users (id))"
	for name, c := range map[string]struct{ statements, want string }{
		"one column more":      {"ALTER TABLE users ADD COLUMN phone varchar(20)", "columns of users are not exactly the tutorial's"},
		"one column less":      {"ALTER TABLE users DROP COLUMN updated_at", "examples/ownusers"},
		"another type":         {"ALTER TABLE users MODIFY name text NOT NULL", "columns of users are not exactly the tutorial's"},
		"nullable":             {"ALTER TABLE users MODIFY name varchar(30) NULL", "columns of users are not exactly the tutorial's"},
		"other tokens":         {"ALTER TABLE refresh_tokens ADD COLUMN device varchar(20)", "columns of refresh_tokens are not exactly the tutorial's"},
		"two tables of tokens": {"CREATE TABLE tutorial_refresh_tokens LIKE refresh_tokens", "tutorial_refresh_tokens, which is there already"},
		"a host's foreign key": {restricts, ".orders.their_user"},
		"a host's own users":   {"DROP TABLE refresh_tokens;\nDROP TABLE users;\nCREATE TABLE users (id CHAR(36) PRIMARY KEY)", "examples/ownusers"},
		"tokens without users": {"ALTER TABLE refresh_tokens DROP FOREIGN KEY refresh_tokens_ibfk_1;\nDROP TABLE users", "columns of users are not exactly"},
		"two foreign keys":     {"CREATE TABLE a (i INT NOT NULL, CONSTRAINT x FOREIGN KEY (i) REFERENCES users (id));\n" + restricts, ".a.x, "},
	} {
		t.Run(name, func(t *testing.T) {
			mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
				db := mysqltest.Open(t, tutorialDSN(t, s, c.statements))
				before := dumpOf(t, db)
				require.ErrorContains(t, upgrade(t.Context(), db), c.want)
				assert.Equal(t, before, dumpOf(t, db))
			})
		})
	}
}

// A new application's database has nothing to take over.
func TestUpgradeTutorialOfNothing(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		db := s.DB(t)
		require.NoError(t, upgrade(t.Context(), db))
		assert.Empty(t, tablesOf(t, db))
	})
}

// An index that is lost after the upgrade is called so by everyone, and nobody says that
// the tables are the tutorial's.
func TestUpgradeTutorialThenAnIndexLost(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		for _, lost := range []string{"ALTER TABLE refresh_tokens DROP KEY expires_at", "ALTER TABLE users MODIFY name VARCHAR(300) COLLATE utf8mb4_bin NOT NULL"} {
			db := mysqltest.Open(t, tutorialDSN(t, s))
			require.NoError(t, upgrade(t.Context(), db))
			mustExec(t, db, lost)
			before := dumpOf(t, db)
			err := migrate(t.Context(), db)
			require.ErrorContains(t, err, "not ours")
			assert.NotContains(t, err.Error(), "UpgradeTutorial")
			for _, problem := range problems(t, db) {
				assert.NotContains(t, problem, "UpgradeTutorial")
			}
			err = upgrade(t.Context(), db)
			require.Error(t, err)
			assert.NotContains(t, err.Error(), "rename")
			assert.Equal(t, before, dumpOf(t, db))
		}
	})
}

// Sessions alone, for a host's own users, are nothing to upgrade.
func TestUpgradeTutorialRefusesSessionsAlone(t *testing.T) {
	db := mysqltest.Default(t).DB(t)
	store := mysqlstore.New(db, mysqlstore.Options{})
	require.NoError(t, store.MigrateSessions(t.Context()))
	before := dumpOf(t, db)
	require.ErrorContains(t, store.UpgradeTutorial(t.Context()), "examples/ownusers")
	assert.Equal(t, before, dumpOf(t, db))
}

// What a host has beside the tutorial's tables stays, and so do the indexes of its own.
func TestUpgradeTutorialLeavesOthersAlone(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		db := mysqltest.Open(t, tutorialDSN(t, s,
			"CREATE TABLE notes (id INT PRIMARY KEY, body TEXT)",
			"INSERT INTO notes VALUES (1, '&amp;')",
			"ALTER TABLE users ADD KEY by_name (name), ADD KEY another (email)",
		))
		notes := tablesOf(t, db)["notes"]
		require.NoError(t, upgrade(t.Context(), db))
		assert.Equal(t, notes, tablesOf(t, db)["notes"])
		assert.Equal(t, [][]string{{"1", "&amp;"}}, rowsOf(t, db, "SELECT id, body FROM notes"))
		assert.Contains(t, tablesOf(t, db)["users"], "KEY `by_name` (`name`)")
		assert.NotContains(t, tablesOf(t, db)["users"], "(`email`)")
	})
}
