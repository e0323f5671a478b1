package auth_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

func TestCheckAsksTheStores(t *testing.T) {
	w := onMemory(t, func(c *auth.Config) { c.HashCost = 7 })
	found, err := w.Check(t.Context())
	require.NoError(t, err)
	assert.Empty(t, found, "stores that have nothing to look at")

	finding := auth.Finding{Problem: "sql_mode is not strict", Mend: "set it to TRADITIONAL"}
	assert.Equal(t, "sql_mode is not strict: set it to TRADITIONAL", finding.String())
	fault := errors.New("gone away")
	w.stores.Check = func(ctx context.Context, hashCost int) ([]auth.Finding, error) {
		assert.Equal(t, t.Context(), ctx)
		assert.Equal(t, 7, hashCost)
		return []auth.Finding{finding}, fault
	}
	a := w.another(t, func(c *auth.Config) { c.HashCost = 7 })
	found, err = a.Check(t.Context())
	require.ErrorIs(t, err, fault)
	assert.Equal(t, []auth.Finding{finding}, found)
}
