package mysqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/ostiary/auth"
)

// UpgradeTutorial takes over, in place, the database of an application that was written
// after the Node tutorial whose API this module has. Its users keep their IDs, names and
// passwords; users and refresh_tokens become what Migrate makes of an empty database. Where
// that is so already it returns nil, and where neither table is there. Call Migrate after
// it, which makes what else is missing; a program may call both at every start.
//
// Stop the tutorial's application first, and make a backup. The user needs the
// privileges SELECT, INSERT, UPDATE, CREATE, CREATE TEMPORARY TABLES, ALTER, DROP, INDEX
// and REFERENCES, and the server disk space for two more copies of the users. A
// readTimeout in the data source name must be longer than an ALTER of the table takes.
// MySQL's sql_require_primary_key must be off: the tutorial's refresh_tokens has none.
//
// Every row is read and checked before the first change, some hundred of them in memory
// at a time. Nothing is changed, and the error names users by their IDs, if the addresses
// of two of them have one canonical key, if a sign-up would refuse a user's name or
// address, if a password is no bcrypt hash, or a date is none. The same goes for columns
// that are not exactly the tutorial's, and for other tables' foreign keys to users. What
// is changed then:
//
//   - refresh_tokens becomes tutorial_refresh_tokens. The tutorial's sessions end.
//   - The columns of users get the types of ours, and the unique key of email is dropped:
//     it held é and e for equal. The canonical address in email_key is unique instead.
//   - Names lose the tutorial's HTML escapes, once: &amp;lt; becomes &lt;. They and the
//     addresses are trimmed, and else as people typed them; names are in NFC, as at sign-up.
//   - Dates go from the server's global time zone to UTC.
//   - Each password hash is marked as the tutorial's. That application trimmed passwords,
//     and its bcrypt reads 72 bytes of them, and the hash cannot tell: a marked hash alone
//     accepts whatever the application accepted. A login with a higher cost configured
//     replaces it by a hash of the same form; the next change of the password ends it.
//
// Each step is one statement, and a row is changed by one UPDATE of all its columns. So
// the call, its process or the server can be killed at any point; the same call goes on
// from there, and the end is the same. Of several instances one works. Each other one
// waits for 10 seconds and then returns an error that Is auth.ErrUnavailable, as
// everyone does who waits that long for a table. On a cluster, where instances may not
// see each other, one may fail, and has to be called again; a row is changed once even
// then. An index that the host has added, and that the new columns cannot have, such as a
// unique one on names, stops the call half-way too: drop it, and call again.
//
// To go back, stop the host's application and restore the backup. To keep what was
// written since, run this instead, once UpgradeTutorial has returned nil, under a strict
// sql_mode. A statement fails, with
// nothing changed, where a newer user's name, address or hash is too long for the
// tutorial's columns, or a newer address is another's to them: change or delete that
// user, and go on from that statement. Dates stay in UTC.
//
//	DROP TABLE IF EXISTS rate_limits;
//	DROP TABLE refresh_tokens;
//	UPDATE users SET
//	  password = IF(password LIKE 'bcrypt-tutorial:%', SUBSTRING(password, 17), password),
//	  name = REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(name,
//	    '&', '&amp;'), '"', '&quot;'), '''', '&#x27;'), '<', '&lt;'), '>', '&gt;'),
//	    '/', '&#x2F;'), '\\', '&#x5C;'), '`', '&#96;')
//	  WHERE email_key IS NOT NULL;
//	ALTER TABLE users DROP KEY email_key, DROP COLUMN email_key, DROP COLUMN auth_version, DROP COLUMN disabled,
//	  MODIFY id int NOT NULL AUTO_INCREMENT,
//	  MODIFY name varchar(30) NOT NULL, MODIFY email varchar(40) NOT NULL,
//	  MODIFY password varchar(70) NOT NULL,
//	  MODIFY created_at datetime NOT NULL DEFAULT current_timestamp(),
//	  MODIFY updated_at datetime NOT NULL DEFAULT current_timestamp(),
//	  ADD UNIQUE KEY email (email), DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
//	ALTER TABLE tutorial_refresh_tokens RENAME TO refresh_tokens,
//	  ADD CONSTRAINT refresh_tokens_ibfk_1 FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE;
func (s *Store) UpgradeTutorial(ctx context.Context) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return translate("upgrade tutorial", err)
	}
	defer discard(conn) // with the settings, the lock and the temporary table
	u := tutorialUpgrade{conn: conn}
	if err := u.begin(ctx); err != nil {
		return err
	}
	found, err := u.look(ctx)
	if err != nil || found.finished {
		return err
	}
	if !found.sealed {
		if err := u.collect(ctx, found.widened); err != nil {
			return err
		}
	}
	if err := u.retire(ctx, found.tokens); err != nil {
		return err
	}
	if !found.sealed {
		if err := u.convert(ctx, found); err != nil {
			return err
		}
	}
	return u.finish(ctx)
}

// convert makes users ours, with the rows that collect has collected.
func (u *tutorialUpgrade) convert(ctx context.Context, found tutorialState) error {
	if !found.widened {
		if err := u.widen(ctx, found.users); err != nil {
			return err
		}
	}
	if err := u.fill(ctx); err != nil {
		return err
	}
	return u.seal(ctx)
}

// errUpgrading is what a call gets that comes into another's way.
var errUpgrading = fmt.Errorf("mysqlstore: upgrade tutorial: another instance is at it, call UpgradeTutorial again: %w", auth.ErrUnavailable)

// Numbers of the server's errors that say that a table has changed since look.
const (
	errNoKey   = 1091
	errNoTable = 1146
)

// tutorialUpgrade is a call of UpgradeTutorial.
type tutorialUpgrade struct {
	conn *sql.Conn
	zone string // the server's, in which the tutorial's application wrote its dates
}

// tutorialState is how far an earlier call has come.
type tutorialState struct {
	users    table
	tokens   table // refresh_tokens if it still is the tutorial's
	widened  bool  // users has our columns; email_key is NULL where a row is the tutorial's
	sealed   bool  // users is ours
	finished bool  // refresh_tokens too
}

// begin prepares the connection and keeps other instances away.
func (u *tutorialUpgrade) begin(ctx context.Context) error {
	if err := shortLockWaits(ctx, u.conn); err != nil {
		return translate("upgrade tutorial", err)
	}
	if err := u.exec(ctx, "settings", "SET NAMES utf8mb4 COLLATE utf8mb4_bin, SESSION autocommit = 1, SESSION sql_safe_updates = 0, "+
		"SESSION sql_mode = 'STRICT_ALL_TABLES'"); err != nil {
		return err
	}
	// On a cluster whatever another node did before has to be seen. Only MariaDB has this.
	if err := u.exec(ctx, "settings", "SET SESSION wsrep_sync_wait = 15"); err != nil && errorNumber(err) != errUnknownVariable {
		return err
	}
	// Without the lock a second instance would report what it saw of the first one's work.
	// No more than that rests on it, since it is each node's own on a cluster, or refused.
	var locked sql.NullBool
	err := u.conn.QueryRowContext(ctx, "SELECT GET_LOCK(CONCAT('auth_tutorial_', LEFT(SHA2(DATABASE(), 256), 40)), 10)").Scan(&locked)
	switch refused := (*mysql.MySQLError)(nil); {
	case err != nil && (!errors.As(err, &refused) || isUnavailable(err)):
		return translate("upgrade tutorial", err)
	case err == nil && !locked.Bool:
		return errUpgrading
	}
	err = u.conn.QueryRowContext(ctx, "SELECT @@GLOBAL.time_zone").Scan(&u.zone)
	return translate("upgrade tutorial", err)
}

// look finds out how far an earlier call has come, and refuses tables that are neither
// the tutorial's nor what a call makes of them.
func (u *tutorialUpgrade) look(ctx context.Context) (tutorialState, error) {
	var found [3]table
	// In an order in which another instance's changes, between two of them, look like none.
	for i, name := range []string{tutorialRefreshTable, refreshTable, usersTable} {
		var err error
		if found[i], err = inspect(ctx, u.conn, name); err != nil {
			return tutorialState{}, err
		}
	}
	retired, tokens, users := found[0], found[1], found[2]
	s := tutorialState{
		users:   users,
		widened: users.sameColumns(widenedUsers()),
		sealed:  len(ourUsers().lacks(users)) == 0,
	}
	s.finished = s.sealed && len(ourSharedSessions().lacks(tokens)) == 0
	if tokens.sameColumns(tutorialRefreshTokens()) {
		s.tokens = tokens
	}
	switch {
	case !users.exists() && !tokens.exists():
		s.finished = true // a new application's: there is nothing to take over
	case !s.sealed && !s.widened && !users.sameColumns(tutorialUsers()):
		return s, errors.New("mysqlstore: upgrade tutorial: nothing was changed: the columns of users are not exactly the tutorial's; " +
			"a host with users of its own keeps them as examples/ownusers shows")
	case s.sealed && tokens.sameColumns(ourSharedSessions().columns) && !s.finished:
		return s, fmt.Errorf("mysqlstore: upgrade tutorial: there is nothing left to take over, and nothing was changed, but %s",
			strings.Join(ourSharedSessions().lacks(tokens), "; "))
	case tokens.exists() && !s.tokens.exists() && !s.finished:
		return s, errors.New("mysqlstore: upgrade tutorial: nothing was changed: the columns of refresh_tokens are not exactly the tutorial's: rename that table")
	case s.tokens.exists() && retired.exists():
		return s, errors.New("mysqlstore: upgrade tutorial: nothing was changed: refresh_tokens is to become tutorial_refresh_tokens, " +
			"which is there already: rename or drop one of the two")
	case !s.sealed:
		return s, u.referrers(ctx)
	}
	return s, nil
}

// referrers refuses other tables' foreign keys to users, which hold its id at INT.
func (u *tutorialUpgrade) referrers(ctx context.Context) error {
	const query = "SELECT CONCAT(constraint_schema, '.', table_name, '.', constraint_name) FROM information_schema.referential_constraints " +
		"WHERE unique_constraint_schema = DATABASE() AND referenced_table_name = 'users' " +
		"AND NOT (constraint_schema = DATABASE() AND table_name = 'refresh_tokens') ORDER BY 1"
	keys, err := readAll(ctx, u.conn, func(rows *sql.Rows) (key string, err error) {
		err = rows.Scan(&key)
		return key, err
	}, query)
	if err != nil {
		return translate("upgrade tutorial: foreign keys to users", err)
	}
	if len(keys) > 0 {
		return fmt.Errorf("mysqlstore: upgrade tutorial: nothing was changed: users.id becomes BIGINT, which foreign keys to it do not allow: "+
			"drop them, and make them on BIGINT columns afterwards: %s", strings.Join(keys, ", "))
	}
	return nil
}

// widenedUsers are the columns of users between widen and seal.
func widenedUsers() []column {
	list := ourUsers().columns
	for i := range list {
		list[i].nullable = list[i].name == "email_key"
	}
	return list
}

// retire keeps the tutorial's refresh tokens for who may want to go back. Their foreign
// key would keep users.id from becoming BIGINT.
func (u *tutorialUpgrade) retire(ctx context.Context, tokens table) error {
	if !tokens.exists() {
		return nil
	}
	changes := []string{"RENAME TO tutorial_refresh_tokens"}
	for _, key := range tokens.foreign {
		changes = append(changes, "DROP FOREIGN KEY "+quote(key.name))
	}
	return u.exec(ctx, "rename refresh_tokens", "ALTER TABLE refresh_tokens "+strings.Join(changes, ", "))
}

// widen gives users our columns. The key is NULL in each row: it is still the tutorial's.
func (u *tutorialUpgrade) widen(ctx context.Context, users table) error {
	changes := []string{
		"MODIFY id BIGINT NOT NULL AUTO_INCREMENT FIRST",
		"MODIFY name VARCHAR(255) NOT NULL AFTER id",
		"MODIFY email VARCHAR(254) NOT NULL AFTER name",
		"ADD COLUMN email_key VARBINARY(254) NULL AFTER email",
		"MODIFY password VARBINARY(255) NOT NULL AFTER email_key",
		"ADD COLUMN auth_version BIGINT NOT NULL DEFAULT 1 AFTER password",
		"ADD COLUMN disabled BOOLEAN NOT NULL DEFAULT FALSE AFTER auth_version",
		"MODIFY created_at DATETIME(6) NOT NULL AFTER disabled",
		"MODIFY updated_at DATETIME(6) NOT NULL AFTER created_at",
		"ENGINE=InnoDB",
		"DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin",
	}
	for _, x := range users.indexes {
		if x.columns == "email" {
			changes = append(changes, "DROP KEY "+quote(x.name))
		}
	}
	return u.exec(ctx, "widen users", "ALTER TABLE users "+strings.Join(changes, ", "))
}

// seal makes users ours, once every row has its key.
func (u *tutorialUpgrade) seal(ctx context.Context) error {
	late, err := u.number(ctx, "SELECT MIN(id) FROM users WHERE email_key IS NULL")
	if err != nil {
		return err
	}
	if late.Valid {
		return fmt.Errorf("mysqlstore: upgrade tutorial: user %d was added meanwhile: stop the tutorial's application, then call UpgradeTutorial again", late.Int64)
	}
	return u.exec(ctx, "complete users",
		"ALTER TABLE users MODIFY email_key VARBINARY(254) NOT NULL, ADD UNIQUE KEY email_key (email_key)")
}

// finish makes our refresh_tokens where it is missing, and checks both tables.
func (u *tutorialUpgrade) finish(ctx context.Context) error {
	sessions := step{table: ourSharedSessions(), file: "migrations/00002_refresh_tokens.sql"}
	if err := apply(ctx, u.conn, []step{sessions}); err != nil {
		return translate("upgrade tutorial: make refresh_tokens", err)
	}
	var lacks []string
	for _, want := range []table{ourUsers(), sessions.table} {
		found, err := inspect(ctx, u.conn, want.name)
		if err != nil {
			return err
		}
		lacks = slices.Concat(lacks, want.lacks(found))
	}
	if len(lacks) > 0 {
		return fmt.Errorf("mysqlstore: upgrade tutorial: the tables are not as they should be: %s", strings.Join(lacks, "; "))
	}
	return nil
}

// exec sends one statement. Each one that changes something for good leaves a state
// that look knows.
func (u *tutorialUpgrade) exec(ctx context.Context, what, query string, args ...any) error {
	text, err := inline(query, args)
	if err != nil {
		return err
	}
	_, err = u.conn.ExecContext(ctx, text)
	switch errorNumber(err) {
	case errTableExists, errNoTable, errColumnExists, errKeyExists, errNoKey: // look has just seen otherwise
		return fmt.Errorf("%w: %s: %w", errUpgrading, what, err)
	}
	return translate("upgrade tutorial: "+what, err)
}

// number runs a query whose result is a number or NULL.
func (u *tutorialUpgrade) number(ctx context.Context, query string, args ...any) (sql.NullInt64, error) {
	list, err := readAll(ctx, u.conn, func(rows *sql.Rows) (n sql.NullInt64, err error) {
		err = rows.Scan(&n)
		return n, err
	}, query, args...)
	if err != nil || len(list) != 1 {
		return sql.NullInt64{}, translate("upgrade tutorial", err)
	}
	return list[0], nil
}

func quote(identifier string) string {
	return "`" + strings.ReplaceAll(identifier, "`", "``") + "`"
}
