package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/mysqltest"
)

func TestMain(m *testing.M) { os.Exit(mysqltest.Main(m)) }

// The purge and the refreshes beside it do what they should; how long they take is not
// judged here.
func TestRun(t *testing.T) {
	dsn := mysqltest.Default(t).DSN(t)
	var out strings.Builder
	ratio, err := run(t.Context(), &out, dsn, 3001, load{2, time.Millisecond}, 50*time.Millisecond)
	require.NoError(t, err)
	assert.Positive(t, ratio)
	assert.Regexp(t, `(?s)^purged 1500 of 3001 sessions in \S+\nrefreshes alone:  p99 \S+ of \d+\n`+
		`refreshes beside: p99 \S+ of \d+\nratio \d+\.\d\d \(wanted: under 5\)\n$`, out.String())

	_, err = run(t.Context(), &out, dsn, 10, load{1, 0}, 0)
	require.ErrorContains(t, err, "name an empty one")
}

func TestP99(t *testing.T) {
	var times []time.Duration
	assert.Equal(t, time.Duration(0), p99(times))
	for i := range 200 {
		times = append(times, time.Duration(200-i))
	}
	assert.Equal(t, time.Duration(199), p99(times))
}
