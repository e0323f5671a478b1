package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAUC(t *testing.T) {
	for _, c := range []struct {
		first, second []time.Duration
		want          float64
		same          bool
	}{
		{[]time.Duration{1, 2, 3}, []time.Duration{4, 5}, 1, false},
		{[]time.Duration{4, 5}, []time.Duration{1, 2, 3}, 0, false},
		{[]time.Duration{1, 2, 3}, []time.Duration{1, 2, 3}, 0.5, true},
		{[]time.Duration{7}, []time.Duration{7}, 0.5, true},
		{[]time.Duration{1, 4}, []time.Duration{2, 3}, 0.5, true},
		{[]time.Duration{1, 2, 3}, []time.Duration{2, 3, 4}, 7.0 / 9, false},
	} {
		assert.InDelta(t, c.want, auc(c.first, c.second), 1e-9)
		var out strings.Builder
		assert.Equal(t, c.same, report(&out, c.first, c.second))
	}
}

func TestRun(t *testing.T) {
	var out strings.Builder
	_, err := run(t.Context(), &out, 3, 4)
	require.NoError(t, err)
	assert.Regexp(t, `(?s)^unknown address: median \S+ of 3\nwrong password:  median \S+ of 3\nAUC [01]\.\d\d \(chance is 0\.5; wanted 0\.4 to 0\.6\)\n$`, out.String())

	_, err = run(t.Context(), &out, 1, 31)
	require.Error(t, err)
}
