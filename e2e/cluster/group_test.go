//go:build cluster

package cluster_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/auth/internal/mysqltest"
)

// group is what MySQL's Group Replication has of its own.
type group struct {
	name          string
	ports         []int // of node i, for its group
	singlePrimary bool
}

// accounts is a server's first SQL, which is in no binary log: a member of a group must
// have no transaction of its own.
const accounts = `SET sql_log_bin = 0;
CREATE USER IF NOT EXISTS root@'127.0.0.1';
GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;
CREATE USER IF NOT EXISTS recovery@'127.0.0.1' IDENTIFIED BY 'recovery';
GRANT REPLICATION SLAVE, BACKUP_ADMIN, GROUP_REPLICATION_STREAM, CONNECTION_ADMIN ON *.* TO recovery@'127.0.0.1';
`

// newGroup returns a cluster that is not started.
func newGroup(tb testing.TB, singlePrimary bool) *cluster {
	tb.Helper()
	g := &group{name: uuid(), singlePrimary: singlePrimary}
	c := &cluster{name: "group-multi-primary", kind: g}
	if singlePrimary {
		c.name = "group-one-primary"
	}
	for range size {
		c.nodes = append(c.nodes, mysqltest.NewMySQLNode(tb))
		port, err := mysqltest.FreePort()
		if err != nil {
			tb.Fatal(err)
		}
		g.ports = append(g.ports, port)
	}
	return c
}

// uuid is a random UUID, of version 4.
func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func (g *group) start(ctx context.Context, c *cluster) error {
	if err := c.nodes[0].Install(); err != nil { //nolint:contextcheck // it ends by itself
		return err
	}
	for _, n := range c.nodes[1:] {
		if err := n.CopyData(c.nodes[0]); err != nil {
			return err
		}
	}
	for i := range c.nodes {
		if err := g.run(ctx, c, i); err != nil {
			return err
		}
		if err := c.execAll(ctx, i,
			"RESET BINARY LOGS AND GTIDS",
			"CHANGE REPLICATION SOURCE TO SOURCE_USER = 'recovery', SOURCE_PASSWORD = 'recovery' FOR CHANNEL 'group_replication_recovery'",
		); err != nil {
			return err
		}
	}
	if err := g.bootstrap(ctx, c, 0); err != nil {
		return err
	}
	for i := range c.nodes[1:] {
		if err := c.execAll(ctx, i+1, "START GROUP_REPLICATION"); err != nil {
			return err
		}
	}
	return nil
}

func (g *group) bootstrap(ctx context.Context, c *cluster, i int) error {
	return c.execAll(ctx, i,
		"SET GLOBAL group_replication_bootstrap_group = ON",
		"START GROUP_REPLICATION",
		"SET GLOBAL group_replication_bootstrap_group = OFF",
	)
}

func (g *group) run(ctx context.Context, c *cluster, i int) error {
	n := c.nodes[i]
	file := filepath.Join(n.Dir, "accounts.sql")
	if err := os.WriteFile(file, []byte(accounts), 0o600); err != nil {
		return err
	}
	seeds := make([]string, size)
	for i, port := range g.ports {
		seeds[i] = "127.0.0.1:" + strconv.Itoa(port)
	}
	single, everywhere := "OFF", "OFF"
	if g.singlePrimary {
		single = "ON"
	}
	return n.Start(ctx, nil,
		"--init-file="+file,
		"--innodb-flush-log-at-trx-commit=2", // what was committed outlives the process
		"--sync-binlog=0",
		"--performance-schema=ON",
		"--log-bin="+filepath.Join(n.Dir, "data", "bin"),
		"--gtid-mode=ON",
		"--enforce-gtid-consistency=ON",
		"--report-host=127.0.0.1",
		"--plugin-load-add=group_replication.so",
		"--loose-group-replication-group-name="+g.name,
		"--loose-group-replication-start-on-boot=OFF",
		"--loose-group-replication-local-address="+seeds[i],
		"--loose-group-replication-group-seeds="+strings.Join(seeds, ","),
		"--loose-group-replication-single-primary-mode="+single,
		"--loose-group-replication-enforce-update-everywhere-checks="+everywhere,
		"--loose-group-replication-recovery-get-public-key=ON",
		"--loose-group-replication-member-expel-timeout=0",
	)
}

// rejoin starts a node that was killed. It gets what it missed from another one. A group
// that has not expelled the node yet would not take it in.
func (g *group) rejoin(ctx context.Context, c *cluster, i int) error {
	if err := g.awaitExpelled(ctx, c, i); err != nil {
		return err
	}
	if err := g.run(ctx, c, i); err != nil {
		return err
	}
	return c.execAll(ctx, i, "START GROUP_REPLICATION")
}

func (g *group) awaitExpelled(ctx context.Context, c *cluster, i int) error {
	for {
		for other := range c.nodes {
			var isMember, members int
			err := c.admin(other).QueryRowContext(ctx, "SELECT COALESCE(SUM(member_port = ?), 0), COALESCE(SUM(member_state = 'ONLINE'), 0)"+
				" FROM performance_schema.replication_group_members", c.nodes[i].Port).Scan(&isMember, &members)
			if err == nil && other != i && isMember == 0 && members > 0 {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("node %d was not expelled: %w", i+1, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// lose has the node leave, and then kills it. The communication of a group whose member
// is killed under load may stand still until the member is expelled, for a minute and
// more: that is longer than Grace is here.
func (g *group) lose(ctx context.Context, c *cluster, i int) error {
	err := c.execAll(ctx, i, "STOP GROUP_REPLICATION")
	c.nodes[i].Kill()
	return err
}

// regain makes a group of the one node that is left of it.
func (g *group) regain(ctx context.Context, c *cluster, i int) error {
	return c.execAll(ctx, i,
		"SET GLOBAL group_replication_force_members = '127.0.0.1:"+strconv.Itoa(g.ports[i])+"'",
		"SET GLOBAL group_replication_force_members = ''")
}

// isWhole says whether the node sees all of them online.
func (g *group) isWhole(ctx context.Context, c *cluster, i int) error {
	var online int
	err := c.admin(i).QueryRowContext(ctx,
		"SELECT COUNT(*) FROM performance_schema.replication_group_members WHERE member_state = 'ONLINE'").Scan(&online)
	if err == nil && online != size {
		err = fmt.Errorf("node %d sees %d nodes online", i+1, online)
	}
	return err
}
