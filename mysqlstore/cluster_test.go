package mysqlstore_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/mysqltest"
	"github.com/ostiary/auth/mysqlstore"
	"github.com/ostiary/auth/storetest"
)

// inGroup starts a server that takes itself for a member of a group in which every member
// takes writes, and which it has not joined: it waits for nobody. Where there is no MySQL,
// the test has nothing to look at.
func inGroup(t *testing.T, s *mysqltest.Server) *mysqltest.Server {
	t.Helper()
	return s.Private(t, "--plugin-load-add=group_replication.so", "--loose-group-replication-single-primary-mode=OFF")
}

func onMySQL(t *testing.T, f func(t *testing.T, s *mysqltest.Server)) {
	t.Helper()
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		if len(rowsOf(t, s.DB(t), "SHOW VARIABLES LIKE 'mysqlx_port'")) > 0 {
			f(t, inGroup(t, s))
		}
	})
}

// In a group every operation waits for the other members, on a connection that it gives
// back as it was.
func TestGroup(t *testing.T) {
	onMySQL(t, func(t *testing.T, s *mysqltest.Server) {
		storetest.Run(t, sharedHarness(s))
		for _, o := range operations() {
			t.Run(o.name, func(t *testing.T) {
				for _, own := range []string{"EVENTUAL", "AFTER"} {
					dsn := s.DSN(t)
					o.prepare(t, mysqltest.Open(t, dsn))
					var sent commands
					db := loneConnection(t, dsn, sent.record)
					mustExec(t, db, "SET SESSION group_replication_consistency = "+own)
					sent.take()
					require.NoError(t, o.run(t.Context(), mysqlstore.New(db, mysqlstore.Options{})))
					list := sent.take()
					if own == "EVENTUAL" && !slices.Contains([]string{"CreateUser", "UpdatePassword", "CreateSession alone"}, o.name) {
						require.Greater(t, len(list), 3)
						assert.Contains(t, list[len(list)-3], "'BEFORE'")
						assert.Contains(t, list[len(list)-1], "SET SESSION group_replication_consistency = @")
					}
					assert.Equal(t, [][]string{{own}}, rowsOf(t, db, "SELECT @@session.group_replication_consistency"))
				}
			})
		}
	})
}
