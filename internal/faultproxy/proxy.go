package faultproxy

import (
	"context"
	"math"
	"net"
	"sync"
	"time"
)

// dialTimeout is how long the server may take to accept a connection.
const dialTimeout = 5 * time.Second

// Protocol is how a proxy finds the commands in what the client sends.
type Protocol int

// The protocols that a proxy knows.
const (
	Plain Protocol = iota // any in which the client waits for a reply before it sends more
	MySQL
)

// Command is what a client asks of the server.
type Command struct {
	N       int    // from 1, over all connections, in the order in which the proxy saw them
	Code    byte   // with MySQL: ComQuery and so on
	Text    string // with MySQL: the statement that is run or prepared, else ""
	Payload []byte // the first bytes, with MySQL the whole packet; may be changed in place, until the function returns
}

// Cut is where a connection is cut.
type Cut int

// The places where a connection can be cut.
const (
	CutNothing Cut = iota
	CutCommand     // inside the command, or behind it, without waiting for the reply
	CutReply       // inside the reply: the server has done what it was asked
)

// Whole is a Keep that no command reaches.
const Whole = math.MaxInt

// Fault is what happens to a command. The zero value is nothing.
type Fault struct {
	Delay time.Duration // how long the command waits before it goes on

	// Cut says where the connection is cut, and Keep how many bytes of the command or of
	// its reply come through before. A command that is shorter comes through whole and
	// its connection is cut behind it. A reply that is no longer comes through, and
	// nothing is cut.
	Cut  Cut
	Keep int

	// Then is called once, right before the connection is cut. Nil: nothing.
	Then func()

	// All cuts every other connection too, and has new ones refused.
	All bool
}

// Stats counts what a proxy did.
type Stats struct {
	Connections int // that were passed on
	Refused     int // that were not, for Refuse or because the server did not take them
	Commands    int
	Delayed     int
	CutCommands int
	CutReplies  int
	CutByCutAll int // connections
	LostAcks    int // of the CutReplies, with MySQL: those that said that rows were changed, or a COMMIT done
}

// Proxy stands between clients and a server. Its methods are safe for concurrent use.
type Proxy struct {
	protocol Protocol
	choose   func(Command) Fault
	listener net.Listener
	wg       sync.WaitGroup
	closed   chan struct{}

	mu       sync.Mutex
	network  string
	address  string
	refusing bool
	ended    bool
	links    map[*link]bool
	stats    Stats
}

// New starts a proxy before the server at the address, on a free port of 127.0.0.1.
// Choose is called for each command, by several goroutines at once, and may take its
// time: the command waits. Nil chooses no faults.
func New(protocol Protocol, network, address string, choose func(Command) Fault) (*Proxy, error) {
	if choose == nil {
		choose = func(Command) Fault { return Fault{} }
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{
		protocol: protocol, choose: choose, listener: listener, closed: make(chan struct{}),
		network: network, address: address, links: map[*link]bool{},
	}
	p.wg.Go(p.accept)
	return p, nil
}

// Addr is where the proxy listens, host and port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Retarget sends new connections to another server.
func (p *Proxy) Retarget(network, address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.network, p.address = network, address
}

// Refuse closes new connections at once, or stops doing so.
func (p *Proxy) Refuse(refuse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusing = refuse
}

// CutAll cuts every connection.
func (p *Proxy) CutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		p.stats.CutByCutAll++
		l.close()
	}
}

// Stats returns what the proxy did since New.
func (p *Proxy) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Close cuts every connection and returns when the proxy has ended.
func (p *Proxy) Close() {
	p.mu.Lock()
	if !p.ended {
		p.ended = true
		close(p.closed)
		_ = p.listener.Close()
	}
	p.mu.Unlock()
	p.CutAll()
	p.wg.Wait()
}

func (p *Proxy) count(f func(s *Stats)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.stats)
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.connect(client) })
	}
}

// connect carries one connection until it ends.
func (p *Proxy) connect(client net.Conn) {
	p.mu.Lock()
	network, address, refusing := p.network, p.address, p.refusing
	p.mu.Unlock()
	server, err := net.Conn(nil), error(nil)
	if !refusing {
		d := net.Dialer{Timeout: dialTimeout}
		server, err = d.DialContext(context.Background(), network, address)
	}
	if refusing || err != nil {
		_ = client.Close()
		p.count(func(s *Stats) { s.Refused++ })
		return
	}
	l := &link{proxy: p, client: client, server: server, statements: map[uint32]string{}}
	p.mu.Lock()
	if p.ended || p.refusing {
		p.stats.Refused++
		p.mu.Unlock()
		l.close()
		return
	}
	p.links[l] = true
	p.stats.Connections++
	p.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(l.replies)
	l.commands()
	wg.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// pass waits before a command goes on. It is false if the proxy ends before.
func (p *Proxy) pass(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.closed:
		return false
	}
}
