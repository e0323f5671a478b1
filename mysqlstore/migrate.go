package mysqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed migrations
var migrations embed.FS

// Migrations returns the steps of Migrate as SQL files in the format that goose reads,
// for hosts whose tables are made by such a tool; those of MigrateSessions are in its
// folder "sessions".
func Migrations() fs.FS {
	sub, _ := fs.Sub(migrations, "migrations") // it fails for names that are no path alone
	return sub
}

// step is a table that a file of Migrations makes.
type step struct {
	table table
	file  string
}

// migrateAttempts is how often a migration starts anew after a conflict with another
// instance's.
const migrateAttempts = 10

// Migrate makes the tables users, refresh_tokens and rate_limits where they are missing,
// and changes nothing where they are there. Any number of instances may call it at once,
// also on different nodes of a cluster; each returns nil when all tables are there. After an
// error, or a crash at any point, it can be called again. It waits 10 seconds at most
// for each lock that another connection holds, and returns an error that Is
// auth.ErrUnavailable then.
//
// Tables of these names that are not ours stop it before it has changed anything. Its
// error says what they lack, and names UpgradeTutorial where they are the tutorial's.
// Columns and indexes that a host has added to ours are left alone, and so is every
// other table.
//
// It needs the privileges CREATE and REFERENCES beside SELECT, INSERT, UPDATE and
// DELETE, and no more.
func (s *Store) Migrate(ctx context.Context) error {
	return s.migrate(ctx, []step{
		{table: ourUsers(), file: "migrations/00001_users.sql"},
		{table: ourSharedSessions(), file: "migrations/00002_refresh_tokens.sql"},
		{table: ourLimits(), file: "migrations/00003_rate_limits.sql"},
	})
}

// MigrateSessions makes the tables refresh_tokens, for Sessions, and rate_limits, for
// Limiter, without users, as Migrate makes all three. It is for hosts whose users are in a
// table of their own.
func (s *Store) MigrateSessions(ctx context.Context) error {
	return s.migrate(ctx, []step{
		{table: ourSessions(), file: "migrations/sessions/00001_refresh_tokens.sql"},
		{table: ourLimits(), file: "migrations/sessions/00002_rate_limits.sql"},
	})
}

func (s *Store) migrate(ctx context.Context, steps []step) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return translate("migrate", err)
	}
	defer discard(conn) // with its limits
	if err := shortLockWaits(ctx, conn); err != nil {
		return err
	}
	var conflict error
	for range migrateAttempts {
		todo, err := pending(ctx, conn, steps)
		if err == nil && len(todo) == 0 {
			return nil
		}
		if err == nil {
			err = apply(ctx, conn, todo)
		}
		// On a cluster another node's migration may end even a look at the tables.
		if err != nil && (!isConflict(err) || errorNumber(err) == errLockWait) {
			return err
		}
		conflict = err
	}
	if conflict != nil {
		return conflict
	}
	return errors.New("mysqlstore: migrate: a table was made and is not to be seen: does the user lack privileges on it?")
}

// pending returns the steps whose tables are missing. It is an error if there is a
// table with one of the names that is not the step's.
func pending(ctx context.Context, q queryer, steps []step) ([]step, error) {
	var (
		todo    []step
		foreign []string
	)
	for _, st := range steps {
		found, err := inspect(ctx, q, st.table.name)
		if err != nil {
			return nil, err
		}
		if !found.exists() {
			todo = append(todo, st)
		} else {
			foreign = append(foreign, st.table.lacks(found)...)
		}
	}
	if len(foreign) == 0 && len(todo) == 0 {
		return nil, nil
	}
	isTutorial, err := tutorialTables(ctx, q, steps[0].table.name == usersTable)
	switch {
	case err != nil:
		return nil, err
	case isTutorial:
		return nil, errors.New("mysqlstore: migrate: the tables are the tutorial's, or half taken over: nothing was changed; call UpgradeTutorial")
	case len(foreign) > 0:
		return nil, fmt.Errorf("mysqlstore: migrate: the tables are not ours, nothing was changed: %s; a host with users of its own keeps them as examples/ownusers shows", strings.Join(foreign, "; "))
	}
	return todo, nil
}

// tutorialTables says whether the database holds the tutorial's tables, or what a call
// of UpgradeTutorial that did not end has made of them. Without refresh_tokens the
// tutorial's users count as that only where users are ours to migrate: else they may well
// be the host's.
func tutorialTables(ctx context.Context, q queryer, migratesUsers bool) (bool, error) {
	list := make([]table, 3)
	for i, name := range []string{usersTable, refreshTable, tutorialRefreshTable} {
		cols, err := columns(ctx, q, name)
		if err != nil {
			return false, err
		}
		list[i] = table{name: name, columns: cols}
	}
	users, refresh, renamed := list[0], list[1], list[2]
	isRenamed := renamed.sameColumns(tutorialRefreshTokens())
	switch {
	case users.sameColumns(tutorialUsers()):
		return isRenamed || refresh.sameColumns(tutorialRefreshTokens()) || migratesUsers && !refresh.exists(), nil
	case users.sameColumns(widenedUsers()):
		return isRenamed, nil
	default:
		return isRenamed && users.sameColumns(ourUsers().columns) && !refresh.exists(), nil
	}
}

// apply runs the steps. That a table is there already is another instance's work.
func apply(ctx context.Context, conn *sql.Conn, steps []step) error {
	for _, st := range steps {
		statements, err := upStatements(st.file)
		if err != nil {
			return err
		}
		for _, statement := range statements {
			// A group of MySQL's expels a member that cannot make a table because another one
			// has just made it.
			statement = strings.Replace(statement, "CREATE TABLE ", "CREATE TABLE IF NOT EXISTS ", 1)
			_, err := conn.ExecContext(ctx, statement)
			switch errorNumber(err) {
			case errTableExists, errColumnExists, errKeyExists:
				continue
			}
			if err != nil {
				return translate("migrate", err)
			}
		}
	}
	return nil
}

// upStatements reads the statements of a file between its "Up" and its "Down". Each ends
// with a semicolon at the end of a line.
func upStatements(file string) ([]string, error) {
	text, err := migrations.ReadFile(file)
	if err != nil {
		return nil, err
	}
	_, up, found := strings.Cut(string(text), "-- +goose Up\n")
	if !found {
		return nil, fmt.Errorf("mysqlstore: %s has no Up", file)
	}
	up, _, _ = strings.Cut(up, "-- +goose Down\n")
	var list []string
	for s := range strings.SplitSeq(up, ";\n") {
		if s = strings.TrimSpace(s); s != "" {
			list = append(list, s)
		}
	}
	return list, nil
}

// shortLockWaits has the connection wait 10 seconds for a lock. A statement that waits to
// change a table makes every later one on the table wait behind it, and the servers'
// default is a day.
func shortLockWaits(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "SET SESSION lock_wait_timeout = 10, innodb_lock_wait_timeout = 10")
	return translate("limit lock waits", err)
}

// discard takes the connection out of the pool for good.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
}
