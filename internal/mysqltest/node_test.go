package mysqltest_test

import (
	"context"
	"database/sql"
	"os"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/mysqltest"
)

// A node keeps its data and its port when it is killed and started again, and leaves
// nothing behind. One with another's data is a server of its own.
func TestNode(t *testing.T) {
	kinds := map[string]func(testing.TB) *mysqltest.Node{"mariadb": mysqltest.NewMariaDBNode, "mysql": mysqltest.NewMySQLNode}
	for name, build := range kinds {
		t.Run(name, func(t *testing.T) {
			first, second := build(t), build(t)
			t.Cleanup(func() {
				require.NoError(t, first.Close())
				require.NoError(t, second.Close())
				assert.NoDirExists(t, first.Dir)
				assert.NoDirExists(t, second.Dir)
			})
			require.NoError(t, first.Install())
			require.NoError(t, second.CopyData(first))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			for _, n := range []*mysqltest.Node{first, second} {
				require.NoError(t, n.Start(ctx, nil, "--innodb-flush-log-at-trx-commit=1"))
			}
			db := open(t, first)
			_, err := db.ExecContext(ctx, "CREATE DATABASE of_first")
			require.NoError(t, err)
			_, err = open(t, second).ExecContext(ctx, "USE of_first")
			require.Error(t, err)

			first.Kill()
			require.Error(t, db.PingContext(ctx))
			require.NoError(t, first.Start(ctx, nil))
			_, err = db.ExecContext(ctx, "USE of_first")
			require.NoError(t, err)
		})
	}
}

// A node that cannot start says why.
func TestNodeThatDoesNotStart(t *testing.T) {
	n := mysqltest.NewMariaDBNode(t)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	require.NoError(t, n.Install())
	require.ErrorContains(t, n.Start(t.Context(), []string{"LANG=C"}, "--no-such-flag"), "no-such-flag")
	require.NoError(t, os.RemoveAll(n.Dir))
}

func open(t *testing.T, n *mysqltest.Node) *sql.DB {
	t.Helper()
	cfg := n.Config()
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	require.NoError(t, err)
	db := sql.OpenDB(connector)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}
