//go:build cluster

package cluster_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/mysqlstore"
)

// Instances at two and at three nodes make the tables at once: each succeeds, and a user
// can sign up and log in at each node right then.
func TestMigrateAtOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cluster) {
		const rounds = 10
		for round := range rounds {
			database := c.database(t)
			nodes := 2 + round%2
			stores := make([]*mysqlstore.Store, nodes)
			start := make(chan struct{})
			var wg sync.WaitGroup
			for i := range stores {
				stores[i] = mysqlstore.New(c.pool(t, i, database), mysqlstore.Options{})
				wg.Go(func() {
					<-start
					assert.NoError(t, stores[i].Migrate(t.Context()), "round %d, node %d", round, i+1)
				})
			}
			close(start)
			wg.Wait()
			if t.Failed() {
				return
			}
			for i, s := range stores {
				a := authenticator(t, s.Stores())
				address := string(rune('a'+i)) + "@example.com"
				_, err := a.Signup(t.Context(), auth.SignupInput{Name: "Ann Lee", Email: address, Password: password})
				require.NoError(t, err)
				_, err = a.Login(t.Context(), auth.LoginInput{Email: address, Password: password})
				require.NoError(t, err)
			}
		}
	})
}
