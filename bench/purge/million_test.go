//go:build million

package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/mysqltest"
)

// What the program's comment says, on a server of its own.
func TestMillion(t *testing.T) {
	ratio, err := run(t.Context(), t.Output(), mysqltest.Private(t).DSN(t), 1_000_000, load{4, 5 * time.Millisecond}, 10*time.Second)
	require.NoError(t, err)
	require.Less(t, ratio, float64(limit))
}
