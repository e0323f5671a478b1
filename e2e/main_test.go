package e2e_test

import (
	"os"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/e2e/instance"
	"github.com/ostiary/auth/internal/faultproxy"
	"github.com/ostiary/auth/internal/mysqltest"
)

// programs is the folder of the built program.
var programs string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "ostiary-auth-e2e-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	programs = dir
	return mysqltest.Main(m)
}

// start starts an instance on a database, and ends it with the test. The race detector's
// findings in it fail the test.
func start(t *testing.T, dsn string, args ...string) *instance.Process {
	t.Helper()
	program, err := build()
	require.NoError(t, err)
	p, err := instance.Start(program, append([]string{"-dsn", dsn}, args...)...)
	require.NoError(t, err)
	t.Cleanup(func() {
		p.Kill()
		assert.NotContains(t, p.Log(), "DATA RACE")
		assert.NotContains(t, p.Log(), "panic")
		if t.Failed() {
			log := p.Log()
			t.Logf("%s wrote, at last:\n%s", p.URL, log[max(0, len(log)-4096):])
		}
	})
	return p
}

// build builds the program once, with the race detector if the test has it.
var build = sync.OnceValues(func() (string, error) {
	return instance.Build(programs, buildFlags()...)
})

// proxyTo starts a proxy before the address, which ends with the test.
func proxyTo(t *testing.T, protocol faultproxy.Protocol, address string, choose func(faultproxy.Command) faultproxy.Fault) *faultproxy.Proxy {
	t.Helper()
	p, err := faultproxy.New(protocol, "tcp", address, choose)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

// through is the data source name that leads through a proxy, and the address it leads to.
func through(t *testing.T, dsn string, choose func(faultproxy.Command) faultproxy.Fault) (p *faultproxy.Proxy, proxied string) {
	t.Helper()
	cfg, err := mysql.ParseDSN(dsn)
	require.NoError(t, err)
	p = proxyTo(t, faultproxy.MySQL, cfg.Addr, choose)
	cfg.Addr = p.Addr()
	return p, cfg.FormatDSN()
}
