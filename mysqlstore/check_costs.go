package mysqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/passhash"
)

const (
	// bcryptCosts are the costs of the hashes of bcrypt, as they are written.
	bcryptCosts = "SELECT CAST(SUBSTR(password, LOCATE('$2', password) + 4, 2) AS CHAR) AS cost, COUNT(*), MIN(id) FROM users " +
		"WHERE password LIKE '$2%' OR password LIKE 'bcrypt-%:$2%' GROUP BY cost"

	// argon2idCosts are the parameters of the hashes of argon2id, as they are written.
	argon2idCosts = "SELECT CAST(SUBSTRING_INDEX(SUBSTRING_INDEX(password, '$', 4), '$', -1) AS CHAR) AS cost, COUNT(*), MIN(id) FROM users " +
		"WHERE password LIKE '$argon2id$v=19$%' OR password LIKE 'argon2id-tutorial:$argon2id$v=19$%' GROUP BY cost"
)

// checkCosts reports users whose hash takes more work than what is configured, so that a
// failed login for them takes longer than for an unknown address, and those whose hash
// asks for more than is allowed. Other systems' hashes are not looked at. It reads the
// whole table.
func checkCosts(ctx context.Context, q queryer, in auth.CheckInput) ([]auth.Finding, error) {
	bcrypt, err := readAll(ctx, q, scanCosted, bcryptCosts)
	if err != nil {
		return nil, err
	}
	argon2id, err := readAll(ctx, q, scanCosted, argon2idCosts)
	if err != nil {
		return nil, err
	}
	var refused costed
	findings := bcryptFindings(bcrypt, in.HashCost, &refused)
	findings = append(findings, argon2idFindings(argon2id, in.Argon2id, &refused)...)
	if refused.n > 0 {
		findings = append(findings, auth.Finding{
			Problem: fmt.Sprintf("%s: they ask for more work than is allowed, and nobody can log in with them", refused.hashes()),
			Mend:    "have these users set a new password",
		})
	}
	return findings, nil
}

// costed are the hashes of one cost, or of several.
type costed struct {
	cost     string
	n, first int64 // how many, and the least user
}

func scanCosted(rows *sql.Rows) (c costed, err error) {
	err = rows.Scan(&c.cost, &c.n, &c.first)
	return c, err
}

func (c *costed) add(other costed) {
	if c.n == 0 || other.first < c.first {
		c.first = other.first
	}
	c.n += other.n
}

func (c *costed) hashes() string {
	return fmt.Sprintf("%d password hashes, the first of them user %d's", c.n, c.first)
}

func bcryptFindings(rows []costed, hashCost int, refused *costed) []auth.Finding {
	var slow costed
	top := hashCost
	for _, row := range rows {
		cost, err := strconv.Atoi(row.cost)
		switch {
		case err != nil:
		case cost > passhash.MaxStoredCost:
			refused.add(row)
		case cost > hashCost:
			slow.add(row)
			top = max(top, cost)
		}
	}
	if slow.n == 0 {
		return nil
	}
	return []auth.Finding{{
		Problem: fmt.Sprintf("%s, have a cost above HashCost %d, up to %d", slow.hashes(), hashCost, top),
		Mend:    fmt.Sprintf("set HashCost to %d", top),
	}}
}

// argon2idFindings advises parameters of which none is less than a hash's or than what is
// configured: their work is that of the costliest hash at least, and New accepts them.
func argon2idFindings(rows []costed, configured auth.Argon2id, refused *costed) []auth.Finding {
	var slow costed
	off := configured == auth.Argon2id{}
	cover := configured
	if off {
		cover = auth.Argon2id{Memory: 19 << 10, Time: 2, Threads: 1} // the default
	}
	for _, row := range rows {
		var a auth.Argon2id
		if _, err := fmt.Sscanf(row.cost, "m=%d,t=%d,p=%d", &a.Memory, &a.Time, &a.Threads); err != nil {
			continue
		}
		if passhash.Argon2id(a).Check(true) != nil {
			refused.add(row)
			continue
		}
		if work(a) > work(configured) {
			slow.add(row)
			cover.Memory, cover.Time, cover.Threads = max(cover.Memory, a.Memory), max(cover.Time, a.Time), max(cover.Threads, a.Threads)
		}
	}
	if slow.n == 0 {
		return nil
	}
	problem := fmt.Sprintf("%s, are argon2id's with more work than Config.Argon2id's %d KiB × %d", slow.hashes(), configured.Memory, configured.Time)
	set := fmt.Sprintf("set Config.Argon2id to Memory %d, Time %d, Threads %d", cover.Memory, cover.Time, cover.Threads)
	if off {
		problem = slow.hashes() + ", are argon2id's, and Config.Argon2id is not set"
		set += ", or have these users log in, which makes their hashes bcrypt's"
	}
	return []auth.Finding{{Problem: problem, Mend: set}}
}

// work is what a run takes, in KiB written.
func work(a auth.Argon2id) uint64 { return uint64(a.Memory) * uint64(a.Time) }
