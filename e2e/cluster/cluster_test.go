//go:build cluster

package cluster_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/mysqltest"
)

// size is how many nodes a cluster has.
const size = 3

// How long the cluster may take to start, to take a node in, or to regain its quorum.
const patience = 2 * time.Minute

// cluster is nodes that hold the same data. Tests of one binary share it, one after the
// other; each leaves it whole.
type cluster struct {
	name  string
	kind  kind
	nodes []*mysqltest.Node

	once   sync.Once
	err    error
	admins []*sql.DB
}

// kind is how the nodes are made a cluster.
type kind interface {
	start(ctx context.Context, c *cluster) error
	rejoin(ctx context.Context, c *cluster, i int) error
	lose(ctx context.Context, c *cluster, i int) error
	regain(ctx context.Context, c *cluster, i int) error
	isWhole(ctx context.Context, c *cluster, i int) error
}

// The clusters of this test binary.
var (
	clustersMu sync.Mutex
	clusters   = map[string]*cluster{}
)

func TestMain(m *testing.M) {
	code := m.Run()
	for _, c := range clusters {
		if err := c.close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// onGalera returns the Galera cluster, started.
func onGalera(tb testing.TB) *cluster {
	tb.Helper()
	return started(tb, "galera", newGalera)
}

// onGroup returns the cluster of Group Replication in which every node takes writes,
// started.
func onGroup(tb testing.TB) *cluster {
	tb.Helper()
	return started(tb, "group", func(tb testing.TB) *cluster {
		tb.Helper()
		return newGroup(tb, false)
	})
}

// onOnePrimary returns the cluster of Group Replication in which one node takes writes,
// started.
func onOnePrimary(tb testing.TB) *cluster {
	tb.Helper()
	return started(tb, "one primary", func(tb testing.TB) *cluster {
		tb.Helper()
		return newGroup(tb, true)
	})
}

func started(tb testing.TB, name string, build func(tb testing.TB) *cluster) *cluster {
	tb.Helper()
	clustersMu.Lock()
	defer clustersMu.Unlock()
	c := clusters[name]
	if c == nil {
		c = build(tb)
		clusters[name] = c
	}
	c.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		begin := time.Now()
		if c.err = c.open(); c.err == nil {
			c.err = c.kind.start(ctx, c)
		}
		if c.err == nil {
			c.err = c.waitWhole(ctx)
		}
		tb.Logf("%s: %d nodes after %v", c.name, size, time.Since(begin).Round(100*time.Millisecond))
	})
	require.NoError(tb, c.err)
	return c
}

// everywhere runs f as a subtest on each kind of cluster.
func everywhere(t *testing.T, f func(t *testing.T, c *cluster)) {
	t.Helper()
	t.Run("galera", func(t *testing.T) { f(t, onGalera(t)) })
	t.Run("group", func(t *testing.T) { f(t, onGroup(t)) })
}

func (c *cluster) open() error {
	for _, n := range c.nodes {
		cfg := n.Config()
		cfg.Logger = &mysql.NopLogger{}
		connector, err := mysql.NewConnector(cfg)
		if err != nil {
			return err
		}
		c.admins = append(c.admins, sql.OpenDB(connector))
	}
	return nil
}

func (c *cluster) close() error {
	var errs []error
	for _, db := range c.admins {
		errs = append(errs, db.Close())
	}
	for _, n := range c.nodes {
		errs = append(errs, n.Close())
	}
	return errors.Join(errs...)
}

// admin is a pool of root's on node i.
func (c *cluster) admin(i int) *sql.DB { return c.admins[i] }

// execAll executes statements on one connection to node i.
func (c *cluster) execAll(ctx context.Context, i int, statements ...string) error {
	conn, err := c.admin(i).Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for _, s := range statements {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("node %d: %s: %w\n%s", i+1, s, err, c.logOf(i))
		}
	}
	return nil
}

// logOf is the end of a node's log.
func (c *cluster) logOf(i int) string {
	text, _ := os.ReadFile(filepath.Join(c.nodes[i].Dir, "error.log"))
	const kept = 4 << 10
	return string(text[max(0, len(text)-kept):])
}

// waitWhole waits until every node sees every other one.
func (c *cluster) waitWhole(ctx context.Context) error {
	for {
		var err error
		for i := range c.nodes {
			err = errors.Join(err, c.kind.isWhole(ctx, c, i))
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not whole: %w", c.name, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// rejoin has the nodes started again that a test has killed, one after the other.
func (c *cluster) rejoin(tb testing.TB, nodes ...int) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, i := range nodes {
		require.NoError(tb, c.kind.rejoin(ctx, c, i))
	}
	require.NoError(tb, c.waitWhole(ctx))
}

// regain makes a cluster of the one node that is left of it. It may take the node a while
// to see that it is alone.
func (c *cluster) regain(tb testing.TB, i int) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		err := c.kind.regain(ctx, c, i)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			require.NoError(tb, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// database makes a database of the test's own, on every node, and returns its name. It
// stays: the cluster is removed as a whole.
func (c *cluster) database(tb testing.TB) string {
	tb.Helper()
	name := "auth_test_" + strings.ToLower(rand.Text())
	_, err := c.admin(0).ExecContext(tb.Context(), "CREATE DATABASE "+name+" CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
	require.NoError(tb, err)
	for i := range c.nodes {
		require.Eventually(tb, func() bool {
			var n int
			err := c.admin(i).QueryRowContext(tb.Context(), "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = ?", name).Scan(&n)
			return err == nil && n == 1
		}, patience, 10*time.Millisecond)
	}
	return name
}

// pool returns a pool on a database of node i that keeps its connections, to be looked at.
func (c *cluster) pool(tb testing.TB, i int, database string) *sql.DB {
	tb.Helper()
	cfg := c.nodes[i].Config()
	cfg.DBName = database
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	require.NoError(tb, err)
	db := sql.OpenDB(connector)
	db.SetMaxIdleConns(50)
	tb.Cleanup(func() { require.NoError(tb, db.Close()) })
	return db
}

// cacheDir is the folder into which the scripts unpack what tests need.
func cacheDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.UserCacheDir() // XDG_CACHE_HOME, or ~/.cache
	require.NoError(tb, err)
	return filepath.Join(dir, "ostiary-auth")
}

func isFree(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
