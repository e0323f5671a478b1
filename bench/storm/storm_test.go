//go:build storm

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/mysqltest"
)

// What the program's comment says: with the gate alone, where all wait for it; with limits, all in one budget of
// one server; and with that budget on three nodes of a cluster, where two other instances
// use it too.
func TestStorm(t *testing.T) {
	t.Run("no limits", func(t *testing.T) {
		measure(t, plan{dsn: mysqltest.Private(t).DSN(t), apart: true, example: []string{"-no-limits", "-pool=50"}})
	})
	t.Run("limits", func(t *testing.T) {
		measure(t, plan{dsn: mysqltest.Private(t).DSN(t), hasty: true, example: []string{"-pool=10"}})
	})
	t.Run("galera", func(t *testing.T) {
		dsns := startGalera(t)
		measure(t, plan{dsn: dsns[0], peers: dsns[1:], example: []string{"-pool=10"}})
	})
}

func measure(t *testing.T, p plan) {
	t.Helper()
	p.readers, p.logins, p.rounds, p.idle, p.storm = 8, 64, 7, 5*time.Second, 8*time.Second
	var table strings.Builder
	r, err := run(t.Context(), &table, p)
	t.Log("\n" + table.String())
	require.NoError(t, err)
	require.Empty(t, r.missed())
}
