package mysqlstore_test

import (
	"slices"
	"testing"

	"github.com/DATA-DOG/go-sqlmock"
	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/mysqltest"
	"github.com/ostiary/auth/mysqlstore"
	"github.com/ostiary/auth/storetest"
)

// inGroup starts a server that takes itself for a member of a group in which every member
// takes writes, and which it has not joined: it waits for nobody. There is none where s is
// no MySQL.
func inGroup(t *testing.T, s *mysqltest.Server) (*mysqltest.Server, bool) {
	t.Helper()
	if len(rowsOf(t, s.DB(t), "SHOW VARIABLES LIKE 'mysqlx_port'")) == 0 {
		return nil, false
	}
	return s.Private(t, "--plugin-load-add=group_replication.so", "--loose-group-replication-single-primary-mode=OFF"), true
}

// waits says whether the operation waits until the server has caught up with its cluster.
func (o operation) waits() bool {
	return !slices.Contains([]string{"CreateUser", "UpdatePassword", "CreateSession alone"}, o.name)
}

// expectSearch expects a first call to ask what cluster there is, and answers Galera.
func expectSearch(mock sqlmock.Sqlmock) {
	mock.ExpectQuery("").WillReturnRows(sqlmock.NewRows([]string{"wait"}).AddRow("0"))
}

// The kind of cluster is asked for once there was an answer.
func TestSearchFailing(t *testing.T) {
	for _, c := range []struct {
		err         error
		unavailable bool
	}{{serverError(1047), true}, {mysql.ErrInvalidConn, true}, {serverError(1146), false}} {
		mock, store := mocked(t, mysqlstore.Options{})
		read := func() error {
			_, err := store.Stores().Users.UserByID(t.Context(), "1")
			return err
		}
		mock.ExpectQuery("").WillReturnError(c.err)
		assertFails(t, read(), c.err, c.unavailable)
		mock.ExpectQuery("").WillReturnError(serverError(1193))
		mock.ExpectQuery("").WillReturnError(c.err)
		assertFails(t, read(), c.err, c.unavailable)
		mock.ExpectQuery("").WillReturnError(serverError(1193))
		mock.ExpectQuery("").WillReturnError(serverError(1193))
		prepared := mock.ExpectPrepare("")
		for range 2 {
			prepared.ExpectQuery().WillReturnRows(sqlmock.NewRows(make([]string, 8)))
			require.ErrorIs(t, read(), auth.ErrUserNotFound)
		}
	}
}

// In a group every operation waits for the other members, on a connection that it gives
// back as it was.
func TestGroup(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		s, isMySQL := inGroup(t, server)
		if !isMySQL {
			return // of another kind of cluster
		}
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
					if own == "EVENTUAL" && o.waits() {
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
