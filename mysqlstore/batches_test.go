package mysqlstore_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/DATA-DOG/go-sqlmock"
	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/mysqltest"
	"github.com/ostiary/auth/mysqlstore"
)

// fill adds sessions of user 1, n in all that expire an hour before configNow, one second
// after the other backwards, and as many that expire an hour after it. Their IDs are in no order.
func fill(tb testing.TB, db *sql.DB, n int) {
	tb.Helper()
	const digits = "(SELECT 0 AS d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 " +
		"UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)"
	var numbers, joins []string
	for power, i := 1, 0; power < 2*n; power, i = power*10, i+1 {
		numbers = append(numbers, fmt.Sprintf("d%d.d * %d", i, power))
		joins = append(joins, fmt.Sprintf("%s d%d", digits, i))
	}
	mustExec(tb, db, "INSERT INTO refresh_tokens (id, user_id, auth_version, generation, rotated_by, retired, created_at, authenticated_at, "+
		"expires_at, max_expires_at, reason, ip, user_agent) "+
		"SELECT LEFT(UNHEX(SHA2(n, 256)), 16), 1, 1, 1, UNHEX(REPEAT('00', 16)), '', UTC_TIMESTAMP(6), '2036-05-01', "+
		"IF(n < "+fmt.Sprint(n)+", '2036-05-04 02:02:01' - INTERVAL n SECOND, '2036-05-04 04:02:01'), '2036-06-01', '', '', '' "+
		"FROM (SELECT "+strings.Join(numbers, " + ")+" AS n FROM "+strings.Join(joins, ", ")+") all_numbers WHERE n < "+fmt.Sprint(2*n))
}

// filled is a database with that many sessions of each kind, and its data source name.
func filled(t *testing.T, server *mysqltest.Server, n int) (string, *sql.DB, auth.RefreshStore) {
	t.Helper()
	dsn := server.DSN(t)
	db := mysqltest.Open(t, dsn)
	store := mysqlstore.New(db, mysqlstore.Options{})
	require.NoError(t, store.Migrate(t.Context()))
	_, err := store.Stores().Users.CreateUser(t.Context(), ann())
	require.NoError(t, err)
	fill(t, db, n)
	require.Equal(t, 2*n, count(t, db, "refresh_tokens"))
	return dsn, db, store.Stores().Refresh
}

// changesOf are the texts of these commands that change rows.
func changesOf(sent []string) []string {
	var list []string
	for _, text := range sent {
		text = strings.TrimPrefix(text, "query ")
		if strings.HasPrefix(text, "UPDATE ") || strings.HasPrefix(text, "DELETE ") {
			list = append(list, text)
		}
	}
	return list
}

// batched is an operation on sessions that goes batch by batch.
type batched struct {
	name string
	run  func(t *testing.T, r auth.RefreshStore) (done int, err error)
	all  bool // of the sessions that fill makes, not half of them

	// What the read finds its rows by, and its arguments.
	key       string
	arguments []string
}

func batchedOperations() []batched {
	return []batched{
		{"RevokeAllSessions", func(t *testing.T, r auth.RefreshStore) (int, error) {
			t.Helper()
			revoked, err := r.RevokeAllSessions(t.Context(), configNow(), auth.ReasonAll)
			return int(revoked), err
		}, true, "PRIMARY", []string{"''", "'2036-05-04'", "500"}},
		{"PurgeSessions", func(t *testing.T, r auth.RefreshStore) (all int, err error) {
			t.Helper()
			for {
				purged, err := r.PurgeSessions(t.Context(), configNow(), 5000)
				if err != nil || purged == 0 {
					return all, err
				}
				all += purged
			}
		}, false, "expires_at", []string{"'2036-05-04'", "500"}},
	}
}

// A statement that changes rows of many users names each row, at most 500, and finds it
// by its key; the read before it does not look at the whole table either.
func TestBatches(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		const n = 600
		for _, o := range batchedOperations() {
			t.Run(o.name, func(t *testing.T) {
				dsn, db, _ := filled(t, server, n)
				var sent commands
				done, err := o.run(t, mysqlstore.New(loneConnection(t, dsn, sent.record), mysqlstore.Options{}).Stores().Refresh)
				require.NoError(t, err)
				rows := []int{500, 100}
				if o.all {
					rows = []int{500, 500, 200}
					assert.Equal(t, 0, count(t, db, "refresh_tokens WHERE revoked_at IS NULL OR reason <> 'all'"))
				} else {
					assert.Equal(t, n, count(t, db, "refresh_tokens WHERE expires_at > '2036-05-04 03:02:01'"))
				}
				list := sent.take()
				changes := changesOf(list)
				require.Len(t, changes, len(rows))
				total := 0
				for i, text := range changes {
					assert.Equal(t, rows[i], strings.Count(text, "X'")-strings.Count(text, "_utf8mb4 X'"))
					total += rows[i]
				}
				assert.Equal(t, total, done)

				_, db, _ = filled(t, server, n)
				assertPlan(t, db, changes[0], "PRIMARY")
				read := ""
				for _, text := range list { // the last form of it, which the server has accepted
					if i := strings.Index(text, "SELECT id "); i >= 0 && strings.HasPrefix(text, "prepare ") {
						read = text[i:]
					}
				}
				for _, argument := range o.arguments {
					read = strings.Replace(read, "?", argument, 1)
				}
				assertPlan(t, db, read, o.key)
			})
		}
	})
}

// assertPlan asserts that the statement reads a range of that index.
func assertPlan(t *testing.T, db *sql.DB, statement, key string) {
	t.Helper()
	const explain = "EXPLAIN FORMAT=TRADITIONAL "
	names := columnsOf(t, db, explain+statement)
	plan := rowsOf(t, db, explain+statement)
	require.Len(t, plan, 1, "%v", plan)
	assert.Equal(t, "range", plan[0][slices.Index(names, "type")], "%v", plan)
	assert.Equal(t, key, plan[0][slices.Index(names, "key")], "%v", plan)
}

// A batch that comes into another's way is sent again, for some times. What was done
// before is counted in any case.
func TestBatchesAfterConflicts(t *testing.T) {
	for _, conflict := range conflicts() {
		mock, store := mocked(t, mysqlstore.Options{})
		expectSearch(mock)
		refresh := store.Stores().Refresh
		ids := func() *sqlmock.Rows { return sqlmock.NewRows([]string{"id"}).AddRow([]byte{1}).AddRow([]byte{2}) }
		read := mock.ExpectPrepare("")
		read.ExpectQuery().WillReturnRows(ids())
		mock.ExpectExec("").WillReturnError(conflict)
		mock.ExpectExec("").WillReturnResult(sqlmock.NewResult(0, 2))
		read.ExpectQuery().WillReturnRows(ids())
		for range 8 {
			mock.ExpectExec("").WillReturnError(conflict)
		}
		revoked, err := refresh.RevokeAllSessions(t.Context(), configNow(), auth.ReasonAll)
		assertFails(t, err, conflict, true)
		assert.Equal(t, int64(2), revoked)

		read = mock.ExpectPrepare("")
		read.ExpectQuery().WillReturnRows(ids())
		mock.ExpectBegin()
		mock.ExpectExec("").WillReturnError(conflict)
		mock.ExpectRollback()
		mock.ExpectBegin()
		mock.ExpectExec("").WillReturnResult(sqlmock.NewResult(0, 2))
		mock.ExpectCommit().WillReturnError(conflict)
		mock.ExpectBegin()
		mock.ExpectExec("").WillReturnResult(sqlmock.NewResult(0, 1))
		mock.ExpectCommit()
		purged, err := refresh.PurgeSessions(t.Context(), configNow(), 10)
		require.NoError(t, err)
		assert.Equal(t, 1, purged)
		read.ExpectQuery().WillReturnRows(ids())
		for range 8 {
			mock.ExpectBegin()
			mock.ExpectExec("").WillReturnError(conflict)
			mock.ExpectRollback()
		}
		purged, err = refresh.PurgeSessions(t.Context(), configNow(), 10)
		assertFails(t, err, conflict, true)
		assert.Equal(t, 0, purged)
	}
}

// Whatever statement fails otherwise, its error reaches the caller at once, and nothing is
// committed after it.
func TestEachStepOfABatchFailing(t *testing.T) {
	for _, c := range []struct {
		err         error
		unavailable bool
	}{{mysql.ErrInvalidConn, true}, {serverError(1047), true}, {serverError(1146), false}} {
		ids := func() *sqlmock.Rows { return sqlmock.NewRows([]string{"id"}).AddRow([]byte{1}) }
		mock, store := mocked(t, mysqlstore.Options{})
		expectSearch(mock)
		refresh := store.Stores().Refresh
		revoke := func() {
			t.Helper()
			revoked, err := refresh.RevokeAllSessions(t.Context(), configNow(), auth.ReasonAll)
			assertFails(t, err, c.err, c.unavailable)
			assert.Equal(t, int64(0), revoked)
		}
		read := mock.ExpectPrepare("")
		read.ExpectQuery().WillReturnError(c.err)
		revoke()
		read.ExpectQuery().WillReturnRows(ids())
		mock.ExpectExec("").WillReturnError(c.err)
		revoke()

		purge := func() {
			t.Helper()
			purged, err := refresh.PurgeSessions(t.Context(), configNow(), 10)
			assertFails(t, err, c.err, c.unavailable)
			assert.Equal(t, 0, purged)
		}
		read = mock.ExpectPrepare("")
		read.ExpectQuery().WillReturnError(c.err)
		purge()
		read.ExpectQuery().WillReturnRows(ids())
		mock.ExpectBegin().WillReturnError(c.err)
		purge()
		read.ExpectQuery().WillReturnRows(ids())
		mock.ExpectBegin()
		mock.ExpectExec("").WillReturnError(c.err)
		mock.ExpectRollback()
		purge()
		read.ExpectQuery().WillReturnRows(ids())
		mock.ExpectBegin()
		mock.ExpectExec("").WillReturnResult(sqlmock.NewResult(0, 1))
		mock.ExpectCommit().WillReturnError(c.err)
		purge()
	}
}
