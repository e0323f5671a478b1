//go:build storm

package main

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/mysqltest"
)

// startGalera starts a Galera cluster of three nodes, with the files that
// scripts/get-galera.sh gets, and returns the data source name of a database on each.
func startGalera(t *testing.T) (dsns []string) {
	t.Helper()
	const size, database = 3, "storm"
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var nodes []*mysqltest.Node
	var ports []int // of each node: for its group, with the next two for its copies of data
	var group []string
	for range size {
		n := mysqltest.NewMariaDBNode(t)
		t.Cleanup(func() { require.NoError(t, n.Close()) })
		port := threePorts(t)
		nodes, ports = append(nodes, n), append(ports, port)
		group = append(group, local(port))
	}
	require.NoError(t, nodes[0].Install())
	for i, n := range nodes {
		others := strings.Join(group, ",")
		if i == 0 {
			others = ""
		}
		startNode(ctx, t, n, ports[i], "gcomm://"+others)
		cfg := n.Config()
		if i == 0 {
			db, err := sql.Open("mysql", cfg.FormatDSN())
			require.NoError(t, err)
			_, err = db.ExecContext(ctx, "CREATE DATABASE "+database)
			require.NoError(t, err)
			require.NoError(t, db.Close())
		}
		cfg.DBName = database
		dsns = append(dsns, cfg.FormatDSN())
	}
	return dsns
}

// startNode returns when the node is in step with those it joins.
func startNode(ctx context.Context, t *testing.T, n *mysqltest.Node, port int, address string) {
	t.Helper()
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	for _, dir := range []string{"data", "tmp"} {
		require.NoError(t, os.MkdirAll(filepath.Join(n.Dir, dir), 0o700))
	}
	galera := filepath.Join(n.Dir, "galera") // where those who run the node may read
	require.NoError(t, os.CopyFS(galera, os.DirFS(filepath.Join(cache, "ostiary-auth", "galera"))))
	require.NoError(t, n.HandOver())
	env := []string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin:" + filepath.Join(galera, "bin")}
	require.NoError(t, n.Start(ctx, env,
		"--tmpdir="+filepath.Join(n.Dir, "tmp"),
		"--innodb-flush-log-at-trx-commit=2", // as clusters are run
		"--innodb-autoinc-lock-mode=2",
		"--binlog-format=ROW",
		"--wsrep-on=ON",
		"--wsrep-provider="+filepath.Join(galera, "libgalera_smm.so"),
		"--wsrep-cluster-name=storm",
		"--wsrep-cluster-address="+address,
		"--wsrep-node-address="+local(port),
		"--wsrep-sst-method=rsync",
		"--wsrep-sst-receive-address="+local(port+2),
		fmt.Sprintf("--wsrep-provider-options=base_port=%d;gmcast.listen_addr=tcp://%s;ist.recv_addr=%s;gcache.size=32M", port, local(port), local(port+1)),
	))
	db, err := sql.Open("mysql", n.Config().FormatDSN())
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	for {
		var state string
		err := db.QueryRowContext(ctx, "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'wsrep_local_state_comment'").Scan(&state)
		if err == nil && state == "Synced" {
			return
		}
		select {
		case <-ctx.Done():
			require.FailNow(t, "the node does not get in step", "%q, %v", state, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// threePorts returns the first of three free ports in a row.
func threePorts(t *testing.T) int {
	t.Helper()
	for range 100 {
		port, err := mysqltest.FreePort()
		require.NoError(t, err)
		if isFree(port+1) && isFree(port+2) {
			return port
		}
	}
	require.FailNow(t, "no three free ports in a row")
	return 0
}

func isFree(port int) bool {
	l, err := net.Listen("tcp", local(port))
	return err == nil && l.Close() == nil
}
