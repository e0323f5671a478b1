package auth_test

import (
	"database/sql"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"
)

// comStmtExecute is the command of the MySQL protocol that runs a prepared statement.
const comStmtExecute = 0x17

// proxy stands between a test and a server, and can lose the server's replies.
type proxy struct {
	listener net.Listener
	target   string
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	drops int // how many replies to COM_STMT_EXECUTE are still to be lost
	keep  int // how many bytes of such a reply come through before the connection is cut
	lost  int // how many did not come through whole
}

// newProxy listens before the server of the data source name, and returns a pool on the
// same database behind it. Both end with the test.
func newProxy(t *testing.T, dsn string) (p *proxy, db *sql.DB) {
	t.Helper()
	cfg, err := mysql.ParseDSN(dsn)
	require.NoError(t, err)
	p = &proxy{target: cfg.Addr}
	var lc net.ListenConfig
	p.listener, err = lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	cfg.Addr = p.listener.Addr().String()
	cfg.Logger = &mysql.NopLogger{} // lost connections are what the test wants
	connector, err := mysql.NewConnector(cfg)
	require.NoError(t, err)
	db = sql.OpenDB(connector)
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		_ = db.Close() // says so of connections that were cut
		_ = p.listener.Close()
		p.mu.Lock()
		for _, c := range p.conns {
			_ = c.Close()
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	return p, db
}

// drop loses the replies to the next n executions, after keep bytes of each. The server
// has then done what it was asked.
func (p *proxy) drop(n, keep int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drops, p.keep, p.lost = n, keep, 0
}

func (p *proxy) lostReplies() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		c := &proxyConn{proxy: p, client: client, server: server}
		p.wg.Go(c.requests)
		p.wg.Go(c.replies)
	}
}

// proxyConn is one connection through a proxy.
type proxyConn struct {
	*proxy

	client, server net.Conn

	mu  sync.Mutex
	cut bool // the reply that comes next is to be lost
}

func (c *proxyConn) close() {
	_ = c.client.Close()
	_ = c.server.Close()
}

// requests passes the client's packets on: three bytes of length, one of sequence, and
// the payload, which begins with the command.
func (c *proxyConn) requests() {
	defer c.close()
	for {
		packet := make([]byte, 4)
		if _, err := io.ReadFull(c.client, packet); err != nil {
			return
		}
		size := binary.LittleEndian.Uint32(packet) & 0xffffff
		packet = append(packet, make([]byte, size)...)
		if _, err := io.ReadFull(c.client, packet[4:]); err != nil {
			return
		}
		if size > 0 && packet[3] == 0 && packet[4] == comStmtExecute {
			c.proxy.mu.Lock()
			if c.drops > 0 {
				c.drops--
				c.mu.Lock()
				c.cut = true
				c.mu.Unlock()
			}
			c.proxy.mu.Unlock()
		}
		if _, err := c.server.Write(packet); err != nil {
			return
		}
	}
}

func (c *proxyConn) replies() {
	defer c.close()
	buf := make([]byte, 64<<10)
	for {
		n, err := c.server.Read(buf)
		c.mu.Lock()
		cut := c.cut
		c.mu.Unlock()
		if cut {
			c.proxy.mu.Lock()
			if c.keep < n {
				n = c.keep
				c.lost++
			}
			c.proxy.mu.Unlock()
		}
		if n > 0 {
			if _, err := c.client.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil || cut {
			return
		}
	}
}
