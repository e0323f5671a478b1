package mysqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"strings"

	"github.com/ostiary/auth/internal/email"
	"github.com/ostiary/auth/internal/name"
	"github.com/ostiary/auth/internal/passhash"
	"github.com/ostiary/auth/internal/tutorial"
)

const (
	upgradeBatch       = "500" // users read, or changed, by one statement
	upgradeProblemsMax = 20    // problems that an error lists
)

// tutorialUser is a row of the tutorial's users; convert makes it ours.
type tutorialUser struct {
	id                    int64
	name, email, password string
	key                   sql.NullString // set if an earlier run has converted the row
	dated                 bool           // its dates are dates
}

// convert turns the values of the tutorial's row into ours, or says what is wrong with them.
func (u *tutorialUser) convert() (problems []string) {
	if u.key.Valid {
		return nil
	}
	problem := func(format string, args ...any) {
		problems = append(problems, fmt.Sprintf("user %d: ", u.id)+fmt.Sprintf(format, args...))
	}
	if u.id <= 0 {
		problem("an ID is a positive number")
	}
	if !u.dated {
		problem("created_at or updated_at is no date")
	}
	if n, err := name.Parse(tutorial.Unescape(u.name)); err != nil {
		problem("%v", err)
	} else {
		u.name = n
	}
	if hash, err := passhash.MarkTutorial(u.password); err != nil {
		problem("%v", err)
	} else {
		u.password = hash
	}
	if a, err := email.Parse(u.email); err != nil {
		problem("%v", err)
	} else {
		u.email, u.key = a.Text, sql.NullString{String: a.Key, Valid: true}
	}
	return problems
}

// collect reads every user, and puts what each row is to become into a temporary table
// for fill. It changes nothing else. If any row cannot be taken over, its error names it.
func (u *tutorialUpgrade) collect(ctx context.Context, widened bool) error {
	if err := u.exec(ctx, "temporary table", `CREATE TEMPORARY TABLE auth_tutorial_upgrade (
		id BIGINT NOT NULL,
		name VARCHAR(255) NOT NULL,
		email VARCHAR(254) NOT NULL,
		email_key VARBINARY(254) NOT NULL,
		password VARBINARY(255) NOT NULL,
		PRIMARY KEY (id)
	) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`); err != nil {
		return err
	}
	var found problems
	for after := int64(math.MinInt64); ; {
		users, err := u.read(ctx, widened, after)
		if err != nil {
			return err
		}
		if len(users) == 0 {
			break
		}
		after = users[len(users)-1].id
		var values []any
		for _, user := range users {
			found.add(user.convert()...)
			if user.key.Valid {
				values = append(values, user.id, user.name, user.email, user.key.String, user.password)
			}
		}
		if len(values) == 0 {
			continue
		}
		rows := strings.Repeat(", (?, ?, ?, ?, ?)", len(values)/5)
		if err := u.exec(ctx, "collect users", "INSERT INTO auth_tutorial_upgrade (id, name, email, email_key, password) VALUES "+rows[2:], values...); err != nil {
			return err
		}
	}
	if err := u.collisions(ctx, &found); err != nil {
		return err
	}
	if len(found.first) > 0 && !widened {
		// A row that another instance has converted meanwhile looks like a faulty one.
		users := table{name: usersTable}
		var err error
		if users.columns, err = columns(ctx, u.conn, users.name); err != nil {
			return err
		}
		if !users.sameColumns(tutorialUsers()) {
			return errUpgrading
		}
	}
	return found.err()
}

// read returns a batch of users, those that come next after an ID.
func (u *tutorialUpgrade) read(ctx context.Context, widened bool, after int64) ([]tutorialUser, error) {
	key := "NULL"
	if widened {
		key = "email_key"
	}
	users, err := readAll(ctx, u.conn, func(rows *sql.Rows) (t tutorialUser, err error) {
		err = rows.Scan(&t.id, &t.name, &t.email, &t.password, &t.key, &t.dated)
		return t, err
	}, `SELECT id, name, email, password, `+key+`,
		CONVERT_TZ(created_at, ?, '+00:00') IS NOT NULL AND CONVERT_TZ(updated_at, ?, '+00:00') IS NOT NULL
		FROM users WHERE id > ? ORDER BY id LIMIT `+upgradeBatch, u.zone, u.zone, after)
	return users, translate("upgrade tutorial: read users", err)
}

// collisions finds the users whose addresses are one under the canonical key. The server
// is told to sort, which takes a fraction of what its temporary table of groups takes.
func (u *tutorialUpgrade) collisions(ctx context.Context, found *problems) error {
	rows, err := u.conn.QueryContext(ctx, `SELECT SQL_BIG_RESULT MIN(id), MAX(id), COUNT(*) FROM auth_tutorial_upgrade
		GROUP BY email_key HAVING COUNT(*) > 1 ORDER BY MIN(id)`)
	if err != nil {
		return translate("upgrade tutorial: read users", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var first, last, n int64
		if err := rows.Scan(&first, &last, &n); err != nil {
			return translate("upgrade tutorial: read users", err)
		}
		others := ""
		if n > 2 {
			others = fmt.Sprintf(", and %d more,", n-2)
		}
		found.add(fmt.Sprintf("users %d and %d%s have one e-mail address in two spellings", first, last, others))
	}
	if err := rows.Err(); err != nil {
		return translate("upgrade tutorial: read users", err)
	}
	return nil
}

// fill converts the rows that are not converted yet, each in one UPDATE of all its
// columns, so that none is ever found half converted or is converted twice.
func (u *tutorialUpgrade) fill(ctx context.Context) error {
	for after := int64(math.MinInt64); ; {
		last, err := u.number(ctx, `SELECT MAX(id) FROM (
			SELECT id FROM auth_tutorial_upgrade WHERE id > ? ORDER BY id LIMIT `+upgradeBatch+`) batch`, after)
		if err != nil {
			return err
		}
		if !last.Valid {
			return nil
		}
		if err := u.exec(ctx, "convert users", `UPDATE users u JOIN auth_tutorial_upgrade t ON t.id = u.id
			SET u.name = t.name, u.email = t.email, u.email_key = t.email_key, u.password = t.password,
			u.created_at = CONVERT_TZ(u.created_at, ?, '+00:00'),
			u.updated_at = CONVERT_TZ(u.updated_at, ?, '+00:00')
			WHERE u.email_key IS NULL AND t.id > ? AND t.id <= ?`, u.zone, u.zone, after, last.Int64); err != nil {
			return err
		}
		after = last.Int64
	}
}

// problems is what is wrong with the rows: the first upgradeProblemsMax, and how many more.
type problems struct {
	first []string
	more  int
}

func (p *problems) add(texts ...string) {
	for _, text := range texts {
		if len(p.first) < upgradeProblemsMax {
			p.first = append(p.first, text)
		} else {
			p.more++
		}
	}
}

func (p *problems) err() error {
	if len(p.first) == 0 {
		return nil
	}
	text := strings.Join(p.first, "; ")
	if p.more > 0 {
		text += fmt.Sprintf("; and %d more", p.more)
	}
	return fmt.Errorf("mysqlstore: upgrade tutorial: these rows of users cannot be taken over, and this call has changed nothing: "+
		"change or delete them, then call UpgradeTutorial again: %s", text)
}
