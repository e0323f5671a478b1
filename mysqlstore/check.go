package mysqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ostiary/auth"
)

const (
	// clockTolerance is how far clocks may be apart.
	clockTolerance = 5 * time.Second

	// checkedConnections is how many connections Check looks at, since a pool may reach
	// several nodes.
	checkedConnections = 4

	// connectionLimit is how long it waits for all but the first of them.
	connectionLimit = time.Second
)

// Check returns what is set up wrongly in the database or in the pool's connections, and
// how to mend it: tables, columns and indexes that are missing, settings of the session
// that the store or a host's hooks cannot rely on, connections to servers that may be
// behind others, and clocks that are more than 5 seconds apart: of the servers that the
// pool reaches, of this process, and in.Now. It looks at a few connections only. With an
// in.HashCost above 0 it also judges the costs of the hashes, by in.Argon2id too, for which
// it reads all of users. An error says that the look itself failed.
func (s *Store) Check(ctx context.Context, in auth.CheckInput) ([]auth.Finding, error) {
	return s.look(ctx, []table{ourUsers(), ourSharedSessions(), ourLimits()}, in)
}

// CheckSessions is Check for hosts with a users table of their own, which it leaves alone:
// it looks for the tables of MigrateSessions.
func (s *Store) CheckSessions(ctx context.Context, in auth.CheckInput) ([]auth.Finding, error) {
	in.HashCost = 0
	return s.look(ctx, []table{ourSessions(), ourLimits()}, in)
}

func (s *Store) look(ctx context.Context, tables []table, in auth.CheckInput) ([]auth.Finding, error) {
	conns, err := s.someConnections(ctx)
	if err != nil {
		return nil, translate("check", err)
	}
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	findings, err := checkTables(ctx, conns[0], tables)
	if err != nil {
		return nil, err
	}
	judgeCosts := in.HashCost > 0 && len(findings) == 0
	clocks := []clock{{of: "this process"}}
	if in.Now != nil {
		ahead := time.Until(in.Now()) // the clock of this process is what is judged
		clocks = append(clocks, clock{of: "Config.Now", ahead: ahead.Round(time.Second / 10)})
	}
	var servers []string
	for _, conn := range conns {
		set, err := readSettings(ctx, conn)
		if err != nil {
			return nil, translate("check", err)
		}
		clocks = append(clocks, clock{of: "server " + set.server, ahead: set.ahead})
		if !slices.Contains(servers, set.server) {
			servers = append(servers, set.server)
		}
		for _, f := range set.findings() {
			if !slices.Contains(findings, f) {
				findings = append(findings, f)
			}
		}
	}
	findings = append(findings, checkClocks(clocks)...)
	if len(servers) > 1 {
		more, err := checkServers(ctx, conns, servers)
		if err != nil {
			return nil, translate("check", err)
		}
		findings = append(findings, more...)
	}
	if judgeCosts {
		more, err := checkCosts(ctx, conns[0], in)
		if err != nil {
			return nil, translate("check", err)
		}
		findings = append(findings, more...)
	}
	return findings, nil
}

// someConnections takes connections from the pool: one, and those beside that are to be
// had at once, since whoever waits for another while holding one may wait for ever.
func (s *Store) someConnections(ctx context.Context) ([]*sql.Conn, error) {
	n := checkedConnections
	if st := s.db.Stats(); st.MaxOpenConnections > 0 {
		n = max(1, min(n, st.MaxOpenConnections-st.InUse))
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	conns := []*sql.Conn{conn}
	ctx, cancel := context.WithTimeout(ctx, connectionLimit)
	defer cancel()
	for len(conns) < n {
		conn, err := s.db.Conn(ctx)
		if err != nil {
			break
		}
		conns = append(conns, conn)
	}
	return conns, nil
}

// checkTables compares the database's tables with ours.
func checkTables(ctx context.Context, q queryer, ours []table) ([]auth.Finding, error) {
	var (
		lacking []string
		exists  bool
	)
	for _, want := range ours {
		found, err := inspect(ctx, q, want.name)
		if err != nil {
			return nil, err
		}
		exists = exists || found.exists()
		lacking = append(lacking, want.lacks(found)...)
	}
	if len(lacking) == 0 {
		return nil, nil
	}
	mend := "call Migrate; where the users are your own, MigrateSessions, and CheckSessions in place of Check"
	withUsers := ours[0].name == usersTable
	if !withUsers {
		mend = "call MigrateSessions"
	}
	if tutorial, err := tutorialTables(ctx, q, withUsers); err != nil {
		return nil, err
	} else if tutorial {
		mend = "call UpgradeTutorial, then Migrate"
	} else if exists {
		mend += "; a column or index that is there and differs must be changed back by hand"
	}
	var findings []auth.Finding
	for _, problem := range lacking {
		findings = append(findings, auth.Finding{Problem: problem, Mend: mend})
	}
	return findings, nil
}

// settings are what a session was found to have.
type settings struct {
	server                          string
	mode, charset                   string
	autocommit, foreignKeys, unique bool
	readOnly                        bool
	statementLog                    bool          // the server's binary log holds statements
	pinned                          time.Duration // how far the session's time is from the server's clock
	ahead                           time.Duration // the server's clock, before this process's
}

// readSettings asks for them in one round trip, whose half is the doubt about ahead. The
// query sleeps, so that a SYSDATE that moves has moved.
func readSettings(ctx context.Context, conn *sql.Conn) (settings, error) {
	const query = "SELECT CONCAT(@@hostname, ':', @@port), @@sql_mode, @@character_set_client, @@autocommit, @@foreign_key_checks, " +
		"@@unique_checks, @@global.read_only, @@global.innodb_read_only, " +
		"SLEEP(0.002), TIMESTAMPDIFF(MICROSECOND, NOW(6), SYSDATE(6)), " + sinceEpoch + "UTC_TIMESTAMP(6))"
	var (
		set                    settings
		readOnly, innoReadOnly string
		slept, pinned, now     int64
	)
	before := time.Now() //nolint:forbidigo // the clock of this process is what is judged
	err := conn.QueryRowContext(ctx, query).Scan(&set.server, &set.mode, &set.charset, &set.autocommit, &set.foreignKeys,
		&set.unique, &readOnly, &innoReadOnly, &slept, &pinned, &now)
	if err != nil {
		return settings{}, err
	}
	trip := time.Since(before)
	set.readOnly = isOn(readOnly) || isOn(innoReadOnly)
	set.pinned = time.Duration(pinned) * time.Microsecond
	set.ahead = fromMicros(now).Sub(before.Add(trip / 2))
	set.statementLog, err = logsStatements(ctx, conn)
	return set, err
}

// logsStatements says whether the server has a binary log of statements. Not every server
// knows both variables.
func logsStatements(ctx context.Context, q queryer) (bool, error) {
	list, err := readAll(ctx, q, func(rows *sql.Rows) (v [2]string, err error) {
		err = rows.Scan(&v[0], &v[1])
		return v, err
	}, "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('log_bin', 'binlog_format')")
	isSet := func(name, value string) bool {
		return slices.ContainsFunc(list, func(v [2]string) bool { return v[0] == name && strings.EqualFold(v[1], value) })
	}
	return isSet("log_bin", "ON") && isSet("binlog_format", "STATEMENT"), err
}

func (set settings) findings() []auth.Finding {
	var list []auth.Finding
	add := func(bad bool, problem, mend string) {
		if bad {
			list = append(list, auth.Finding{Problem: problem, Mend: mend})
		}
	}
	add(!strings.Contains(set.mode, "STRICT_"),
		"sql_mode is not strict: your own statements cut what is too long without a word",
		"add STRICT_TRANS_TABLES to the server's sql_mode, or sql_mode to the DSN")
	add(!strings.EqualFold(set.charset, "utf8mb4"),
		"the connection's character set is "+set.charset+": your own statements lose what it has no letters for",
		"write charset=utf8mb4 in the DSN, or leave charset and collation out")
	add(!set.autocommit,
		"autocommit is off: nothing that the store writes is committed",
		"take autocommit out of the DSN and out of the server's init_connect")
	add(!set.foreignKeys,
		"foreign_key_checks is off: sessions outlive their users",
		"take foreign_key_checks out of the DSN")
	add(!set.unique,
		"unique_checks is off: the server may let two users have one e-mail address",
		"take unique_checks out of the DSN")
	add(set.readOnly,
		"the server is read-only: it is a replica, or was one",
		"point the DSN to the primary")
	add(strings.Contains(set.mode, "EMPTY_STRING_IS_NULL"),
		"sql_mode takes an empty string for NULL: no session can be stored",
		"take EMPTY_STRING_IS_NULL out of sql_mode")
	add(set.statementLog,
		"binlog_format is STATEMENT: expired sessions cannot be purged, nor users disabled, deleted or given another password",
		"set binlog_format to MIXED or ROW")
	add(set.pinned == 0,
		"SYSDATE() does not move within a statement: what a refresh waits for locks is taken off its grace",
		"start the server without sysdate-is-now")
	add(set.pinned.Abs() > time.Second,
		"the session's time does not move with the server's clock: @@timestamp is set",
		"take timestamp out of the DSN and out of the server's init_connect")
	return list
}

// checkServers reports several servers behind one pool that are not nodes of one cluster in
// which each takes writes: a replica among them is behind, whether it is read-only or not.
func checkServers(ctx context.Context, conns []*sql.Conn, servers []string) ([]auth.Finding, error) {
	for _, conn := range conns {
		var name, on string
		err := conn.QueryRowContext(ctx, "SHOW GLOBAL VARIABLES LIKE 'wsrep_on'").Scan(&name, &on)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
		if isOn(on) {
			continue
		}
		if multiPrimary, err := isMultiPrimary(ctx, conn); err != nil {
			return nil, err
		} else if multiPrimary {
			continue
		}
		slices.Sort(servers)
		return []auth.Finding{{
			Problem: "the connections lead to several servers that are no cluster: " + strings.Join(servers, ", ") +
				": one that is behind another does not know the newest sessions",
			Mend: "point the DSN to the primary alone",
		}}, nil
	}
	return nil, nil
}

// clock is a clock, by how much it is ahead of this process's.
type clock struct {
	of    string
	ahead time.Duration
}

// checkClocks reports the two that are furthest apart.
func checkClocks(clocks []clock) []auth.Finding {
	first, last := clocks[0], clocks[0]
	for _, c := range clocks {
		if c.ahead < first.ahead {
			first = c
		}
		if c.ahead > last.ahead {
			last = c
		}
	}
	apart := last.ahead - first.ahead
	if apart <= clockTolerance {
		return nil
	}
	return []auth.Finding{{
		Problem: fmt.Sprintf("the clock of %s is %s ahead of that of %s", last.of, apart.Round(100*time.Millisecond), first.of),
		Mend:    "run a time service on every machine, and take timestamp out of the DSN",
	}}
}
