package mysqlstore_test

import (
	"context"
	"database/sql"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/mysqltest"
	"github.com/ostiary/auth/memstore"
	"github.com/ostiary/auth/mysqlstore"
	"github.com/ostiary/auth/storetest"
)

// databases remembers which database belongs to the stores of a case.
type databases struct {
	mu sync.Mutex
	of map[auth.RefreshStore]*sql.DB
}

func (d *databases) add(s auth.Stores, db *sql.DB) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.of == nil {
		d.of = map[auth.RefreshStore]*sql.DB{}
	}
	d.of[s.Refresh] = db
}

func (d *databases) find(s auth.Stores) *sql.DB {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.of[s.Refresh]
}

// sharedHarness runs the suite on users and sessions in one database.
func sharedHarness(server *mysqltest.Server, params ...string) storetest.Harness {
	var dbs databases
	return storetest.Harness{
		New: func(tb testing.TB) auth.Stores {
			tb.Helper()
			db, store := migrated(tb, server, params...)
			dbs.add(store.Stores(), db)
			return store.Stores()
		},
		Advance: func(tb testing.TB, s auth.Stores, d time.Duration) {
			tb.Helper()
			mysqltest.Advance(tb, dbs.find(s), d)
		},
		BumpAuthVersion: func(tb testing.TB, s auth.Stores, id auth.UserID) {
			tb.Helper()
			mustExec(tb, dbs.find(s), "UPDATE users SET auth_version = auth_version + 1 WHERE id = ?", string(id))
		},
	}
}

// hostUsers are the users of a host, in memory. Their clock is turned as that of the
// sessions is: what it has said before becomes older.
type hostUsers struct {
	*memstore.Store

	mu    sync.Mutex
	ahead time.Duration
}

func (h *hostUsers) shift() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ahead
}

func (h *hostUsers) turn(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ahead += d
}

func (h *hostUsers) now() time.Time { return time.Now().Add(h.shift()) }

func (h *hostUsers) UserByEmail(ctx context.Context, key string) (auth.UserRecord, error) {
	u, err := h.Store.UserByEmail(ctx, key)
	u.CreatedAt = u.CreatedAt.Add(-h.shift())
	return u, err
}

func (h *hostUsers) UserByID(ctx context.Context, id auth.UserID) (auth.UserRecord, error) {
	u, err := h.Store.UserByID(ctx, id)
	u.CreatedAt = u.CreatedAt.Add(-h.shift())
	return u, err
}

// sessionsHarness runs the suite on sessions alone.
func sessionsHarness(server *mysqltest.Server, params ...string) storetest.Harness {
	var dbs databases
	return storetest.Harness{
		New: func(tb testing.TB) auth.Stores {
			tb.Helper()
			db := server.DB(tb, params...)
			store := mysqlstore.New(db, mysqlstore.Options{})
			require.NoError(tb, store.MigrateSessions(tb.Context()))
			users := &hostUsers{}
			users.Store = memstore.New(memstore.Options{Now: users.now})
			s := auth.Stores{Users: users, Refresh: store.Sessions(), IntegerIDs: true}
			dbs.add(s, db)
			return s
		},
		Advance: func(tb testing.TB, s auth.Stores, d time.Duration) {
			tb.Helper()
			mysqltest.Advance(tb, dbs.find(s), d)
			users, ok := s.Users.(*hostUsers)
			require.True(tb, ok)
			users.turn(d)
		},
		BumpAuthVersion: func(tb testing.TB, s auth.Stores, id auth.UserID) {
			tb.Helper()
			users, ok := s.Users.(*hostUsers)
			require.True(tb, ok)
			u, err := users.UserByID(tb.Context(), id)
			require.NoError(tb, err)
			require.NoError(tb, users.SetPassword(tb.Context(), id, u.PasswordHash))
		},
		DeleteUser: func(tb testing.TB, s auth.Stores, id auth.UserID) {
			tb.Helper()
			users, ok := s.Users.(*hostUsers)
			require.True(tb, ok)
			require.NoError(tb, users.DeleteUser(tb.Context(), id))
		},
	}
}

func TestConformance(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		storetest.Run(t, sharedHarness(server))
	})
}

func TestConformanceOfSessionsAlone(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		storetest.Run(t, sessionsHarness(server))
	})
}

// Nothing that a host may set for its own statements changes what the store does.
func TestConformanceUnderOtherSettings(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		level := isolationVariable(t, server)
		variants := map[string][]string{
			"lax":       {"sql_mode=''", "interpolateParams=true", level + "='READ-COMMITTED'"},
			"isolated":  {"sql_mode='ANSI,NO_BACKSLASH_ESCAPES,TRADITIONAL'", "charset=latin1", level + "='SERIALIZABLE'"},
			"old utf-8": {"charset=utf8", "sql_mode=''", "clientFoundRows=true", level + "='READ-UNCOMMITTED'"},
		}
		if server.Name != "mariadb-snapshot" { // which is about isolation alone
			variants["zones"] = []string{"parseTime=true", "loc=Asia%2FTokyo", "time_zone='%2B09:00'", "clientFoundRows=true"}
			variants["no times"] = []string{"parseTime=false", "loc=America%2FNew_York", "time_zone='-11:30'", "columnsWithAlias=true"}
			variants["gbk"] = []string{"charset=gbk", "multiStatements=true", "timeTruncate=1s", "interpolateParams=false"}
		}
		for name, params := range variants {
			t.Run(name, func(t *testing.T) { storetest.Run(t, sharedHarness(server, params...)) })
		}
	})
}

// isolationVariable names the session's isolation level of transactions.
func isolationVariable(t *testing.T, server *mysqltest.Server) string {
	t.Helper()
	if len(rowsOf(t, server.DB(t), "SHOW VARIABLES LIKE 'tx_isolation'")) > 0 {
		return "tx_isolation"
	}
	return "transaction_isolation"
}
