package faultproxy_test

import (
	"bytes"
	"database/sql"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/faultproxy"
	"github.com/ostiary/auth/internal/mysqltest"
)

func TestMain(m *testing.M) { os.Exit(mysqltest.Main(m)) }

// behind returns a pool on a new database with one row, through a proxy.
func behind(t *testing.T, s *mysqltest.Server, choose func(faultproxy.Command) faultproxy.Fault) (*faultproxy.Proxy, *sql.DB) {
	t.Helper()
	cfg, err := mysql.ParseDSN(s.DSN(t))
	require.NoError(t, err)
	direct := mysqltest.Open(t, cfg.FormatDSN())
	for _, query := range []string{"CREATE TABLE numbers (n INT PRIMARY KEY) ENGINE=InnoDB", "INSERT INTO numbers VALUES (1)"} {
		_, err := direct.ExecContext(t.Context(), query)
		require.NoError(t, err)
	}
	p := start(t, faultproxy.MySQL, cfg.Addr, choose)
	cfg.Addr = p.Addr()
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	require.NoError(t, err)
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() }) // says so of connections that were cut
	return p, db
}

// matching has the fault happen to the commands of that kind whose statement begins so.
func matching(code byte, prefix string, f faultproxy.Fault) func(faultproxy.Command) faultproxy.Fault {
	return func(c faultproxy.Command) faultproxy.Fault {
		if c.Code == code && strings.HasPrefix(c.Text, prefix) {
			return f
		}
		return faultproxy.Fault{}
	}
}

func number(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT n FROM numbers").Scan(&n))
	return n
}

// The text of a statement is known, whether it is prepared or not.
func TestMySQLText(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		var mu sync.Mutex
		var seen []string
		names := map[byte]string{faultproxy.ComQuery: "query ", faultproxy.ComPrepare: "prepare ", faultproxy.ComExecute: "execute "}
		p, db := behind(t, s, func(c faultproxy.Command) faultproxy.Fault {
			mu.Lock()
			defer mu.Unlock()
			if name, ok := names[c.Code]; ok {
				seen = append(seen, name+c.Text)
			}
			return faultproxy.Fault{}
		})
		db.SetMaxOpenConns(1)
		add, err := db.PrepareContext(t.Context(), "UPDATE numbers SET n = n + ?")
		require.NoError(t, err)
		defer func() { require.NoError(t, add.Close()) }()
		times, err := db.PrepareContext(t.Context(), "UPDATE numbers SET n = n * ?")
		require.NoError(t, err)
		defer func() { require.NoError(t, times.Close()) }()
		for _, stmt := range []*sql.Stmt{times, add, times} {
			_, err = stmt.ExecContext(t.Context(), 3)
			require.NoError(t, err)
		}
		require.Equal(t, 18, number(t, db))
		mu.Lock()
		defer mu.Unlock()
		require.Equal(t, []string{
			"prepare UPDATE numbers SET n = n + ?",
			"prepare UPDATE numbers SET n = n * ?",
			"execute UPDATE numbers SET n = n * ?",
			"execute UPDATE numbers SET n = n + ?",
			"execute UPDATE numbers SET n = n * ?",
			"query SELECT n FROM numbers",
		}, seen)
		require.Zero(t, p.Stats().CutReplies)
	})
}

// The acknowledgement of a change is lost at any of its bytes, and counted; the server
// has made the change.
func TestMySQLLostAck(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		keep := 0
		p, db := behind(t, s, func(c faultproxy.Command) faultproxy.Fault {
			return matching(faultproxy.ComExecute, "UPDATE", faultproxy.Fault{Cut: faultproxy.CutReply, Keep: keep})(c)
		})
		for ; ; keep++ {
			_, err := db.ExecContext(t.Context(), "UPDATE numbers SET n = n + ?", 1)
			require.Equal(t, keep+2, number(t, db))
			if err == nil {
				break
			}
			require.Equal(t, keep+1, p.Stats().LostAcks)
			require.Equal(t, keep+1, p.Stats().CutReplies)
		}
		require.Greater(t, keep, 6, "an OK packet is longer")
	})
}

// What changes nothing is no acknowledgement of a change; a COMMIT is one.
func TestMySQLNoAck(t *testing.T) {
	for name, test := range map[string]struct {
		query, prefix string
		code          byte
		args          []any
		acks          int
	}{
		"read":         {"SELECT n FROM numbers WHERE n = ?", "SELECT", faultproxy.ComExecute, []any{1}, 0},
		"no row":       {"UPDATE numbers SET n = n + 1 WHERE n = ?", "UPDATE", faultproxy.ComExecute, []any{9}, 0},
		"error":        {"INSERT INTO numbers VALUES (?)", "INSERT", faultproxy.ComExecute, []any{1}, 0},
		"preparation":  {"UPDATE numbers SET n = ?", "UPDATE", faultproxy.ComPrepare, []any{9}, 0},
		"of one query": {"UPDATE numbers SET n = 9", "UPDATE", faultproxy.ComQuery, nil, 1},
		"commit":       {"COMMIT", "COMMIT", faultproxy.ComQuery, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			p, db := behind(t, mysqltest.Default(t), matching(test.code, test.prefix, faultproxy.Fault{Cut: faultproxy.CutReply}))
			conn, err := db.Conn(t.Context())
			require.NoError(t, err)
			defer func() { _ = conn.Close() }()
			_, err = conn.ExecContext(t.Context(), test.query, test.args...)
			require.Error(t, err)
			require.Equal(t, 1, p.Stats().CutReplies)
			require.Equal(t, test.acks, p.Stats().LostAcks)
		})
	}
}

// A command that is cut does not reach the server whole, or it does and nobody waits.
func TestMySQLCutCommand(t *testing.T) {
	const query = "UPDATE numbers SET n = n + 1"
	whole := 4 + 1 + len(query) // header, command, text
	for _, keep := range []int{0, 3, 4, whole - 1, whole, whole + 5} {
		p, db := behind(t, mysqltest.Default(t), matching(faultproxy.ComQuery, "UPDATE", faultproxy.Fault{Cut: faultproxy.CutCommand, Keep: keep}))
		_, err := db.ExecContext(t.Context(), query)
		require.Error(t, err)
		require.Equal(t, 1, p.Stats().CutCommands)
		if keep >= whole {
			require.Eventually(t, func() bool { return number(t, db) == 2 }, limit, limit/1000)
		} else {
			require.Equal(t, 1, number(t, db))
		}
	}
}

// The function may rewrite a command.
func TestMySQLRewrite(t *testing.T) {
	_, db := behind(t, mysqltest.Default(t), func(c faultproxy.Command) faultproxy.Fault {
		if i := bytes.Index(c.Payload, []byte("+ 1")); i >= 0 {
			copy(c.Payload[i:], "+ 7")
		}
		return faultproxy.Fault{}
	})
	_, err := db.ExecContext(t.Context(), "UPDATE numbers SET n = n + 1")
	require.NoError(t, err)
	require.Equal(t, 8, number(t, db))
}
