package mysqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/mysqltest"
	"github.com/ostiary/auth/mysqlstore"
)

// replicated is a primary and a replica of it that is two seconds behind.
type replicated struct {
	primary, replica *mysql.Config // of a user whom read_only binds
	adminOfReplica   *sql.DB
}

func newReplicated(t *testing.T) replicated {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	primary, replica := mysqltest.NewMariaDBNode(t), mysqltest.NewMariaDBNode(t)
	for _, n := range []*mysqltest.Node{primary, replica} {
		t.Cleanup(func() { assert.NoError(t, n.Close()) })
	}
	require.NoError(t, primary.Install())
	require.NoError(t, replica.CopyData(primary))
	flags := []string{"--log-bin=bin", "--binlog-format=ROW", "--gtid-strict-mode=1"}
	require.NoError(t, primary.Start(ctx, nil, flags...))
	require.NoError(t, replica.Start(ctx, nil, append(flags, "--read-only=1")...))
	admin, adminOfReplica := mysqltest.Open(t, primary.Config().FormatDSN()), mysqltest.Open(t, replica.Config().FormatDSN())
	for _, query := range []string{
		"CREATE DATABASE app",
		"CREATE USER app@'127.0.0.1'",
		"GRANT ALL ON app.* TO app@'127.0.0.1'",
		"GRANT REPLICATION SLAVE ON *.* TO app@'127.0.0.1'",
	} {
		mustExec(t, admin, query)
	}
	mustExec(t, adminOfReplica, fmt.Sprintf("CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=%d, MASTER_USER='app', "+
		"MASTER_CONNECT_RETRY=1, MASTER_USE_GTID=slave_pos", primary.Port))
	mustExec(t, adminOfReplica, "START SLAVE")
	r := replicated{primary: primary.Config(), replica: replica.Config(), adminOfReplica: adminOfReplica}
	for _, cfg := range []*mysql.Config{r.primary, r.replica} {
		cfg.User, cfg.DBName, cfg.Logger = "app", "app", &mysql.NopLogger{}
	}
	return r
}

// delay has the replica fall behind, once it has caught up.
func (r replicated) delay(t *testing.T, table string) {
	t.Helper()
	require.Eventually(t, func() bool {
		return len(rowsOf(t, r.adminOfReplica, "SELECT 1 FROM information_schema.tables WHERE table_schema = 'app' AND table_name = '"+table+"'")) > 0
	}, eventually, tick)
	for _, query := range []string{"STOP SLAVE", "CHANGE MASTER TO MASTER_DELAY=2", "START SLAVE"} {
		mustExec(t, r.adminOfReplica, query)
	}
}

// pool is a pool whose connections lead to these servers in turn.
func pool(t *testing.T, configs ...*mysql.Config) *sql.DB {
	t.Helper()
	c := &nodes{}
	for _, cfg := range configs {
		connector, err := mysql.NewConnector(cfg)
		require.NoError(t, err)
		c.list = append(c.list, connector)
	}
	db := sql.OpenDB(c)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	return db
}

// A replica that is behind, in the pool beside its primary, is found by Check; and until it
// is taken out it costs tries and answers, but no session.
func TestDelayedReplicaInThePool(t *testing.T) {
	r := newReplicated(t)
	direct := mysqlstore.New(pool(t, r.primary), mysqlstore.Options{})
	require.NoError(t, direct.Migrate(t.Context()))
	assert.Empty(t, problems(t, pool(t, r.primary)))
	r.delay(t, "refresh_tokens")

	got := strings.Join(problems(t, pool(t, r.primary, r.replica)), "\n")
	assert.Contains(t, got, "the server is read-only: it is a replica, or was one")
	assert.Contains(t, got, "the connections lead to several servers that are no cluster")
	mustExec(t, r.adminOfReplica, "SET GLOBAL read_only = 0") // nothing but its delay is left of it
	got = strings.Join(problems(t, pool(t, r.primary, r.replica)), "\n")
	assert.NotContains(t, got, "read-only")
	assert.Contains(t, got, "the connections lead to several servers")
	mustExec(t, r.adminOfReplica, "SET GLOBAL read_only = 1")

	mixed := pool(t, r.primary, r.replica, r.replica, r.replica)
	mixed.SetMaxIdleConns(0) // so that each statement meets the next server
	id, err := direct.Stores().Users.CreateUser(t.Context(), ann())
	require.NoError(t, err)
	tokens, err := authenticator(t, direct).StartSession(t.Context(), id, auth.Client{})
	require.NoError(t, err)
	a := authenticator(t, mysqlstore.New(mixed, mysqlstore.Options{}))
	asked := executed(t, r.adminOfReplica)
	refreshed, unavailable := 0, 0
	first := tokens.RefreshToken
	for i := range 90 {
		presented := tokens.RefreshToken
		if i%3 == 0 {
			presented = first // within its grace: the row judges it
		}
		next, err := a.Refresh(t.Context(), presented, auth.Client{})
		if err != nil {
			require.ErrorIs(t, err, auth.ErrUnavailable)
			unavailable++
			continue
		}
		refreshed++
		tokens = next
	}
	t.Logf("%d refreshes, %d answers that a later try may succeed", refreshed, unavailable)
	assert.Greater(t, refreshed, 10)
	assert.Positive(t, unavailable)
	assert.Greater(t, executed(t, r.adminOfReplica), asked+10)
	list, err := direct.Stores().Refresh.SessionsByUser(t.Context(), id, time.Now(), 10)
	require.NoError(t, err)
	require.Len(t, list, 1, "the session is live")
	_, err = authenticator(t, direct).Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
	require.NoError(t, err)

	// What reads a session is not answered by the replica, which does not know it yet.
	behind := mysqlstore.New(pool(t, r.replica), mysqlstore.Options{}).Stores().Refresh
	for name, read := range map[string]func() error{
		"ReadSession":    func() error { _, err := behind.ReadSession(t.Context(), list[0].ID); return err },
		"SessionByID":    func() error { _, err := behind.SessionByID(t.Context(), list[0].ID); return err },
		"SessionsByUser": func() error { _, err := behind.SessionsByUser(t.Context(), id, time.Now(), 10); return err },
	} {
		require.ErrorIs(t, read(), auth.ErrUnavailable, name)
	}
	purged, err := behind.PurgeSessions(t.Context(), time.Now().Add(1000*time.Hour), 10)
	require.True(t, err == nil && purged == 0 || errors.Is(err, auth.ErrUnavailable))
}

// executed is how many prepared statements the server has executed.
func executed(t *testing.T, db *sql.DB) int {
	t.Helper()
	n, err := strconv.Atoi(rowsOf(t, db, "SHOW GLOBAL STATUS LIKE 'Com_stmt_execute'")[0][1])
	require.NoError(t, err)
	return n
}

// authenticator is one with keys that are the same each time.
func authenticator(t *testing.T, store *mysqlstore.Store) *auth.Authenticator {
	t.Helper()
	a, err := auth.New(store.Stores(), auth.Config{InsecureNoLimits: true, Logger: slog.New(slog.DiscardHandler), Tokens: auth.TokenOptions{
		AccessKeys:  []auth.Key{auth.HMACKey([]byte(strings.Repeat("a", 31) + "1"))},
		RefreshKeys: []auth.Key{auth.HMACKey([]byte(strings.Repeat("r", 31) + "2"))},
	}})
	require.NoError(t, err)
	return a
}
