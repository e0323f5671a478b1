package mysqlstore_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fate is what a relay does with a command of the client.
type fate int

const (
	pass        fate = iota
	cutInFlight      // the server gets it, and nobody waits for its reply
	cutAnswered      // the server carries it out, and its reply is lost
)

// relay stands between a client and its server. It sees the client's commands, and can
// end every connection for good around one of them.
type relay struct {
	command  func(n int, packet []byte) fate
	onCut    func()
	listener net.Listener
	upstream *mysql.Config
	wg       sync.WaitGroup

	mu    sync.Mutex
	n     int
	dead  bool
	conns []net.Conn
}

// newRelay starts a relay to the server of a data source name, and returns the name that
// leads through it. It ends with the test. Command is called with each command, 1 being
// the first, and may change its bytes; onCut, after the reply that is to be lost and
// before the connections end.
func newRelay(tb testing.TB, dsn string, command func(n int, packet []byte) fate, onCut func()) string {
	tb.Helper()
	upstream, err := mysql.ParseDSN(dsn)
	require.NoError(tb, err)
	var lc net.ListenConfig
	listener, err := lc.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	r := &relay{command: command, onCut: onCut, listener: listener, upstream: upstream}
	r.wg.Go(r.accept)
	tb.Cleanup(func() {
		r.cut()
		r.wg.Wait()
	})
	through := upstream.Clone()
	through.Net, through.Addr = "tcp", listener.Addr().String()
	return through.FormatDSN()
}

// cut ends every connection and takes no more.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dead = true
	_ = r.listener.Close()
	for _, c := range r.conns {
		_ = c.Close()
	}
}

// keep remembers a connection for cut; false: it is too late.
func (r *relay) keep(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead {
		_ = c.Close()
		return false
	}
	r.conns = append(r.conns, c)
	return true
}

func (r *relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial(r.upstream.Net, r.upstream.Addr)
		if err != nil {
			_ = client.Close()
			continue
		}
		if !r.keep(client) || !r.keep(server) {
			return
		}
		link := &link{relay: r, client: client, server: server}
		r.wg.Go(link.commands)
		r.wg.Go(link.replies)
	}
}

// link is a connection through the relay.
type link struct {
	relay          *relay
	client, server net.Conn

	mu   sync.Mutex
	lose fate // what happens when the next reply comes
}

func (l *link) close() {
	_ = l.client.Close()
	_ = l.server.Close()
}

// commands carries the client's packets. A packet whose sequence number is 0 begins a
// command.
func (l *link) commands() {
	defer l.close()
	const quit, closeStatement = 0x01, 0x19 // commands without a reply
	for {
		header := make([]byte, 4)
		if _, err := io.ReadFull(l.client, header); err != nil {
			return
		}
		packet := make([]byte, binary.LittleEndian.Uint32([]byte{header[0], header[1], header[2], 0}))
		if _, err := io.ReadFull(l.client, packet); err != nil {
			return
		}
		f := pass
		if header[3] == 0 && packet[0] != quit && packet[0] != closeStatement {
			f = l.next(packet)
		}
		if _, err := l.server.Write(append(header, packet...)); err != nil {
			return
		}
		if f == cutInFlight {
			l.relay.cut()
			return
		}
	}
}

func (l *link) next(packet []byte) fate {
	l.relay.mu.Lock()
	l.relay.n++
	n := l.relay.n
	l.relay.mu.Unlock()
	f := l.relay.command(n, packet)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lose = f
	return f
}

func (l *link) replies() {
	defer l.close()
	buf := make([]byte, 64<<10)
	for {
		n, err := l.server.Read(buf)
		if err != nil {
			return
		}
		l.mu.Lock()
		lose := l.lose
		l.mu.Unlock()
		if lose == cutAnswered {
			l.relay.onCut()
			l.relay.cut()
			return
		}
		if _, err := l.client.Write(buf[:n]); err != nil {
			return
		}
	}
}

// overwrite changes text inside a packet into another of the same length.
func overwrite(tb testing.TB, packet []byte, text, by string) {
	tb.Helper()
	assert.Len(tb, by, len(text))
	if i := bytes.Index(packet, []byte(text)); i >= 0 {
		copy(packet[i:], by)
	}
}
