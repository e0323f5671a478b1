package faultproxy

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
)

// The commands of the MySQL protocol that carry or run a statement.
const (
	ComQuery   = 0x03
	ComPrepare = 0x16
	ComExecute = 0x17
)

// link is one connection through a proxy.
type link struct {
	proxy          *Proxy
	client, server net.Conn

	mu         sync.Mutex
	command    Command // the last one; its Payload is not kept
	fault      Fault
	seen       int    // bytes of the reply to it
	head       []byte // the first of those
	statements map[uint32]string
}

// headSize is as much of a reply as is looked at: a packet's header and the fixed part
// of what follows it.
const headSize = 16

func (l *link) close() {
	_ = l.client.Close()
	_ = l.server.Close()
}

// cut ends the connection as the fault says.
func (l *link) cut(f Fault, counted func(s *Stats)) {
	l.proxy.count(counted)
	if f.Then != nil {
		f.Then()
	}
	if f.All {
		l.proxy.Refuse(true)
		l.proxy.CutAll()
	}
	l.close()
}

// commands carries what the client sends.
func (l *link) commands() {
	defer l.close()
	next := l.burst
	if l.proxy.protocol == MySQL {
		next = l.packet
	}
	for {
		data, begins, err := next()
		if err != nil {
			return
		}
		var f Fault
		if begins {
			f = l.begin(data)
		}
		if f.Delay > 0 {
			l.proxy.count(func(s *Stats) { s.Delayed++ })
			if !l.proxy.pass(f.Delay) {
				return
			}
		}
		if f.Cut == CutCommand {
			_, _ = l.server.Write(data[:min(max(f.Keep, 0), len(data))])
			l.cut(f, func(s *Stats) { s.CutCommands++ })
			return
		}
		if _, err := l.server.Write(data); err != nil {
			return
		}
	}
}

// packet reads a packet of MySQL's: three bytes of length, one of sequence, and the
// payload. A packet whose sequence number is 0 begins a command.
func (l *link) packet() (data []byte, begins bool, err error) {
	var header [4]byte
	if _, err := io.ReadFull(l.client, header[:]); err != nil {
		return nil, false, err
	}
	size := int(header[0]) | int(header[1])<<8 | int(header[2])<<16
	data = append(header[:], make([]byte, size)...)
	if _, err := io.ReadFull(l.client, data[4:]); err != nil {
		return nil, false, err
	}
	return data, size > 0 && header[3] == 0, nil
}

// burst reads what there is. It begins a command if a reply came before it, or nothing.
func (l *link) burst() (data []byte, begins bool, err error) {
	buf := make([]byte, 64<<10)
	n, err := l.client.Read(buf)
	if err != nil {
		return nil, false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return buf[:n], l.command.N == 0 || l.seen > 0, nil
}

// begin asks what is to be done with a command, and has the reply's direction do it.
func (l *link) begin(data []byte) Fault {
	c := Command{Payload: data}
	if l.proxy.protocol == MySQL {
		c.Payload = data[4:]
		c.Code = c.Payload[0]
		c.Text = l.text(c.Payload)
	}
	l.proxy.count(func(s *Stats) {
		s.Commands++
		c.N = s.Commands
	})
	f := l.proxy.choose(c)
	l.mu.Lock()
	defer l.mu.Unlock()
	c.Payload = nil
	l.command, l.fault, l.seen, l.head = c, f, 0, nil
	return f
}

// text is the statement that a command carries or runs.
func (l *link) text(payload []byte) string {
	switch payload[0] {
	case ComQuery, ComPrepare:
		return string(payload[1:])
	case ComExecute:
		if len(payload) < 5 {
			return ""
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.statements[binary.LittleEndian.Uint32(payload[1:])]
	}
	return ""
}

// replies carries what the server sends.
func (l *link) replies() {
	defer l.close()
	buf := make([]byte, 64<<10)
	for {
		n, err := l.server.Read(buf)
		if err != nil {
			return
		}
		through, f, lostAck := l.reply(buf[:n])
		if f.Cut == CutCommand {
			continue
		}
		if _, err := l.client.Write(buf[:through]); err != nil {
			return
		}
		if through < n {
			l.cut(f, func(s *Stats) {
				s.CutReplies++
				if lostAck {
					s.LostAcks++
				}
			})
			return
		}
	}
}

// reply says how many of these bytes come through; of those that do not, whether they
// are the acknowledgement of a change. Nothing of a reply to a command that is being cut
// comes through, however fast it is.
func (l *link) reply(data []byte) (through int, f Fault, lostAck bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.head) < headSize {
		l.head = append(l.head, data[:min(headSize-len(l.head), len(data))]...)
		if l.proxy.protocol == MySQL && l.command.Code == ComPrepare {
			l.remember()
		}
	}
	if l.fault.Cut == CutCommand {
		return 0, l.fault, false
	}
	before := l.seen
	l.seen += len(data)
	if l.fault.Cut != CutReply || l.seen <= l.fault.Keep {
		return len(data), Fault{}, false
	}
	return max(0, l.fault.Keep-before), l.fault, l.isAck()
}

// remember keeps a prepared statement's text: its number comes behind the packet's
// header and a byte 0.
func (l *link) remember() {
	if len(l.head) >= 9 && l.head[4] == 0 {
		l.statements[binary.LittleEndian.Uint32(l.head[5:])] = l.command.Text
	}
}

// isAck says whether the reply is an OK packet that tells of changed rows, or of a
// COMMIT.
func (l *link) isAck() bool {
	if l.proxy.protocol != MySQL || l.command.Code != ComQuery && l.command.Code != ComExecute {
		return false
	}
	return len(l.head) >= 6 && l.head[4] == 0 && (l.head[5] != 0 || strings.EqualFold(l.command.Text, "COMMIT"))
}
