package faultproxy_test

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/faultproxy"
)

const (
	request = "a request"
	reply   = "the reply to it"
	limit   = 20 * time.Second // for what must happen
)

// echo is a server that answers each request with the reply.
type echo struct {
	address string
	wg      sync.WaitGroup

	mu    sync.Mutex
	got   bytes.Buffer
	conns []net.Conn
}

func newEcho(t *testing.T) *echo {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	e := &echo{address: listener.Addr().String()}
	e.wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			e.mu.Lock()
			e.conns = append(e.conns, conn)
			e.mu.Unlock()
			e.wg.Go(func() { e.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		e.mu.Lock()
		for _, conn := range e.conns {
			_ = conn.Close()
		}
		e.mu.Unlock()
		e.wg.Wait()
	})
	return e
}

func (e *echo) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	buf := make([]byte, 1024)
	for have := 0; ; {
		n, err := conn.Read(buf)
		e.mu.Lock()
		e.got.Write(buf[:n])
		e.mu.Unlock()
		if err != nil {
			return
		}
		for have += n; have >= len(request); have -= len(request) {
			if _, err := io.WriteString(conn, reply); err != nil {
				return
			}
		}
	}
}

// received is what came since the last call.
func (e *echo) received() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	defer e.got.Reset()
	return e.got.String()
}

func start(t *testing.T, protocol faultproxy.Protocol, address string, choose func(faultproxy.Command) faultproxy.Fault) *faultproxy.Proxy {
	t.Helper()
	p, err := faultproxy.New(protocol, "tcp", address, choose)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

func dial(t *testing.T, p *faultproxy.Proxy) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(limit)))
	return conn
}

// ask sends a request and reads the reply, or what comes of it before the end.
func ask(t *testing.T, conn net.Conn) string {
	t.Helper()
	_, err := io.WriteString(conn, request)
	require.NoError(t, err)
	return read(t, conn, len(reply))
}

func read(t *testing.T, conn net.Conn, n int) string {
	t.Helper()
	got, err := io.ReadAll(io.LimitReader(conn, int64(n)))
	if len(got) < n {
		requireCut(t, err)
	}
	return string(got)
}

// requireCut takes the end of a connection, and no other error.
func requireCut(t *testing.T, err error) {
	t.Helper()
	var timeout net.Error
	if err != nil {
		require.ErrorAs(t, err, &timeout)
		require.False(t, timeout.Timeout(), "the connection is still there")
	}
}

func TestNothing(t *testing.T) {
	e := newEcho(t)
	p := start(t, faultproxy.Plain, e.address, nil)
	conn := dial(t, p)
	for range 3 {
		require.Equal(t, reply, ask(t, conn))
	}
	require.Equal(t, request+request+request, e.received())
	require.Equal(t, faultproxy.Stats{Connections: 1, Commands: 3}, p.Stats())
}

func TestCutReply(t *testing.T) {
	for keep := range len(reply) + 2 {
		e := newEcho(t)
		var then atomic.Int32
		p := start(t, faultproxy.Plain, e.address, func(c faultproxy.Command) faultproxy.Fault {
			if c.N != 2 {
				return faultproxy.Fault{}
			}
			return faultproxy.Fault{Cut: faultproxy.CutReply, Keep: keep, Then: func() { then.Add(1) }}
		})
		conn := dial(t, p)
		require.Equal(t, reply, ask(t, conn))
		if keep >= len(reply) {
			require.Equal(t, reply, ask(t, conn))
			require.Equal(t, reply, ask(t, conn), "and the connection goes on")
			require.Equal(t, faultproxy.Stats{Connections: 1, Commands: 3}, p.Stats())
			require.Zero(t, then.Load())
			continue
		}
		require.Equal(t, reply[:keep], ask(t, conn))
		require.Equal(t, request+request, e.received(), "the server was asked")
		require.Equal(t, faultproxy.Stats{Connections: 1, Commands: 2, CutReplies: 1}, p.Stats())
		require.Equal(t, int32(1), then.Load())
	}
}

func TestCutCommand(t *testing.T) {
	for keep := range len(request) + 2 {
		e := newEcho(t)
		ended := make(chan struct{})
		p := start(t, faultproxy.Plain, e.address, func(faultproxy.Command) faultproxy.Fault {
			return faultproxy.Fault{Cut: faultproxy.CutCommand, Keep: keep, Then: func() { close(ended) }}
		})
		require.Empty(t, ask(t, dial(t, p)))
		<-ended
		want := request[:min(keep, len(request))]
		var got string
		require.Eventually(t, func() bool { got += e.received(); return got == want }, limit, time.Millisecond)
		require.Equal(t, 1, p.Stats().CutCommands)
	}
}

// A reply is cut where more of it than is kept comes, however it comes in pieces.
func TestCutReplyInPieces(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	p := start(t, faultproxy.Plain, listener.Addr().String(), func(faultproxy.Command) faultproxy.Fault {
		return faultproxy.Fault{Cut: faultproxy.CutReply, Keep: 4}
	})
	client := dial(t, p)
	server, err := listener.Accept()
	require.NoError(t, err)
	defer func() { _ = server.Close() }()
	_, err = io.WriteString(client, request)
	require.NoError(t, err)
	_, err = io.ReadFull(server, make([]byte, len(request)))
	require.NoError(t, err)
	_, err = io.WriteString(server, "abc")
	require.NoError(t, err)
	require.Equal(t, "abc", read(t, client, 3))
	require.Zero(t, p.Stats().CutReplies)
	_, err = io.WriteString(server, "def")
	require.NoError(t, err)
	require.Equal(t, "d", read(t, client, 10))
}

// What comes in pieces, before a reply, is one command.
func TestCommandInPieces(t *testing.T) {
	e := newEcho(t)
	p := start(t, faultproxy.Plain, e.address, nil)
	conn := dial(t, p)
	for range 2 {
		_, err := io.WriteString(conn, request[:3])
		require.NoError(t, err)
		require.Eventually(t, func() bool { return e.received() == request[:3] }, limit, time.Millisecond)
		_, err = io.WriteString(conn, request[3:])
		require.NoError(t, err)
		require.Equal(t, reply, read(t, conn, len(reply)))
		e.received()
	}
	require.Equal(t, 2, p.Stats().Commands)
}

func TestDelay(t *testing.T) {
	e := newEcho(t)
	const delay = 50 * time.Millisecond
	p := start(t, faultproxy.Plain, e.address, func(faultproxy.Command) faultproxy.Fault { return faultproxy.Fault{Delay: delay} })
	conn := dial(t, p)
	began := time.Now()
	require.Equal(t, reply, ask(t, conn))
	require.GreaterOrEqual(t, time.Since(began), delay)
	require.Equal(t, 1, p.Stats().Delayed)
}

// A delay does not hold Close up.
func TestCloseDuringDelay(t *testing.T) {
	e := newEcho(t)
	asked := make(chan struct{})
	p := start(t, faultproxy.Plain, e.address, func(faultproxy.Command) faultproxy.Fault {
		close(asked)
		return faultproxy.Fault{Delay: time.Hour}
	})
	conn := dial(t, p)
	_, err := io.WriteString(conn, request)
	require.NoError(t, err)
	<-asked
	p.Close()
	require.Empty(t, read(t, conn, 1))
	require.Empty(t, e.received())
	_, err = net.Dial("tcp", p.Addr())
	require.Error(t, err)
	p.Close()
}

func TestCutAllAndRefuse(t *testing.T) {
	e := newEcho(t)
	p := start(t, faultproxy.Plain, e.address, nil)
	conns := []net.Conn{dial(t, p), dial(t, p)}
	for _, conn := range conns {
		require.Equal(t, reply, ask(t, conn))
	}
	p.Refuse(true)
	p.CutAll()
	for _, conn := range conns {
		require.Empty(t, read(t, conn, 1))
	}
	require.Empty(t, read(t, dial(t, p), 1))
	p.Refuse(false)
	require.Equal(t, reply, ask(t, dial(t, p)))
	stats := p.Stats()
	require.Equal(t, 3, stats.Connections)
	require.Equal(t, 1, stats.Refused)
	require.Equal(t, 2, stats.CutByCutAll)
}

func TestRetarget(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, gone.Close())
	p := start(t, faultproxy.Plain, gone.Addr().String(), nil)
	require.Empty(t, read(t, dial(t, p), 1), "the server is not there")
	require.Equal(t, 1, p.Stats().Refused)
	e := newEcho(t)
	p.Retarget("tcp", e.address)
	require.Equal(t, reply, ask(t, dial(t, p)))
}

func TestAll(t *testing.T) {
	e := newEcho(t)
	for _, cut := range []faultproxy.Cut{faultproxy.CutCommand, faultproxy.CutReply} {
		p := start(t, faultproxy.Plain, e.address, func(c faultproxy.Command) faultproxy.Fault {
			if c.N != 2 {
				return faultproxy.Fault{}
			}
			return faultproxy.Fault{Cut: cut, All: true}
		})
		first, second := dial(t, p), dial(t, p)
		require.Equal(t, reply, ask(t, first))
		require.Empty(t, ask(t, second))
		require.Empty(t, read(t, first, 1))
		require.Empty(t, read(t, dial(t, p), 1))
		require.Equal(t, 1, p.Stats().Refused)
	}
}

// Many connections at once, with all kinds of faults: the proxy loses count of nothing.
func TestMany(t *testing.T) {
	e := newEcho(t)
	const clients, requests = 20, 50
	p := start(t, faultproxy.Plain, e.address, func(c faultproxy.Command) faultproxy.Fault {
		f := faultproxy.Fault{Keep: c.N % 20}
		switch c.N % 7 {
		case 0:
			f.Cut = faultproxy.CutReply
		case 1:
			f.Cut = faultproxy.CutCommand
		case 2:
			f.Delay = time.Millisecond
		}
		return f
	})
	var wg sync.WaitGroup
	var cut atomic.Int64
	for range clients {
		wg.Go(func() {
			for range requests {
				conn, err := net.Dial("tcp", p.Addr())
				if !assert.NoError(t, err) {
					return
				}
				_, _ = io.WriteString(conn, request)
				got, _ := io.ReadAll(io.LimitReader(conn, int64(len(reply))))
				if len(got) < len(reply) {
					cut.Add(1)
				}
				_ = conn.Close()
			}
		})
	}
	wg.Wait()
	s := p.Stats()
	require.Equal(t, clients*requests, s.Connections)
	require.Equal(t, clients*requests, s.Commands)
	require.Equal(t, int(cut.Load()), s.CutCommands+s.CutReplies)
	require.Positive(t, s.Delayed)
}
