//go:build cluster

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ostiary/auth/internal/mysqltest"
)

// galera is what a Galera cluster of MariaDB's has of its own.
type galera struct {
	ports []int // of node i: for its group, with the next two for its copies of data
	files string
}

// newGalera returns a cluster that is not started.
func newGalera(tb testing.TB) *cluster {
	tb.Helper()
	g := &galera{files: filepath.Join(cacheDir(tb), "galera")}
	if _, err := os.Stat(filepath.Join(g.files, "libgalera_smm.so")); err != nil {
		tb.Fatalf("%v: scripts/get-galera.sh gets it", err)
	}
	c := &cluster{name: "galera", kind: g}
	for range size {
		c.nodes = append(c.nodes, mysqltest.NewMariaDBNode(tb))
		port, err := threePorts()
		if err != nil {
			tb.Fatal(err)
		}
		g.ports = append(g.ports, port)
	}
	return c
}

// threePorts returns the first of three free ports in a row.
func threePorts() (int, error) {
	for range 100 {
		port, err := mysqltest.FreePort()
		if err != nil {
			return 0, err
		}
		if isFree(port+1) && isFree(port+2) {
			return port, nil
		}
	}
	return 0, errors.New("no three free ports in a row")
}

func (g *galera) start(ctx context.Context, c *cluster) error {
	if err := c.nodes[0].Install(); err != nil { //nolint:contextcheck // it ends by itself
		return err
	}
	for i, n := range c.nodes {
		if err := g.prepare(n); err != nil {
			return err
		}
		address := g.address()
		if i == 0 {
			address = "gcomm://"
		}
		if err := g.run(ctx, c, i, address); err != nil {
			return err
		}
	}
	return nil
}

// prepare copies the provider and the scripts to where those who run the node may read
// them.
func (g *galera) prepare(n *mysqltest.Node) error {
	for _, dir := range []string{"data", "tmp"} {
		if err := os.Mkdir(filepath.Join(n.Dir, dir), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if err := os.CopyFS(filepath.Join(n.Dir, "galera"), os.DirFS(g.files)); err != nil {
		return err
	}
	return n.HandOver()
}

// address names every node.
func (g *galera) address() string {
	hosts := make([]string, len(g.ports))
	for i, port := range g.ports {
		hosts[i] = "127.0.0.1:" + strconv.Itoa(port)
	}
	return "gcomm://" + strings.Join(hosts, ",")
}

func (g *galera) run(ctx context.Context, c *cluster, i int, address string) error {
	n, port := c.nodes[i], g.ports[i]
	local := func(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }
	env := []string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin:" + filepath.Join(n.Dir, "galera", "bin")}
	return n.Start(ctx, env,
		"--tmpdir="+filepath.Join(n.Dir, "tmp"),
		"--innodb-flush-log-at-trx-commit=2", // what was committed outlives the process
		"--innodb-autoinc-lock-mode=2",
		"--binlog-format=ROW",
		"--wsrep-on=ON",
		"--wsrep-provider="+filepath.Join(n.Dir, "galera", "libgalera_smm.so"),
		"--wsrep-cluster-name=auth",
		"--wsrep-cluster-address="+address,
		"--wsrep-node-name=node"+strconv.Itoa(i+1),
		"--wsrep-node-address="+local(port),
		"--wsrep-sst-method=rsync",
		"--wsrep-sst-receive-address="+local(port+2),
		"--wsrep-provider-options="+strings.Join([]string{
			"base_port=" + strconv.Itoa(port),
			"gmcast.listen_addr=tcp://" + local(port),
			"ist.recv_addr=" + local(port+1),
			"gcache.size=32M",
			// A killed node is out of the cluster after two seconds instead of five.
			"evs.keepalive_period=PT0.5S",
			"evs.inactive_check_period=PT0.25S",
			"evs.suspect_timeout=PT2S",
			"evs.inactive_timeout=PT5S",
			"evs.install_timeout=PT5S",
		}, ";"),
	)
}

// rejoin starts a node that was killed. It gets its data from another one.
func (g *galera) rejoin(ctx context.Context, c *cluster, i int) error {
	return g.run(ctx, c, i, g.address())
}

// lose kills the node.
func (*galera) lose(_ context.Context, c *cluster, i int) error {
	c.nodes[i].Kill()
	return nil
}

// regain makes a cluster of the one node that is left of it.
func (g *galera) regain(ctx context.Context, c *cluster, i int) error {
	_, err := c.admin(i).ExecContext(ctx, "SET GLOBAL wsrep_provider_options = 'pc.bootstrap=YES'")
	return err
}

// isWhole says whether the node sees all of them and is in step.
func (g *galera) isWhole(ctx context.Context, c *cluster, i int) error {
	var members, state string
	err := c.admin(i).QueryRowContext(ctx, `SELECT
		(SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'wsrep_cluster_size'),
		(SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'wsrep_local_state_comment')`).Scan(&members, &state)
	if err == nil && (members != strconv.Itoa(size) || state != "Synced") {
		err = fmt.Errorf("node %d sees %s nodes and is %s", i+1, members, state)
	}
	return err
}
