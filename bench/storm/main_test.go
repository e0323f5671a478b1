package main

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/mysqltest"
)

func TestMain(m *testing.M) { os.Exit(mysqltest.Main(m)) }

// Readers and storm do what they should; what they measure is not judged here. The second
// server of the peers is the first one.
func TestRun(t *testing.T) {
	dsn := mysqltest.Default(t).DSN(t)
	p := plan{
		dsn: dsn, peers: []string{dsn}, example: []string{"-pool=10"},
		readers: 2, logins: 4, rounds: 1, idle: 200 * time.Millisecond, storm: 8 * time.Second, hasty: true,
	}
	var out strings.Builder
	r, err := run(t.Context(), &out, p)
	require.NoError(t, err)
	assert.Regexp(t, `(?s)^examples/mysql -pool=10, on \d+ cores with all the rest: 2 connections read /api/profile, 4 log in, from one IP address; those that are refused wait as Retry-After says\n`+
		`round \|.*\n +1 \|.*\nmedians: rate \d+\.\d\d .*\nmemory: \d+\.\d MiB before, .*\n`+
		`logins: \d+ of 200, \d+ of 429, \d+ of 503, 0 others \(wanted: none\)\nbudget of the address: \d+\.\d of 100 not given back\nother instances: \d+ takes, \d+ of them limited\n`+
		`not judged, those that are refused come back at once: \d+ of 200, \d+ of 429, \d+ of 503, 0 others\nhasty \|.*\n$`, out.String())
	assert.Len(t, r.rates, 1)
	assert.Positive(t, r.rates[0])
	assert.Positive(t, r.p99s[0])
	assert.Positive(t, r.answers.ok)
	assert.Positive(t, r.answers.peers)
	assert.Positive(t, r.before)
	assert.GreaterOrEqual(t, r.peak, r.before)

	_, err = run(t.Context(), &out, p)
	require.ErrorContains(t, err, "name an empty database")
}

// More logins than one client may have under way are all answered with 200 if each is a
// client of its own, and are not if they are one.
func TestRunApart(t *testing.T) {
	p := plan{
		dsn: mysqltest.Default(t).DSN(t), example: []string{"-no-limits", "-pool=10"}, apart: true,
		readers: 1, logins: 40 + runtime.NumCPU(), rounds: 1, idle: 200 * time.Millisecond, storm: 3 * time.Second,
	}
	r, err := run(t.Context(), t.Output(), p)
	require.NoError(t, err)
	assert.Positive(t, r.answers.ok)
	assert.Equal(t, answers{ok: r.answers.ok}, r.answers)

	p.dsn, p.apart, p.hasty = mysqltest.Default(t).DSN(t), false, true
	r, err = run(t.Context(), t.Output(), p)
	require.NoError(t, err)
	assert.Positive(t, r.answers.ok)
	assert.Positive(t, r.answers.busy)
	assert.Zero(t, r.answers.other)
}

func TestExampleThatDoesNotStart(t *testing.T) {
	p := plan{dsn: mysqltest.Default(t).DSN(t), example: []string{"-pool=many"}, readers: 1}
	_, err := run(t.Context(), t.Output(), p)
	require.ErrorContains(t, err, "the example does not start")
	require.ErrorContains(t, err, "-pool")
}

func TestMissed(t *testing.T) {
	good := func() result {
		return result{rates: []float64{0.1, 0.5, 9}, p99s: []float64{9, 4.9, 1}, before: 10 << 20, peak: 74<<20 - 1, answers: answers{ok: 1}}
	}
	r := good()
	assert.Empty(t, r.missed())
	for want, spoil := range map[string]func(*result){
		"the rate falls to 0.49":                             func(r *result) { r.rates[1] = 0.49 },
		"the p99 is 5.00 times":                              func(r *result) { r.p99s[1] = 5 },
		"the process grows by 64.0 MiB":                      func(r *result) { r.peak++ },
		"nobody logs in":                                     func(r *result) { r.answers.ok = 0 },
		"2 logins were answered in another way, such as 500": func(r *result) { r.answers.other, r.answers.example = 2, "500" },
		"the rate falls to 0.00":                             func(r *result) { r.rates = nil },
	} {
		r := good()
		spoil(&r)
		if missed := r.missed(); assert.Len(t, missed, 1, want) {
			assert.ErrorContains(t, missed[0], want)
		}
	}
}

func TestSample(t *testing.T) {
	var s sample
	assert.Equal(t, time.Duration(0), s.percentile(99))
	for i := range 200 {
		s.times = append(s.times, time.Duration(i+1))
	}
	s.over = 4 * time.Second
	assert.Equal(t, time.Duration(199), s.percentile(99))
	assert.Equal(t, time.Duration(101), s.percentile(50))
	assert.InDelta(t, 50, s.rate(), 1e-9)

	slow := sample{times: []time.Duration{300}, over: time.Second}
	assert.InDelta(t, 0.02, round{idle: s, beside: slow}.rate(), 1e-9)
	assert.InDelta(t, 300.0/199, round{idle: s, beside: slow}.p99(), 1e-9)
}

func TestMedian(t *testing.T) {
	assert.InDelta(t, 0, median(nil), 0)
	assert.InDelta(t, 2, median([]float64{3, 1, 2}), 0)
	assert.InDelta(t, 2.5, median([]float64{4, 1, 2, 3}), 0)
}
