package mysqlstore_test

import (
	"bytes"
	"sync/atomic"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/faultproxy"
)

// fate is what a relay does with a command of the client.
type fate int

const (
	pass        fate = iota
	cutInFlight      // the server gets it, and nobody waits for its reply
	cutAnswered      // the server carries it out, and its reply is lost
)

// newRelay starts a proxy to the server of a data source name, and returns the name that
// leads through it. It ends with the test. Command is called with each command that has a
// reply, 1 being the first, and may change its bytes; a fate other than pass ends every
// connection for good. OnCut is called after the reply that is to be lost and before the
// connections end.
func newRelay(tb testing.TB, dsn string, command func(n int, packet []byte) fate, onCut func()) string {
	tb.Helper()
	const quit, closeStatement = 0x01, 0x19 // commands without a reply
	upstream, err := mysql.ParseDSN(dsn)
	require.NoError(tb, err)
	var n atomic.Int64
	p, err := faultproxy.New(faultproxy.MySQL, upstream.Net, upstream.Addr, func(c faultproxy.Command) faultproxy.Fault {
		if c.Code == quit || c.Code == closeStatement {
			return faultproxy.Fault{}
		}
		switch command(int(n.Add(1)), c.Payload) {
		case cutInFlight:
			return faultproxy.Fault{Cut: faultproxy.CutCommand, Keep: faultproxy.Whole, All: true}
		case cutAnswered:
			return faultproxy.Fault{Cut: faultproxy.CutReply, Then: onCut, All: true}
		default:
			return faultproxy.Fault{}
		}
	})
	require.NoError(tb, err)
	tb.Cleanup(p.Close)
	through := upstream.Clone()
	through.Net, through.Addr = "tcp", p.Addr()
	return through.FormatDSN()
}

// overwrite changes text inside a packet into another of the same length.
func overwrite(tb testing.TB, packet []byte, text, by string) {
	tb.Helper()
	assert.Len(tb, by, len(text))
	if i := bytes.Index(packet, []byte(text)); i >= 0 {
		copy(packet[i:], by)
	}
}
