package auth_test

import (
	"database/sql"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/faultproxy"
)

// proxy stands between a test and a server, and can lose the server's replies.
type proxy struct {
	*faultproxy.Proxy

	mu     sync.Mutex
	drops  int // how many replies to executions are still to be lost
	keep   int // how many bytes of such a reply come through before the connection is cut
	before int // how many were lost before the last drop
}

// newProxy listens before the server of the data source name, and returns a pool on the
// same database behind it. Both end with the test.
func newProxy(t *testing.T, dsn string) (p *proxy, db *sql.DB) {
	t.Helper()
	cfg, err := mysql.ParseDSN(dsn)
	require.NoError(t, err)
	p = &proxy{}
	p.Proxy, err = faultproxy.New(faultproxy.MySQL, cfg.Net, cfg.Addr, p.choose)
	require.NoError(t, err)
	cfg.Addr = p.Addr()
	cfg.Logger = &mysql.NopLogger{} // lost connections are what the test wants
	connector, err := mysql.NewConnector(cfg)
	require.NoError(t, err)
	db = sql.OpenDB(connector)
	t.Cleanup(func() {
		_ = db.Close() // says so of connections that were cut
		p.Close()
	})
	return p, db
}

// drop loses the replies to the next n executions, after keep bytes of each. The server
// has then done what it was asked. A reply of no more bytes comes through.
func (p *proxy) drop(n, keep int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drops, p.keep, p.before = n, keep, p.Stats().CutReplies
}

func (p *proxy) lostReplies() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.Stats().CutReplies - p.before
}

func (p *proxy) choose(c faultproxy.Command) faultproxy.Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.Code != faultproxy.ComExecute || p.drops == 0 {
		return faultproxy.Fault{}
	}
	p.drops--
	return faultproxy.Fault{Cut: faultproxy.CutReply, Keep: p.keep}
}
