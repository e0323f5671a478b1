package mysqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
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

func serverError(number uint16) error {
	return &mysql.MySQLError{Number: number, Message: "vttablet: the server's words"}
}

// conflicts are the refusals after which nothing of a transaction is left.
func conflicts() []error {
	var list []error
	for _, n := range []uint16{1213, 1205, 1020, 3101, 1180, 3572} {
		list = append(list, serverError(n))
	}
	return list
}

// outages are the failures after which a later try may succeed.
func outages() []error {
	list := []error{
		driver.ErrBadConn, mysql.ErrInvalidConn, mysql.ErrMalformPkt, mysql.ErrPktSync, mysql.ErrPktSyncMul, mysql.ErrBusyBuffer, sql.ErrConnDone, io.EOF, io.ErrUnexpectedEOF,
		context.Canceled, context.DeadlineExceeded,
		&net.OpError{Op: "dial", Err: errors.New("connection refused")},
		&net.DNSError{Err: "no such host", IsTemporary: true},
	}
	for _, n := range []uint16{1047, 1053, 1290, 1792, 1836, 2006, 2013, 1040, 1203, 1226, 3024, 1969, 1317, 1927, 3169, 4031, 3032, 3100, 3796, 3797, 3798, 3799} {
		list = append(list, serverError(n))
	}
	return list
}

// faults are failures that a later try meets again.
func faults() []error {
	list := []error{errors.New("the host's"), sql.ErrNoRows, mysql.ErrPktTooLarge}
	for _, n := range []uint16{1045, 1048, 1054, 1064, 1146, 1364, 1366, 1406, 1452, 3819} {
		list = append(list, serverError(n))
	}
	return list
}

// A hook's error goes through the translation of every error.
func TestErrorsAreTranslated(t *testing.T) {
	var give error
	calls := 0
	db, users := notes(t, mysqltest.Default(t), func(context.Context, *sql.Tx, auth.UserID) error {
		calls++
		return fmt.Errorf("the host's words: %w", give)
	})
	check := func(list []error, unavailable bool, wantCalls int) {
		for _, give = range list {
			calls = 0
			id, err := users.CreateUser(t.Context(), ann())
			require.ErrorIs(t, err, give)
			assert.Empty(t, id)
			assert.Equal(t, unavailable, errors.Is(err, auth.ErrUnavailable), "%v", give)
			assert.Equal(t, wantCalls, calls, "%v", give)
			assert.True(t, strings.HasPrefix(err.Error(), "mysqlstore: "), err.Error())
			assert.Equal(t, 0, count(t, db, "users"), "%v", give)
			if want, ok := errors.AsType[*mysql.MySQLError](give); ok {
				got, ok := errors.AsType[*mysql.MySQLError](err)
				require.True(t, ok)
				assert.Equal(t, want, got)
			}
		}
	}
	check(conflicts(), true, 8)
	check(outages(), true, 1)
	check(faults(), false, 1)
}

// mocked is a store on a driver that answers as it is told, in that order.
func mocked(t *testing.T, o mysqlstore.Options) (sqlmock.Sqlmock, *mysqlstore.Store) {
	t.Helper()
	anything := sqlmock.QueryMatcherFunc(func(string, string) error { return nil })
	db, mock, err := sqlmock.New(sqlmock.QueryMatcherOption(anything))
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, mock.ExpectationsWereMet())
		mock.ExpectClose()
		require.NoError(t, db.Close())
	})
	return mock, mysqlstore.New(db, o)
}

// Whatever statement fails, and in whichever way, its error reaches the caller, and it is
// not tried again: only CreateUser and revocations try a mere conflict again.
func TestEachStatementFailing(t *testing.T) {
	for _, o := range operations() {
		for _, c := range []struct {
			err         error
			unavailable bool
		}{
			{serverError(1213), true},
			{serverError(1047), true},
			{serverError(1146), false},
			{mysql.ErrInvalidConn, true},
			{io.ErrUnexpectedEOF, true},
		} {
			t.Run(fmt.Sprint(o.name, " ", c.err), func(t *testing.T) {
				mock, store := mocked(t, mysqlstore.Options{})
				if o.waits() {
					expectSearch(mock)
				}
				if errors.Is(c.err, serverError(1146)) {
					mock.ExpectPrepare("").WillReturnError(c.err)
					assertFails(t, o.run(t.Context(), store), c.err, c.unavailable)
				}
				prepared := mock.ExpectPrepare("")
				tries := 1
				if (o.name == "CreateUser" || strings.HasPrefix(o.name, "Revoke")) && errors.Is(c.err, serverError(1213)) {
					tries = 8
				}
				for range tries {
					if o.isRead() {
						prepared.ExpectQuery().WillReturnError(c.err)
					} else {
						prepared.ExpectExec().WillReturnError(c.err)
					}
				}
				assertFails(t, o.run(t.Context(), store), c.err, c.unavailable)
			})
		}
	}
}

func assertFails(t *testing.T, err, cause error, unavailable bool) {
	t.Helper()
	require.ErrorIs(t, err, cause)
	assert.Equal(t, unavailable, errors.Is(err, auth.ErrUnavailable))
	require.NotErrorIs(t, err, auth.ErrUserNotFound)
	require.NotErrorIs(t, err, auth.ErrSessionNotFound)
	require.NotErrorIs(t, err, auth.ErrUserChanged)
	require.NotErrorIs(t, err, auth.ErrEmailTaken)
}

// A result that breaks off, or a row that is not what the table should hold, is an error
// and no row.
func TestBrokenResults(t *testing.T) {
	for _, o := range operations() {
		if !o.isRead() {
			continue
		}
		mock, store := mocked(t, mysqlstore.Options{})
		expectSearch(mock)
		prepared := mock.ExpectPrepare("")
		prepared.ExpectQuery().WillReturnRows(sqlmock.NewRows([]string{"a"}).AddRow("x"))
		require.Error(t, o.run(t.Context(), store), o.name)
		prepared.ExpectQuery().WillReturnRows(sqlmock.NewRows([]string{"a"}).AddRow("x").RowError(0, mysql.ErrInvalidConn))
		require.ErrorIs(t, o.run(t.Context(), store), auth.ErrUnavailable, o.name)
	}
}

// A sign-up with a hook never commits after an error.
func TestEachStepOfASignUpFailing(t *testing.T) {
	signUp := func(store *mysqlstore.Store) error {
		_, err := store.Stores().Users.CreateUser(t.Context(), ann())
		return err
	}
	for _, c := range []struct {
		err         error
		unavailable bool
	}{{mysql.ErrInvalidConn, true}, {serverError(1047), true}, {serverError(1406), false}} {
		t.Run("begin", func(t *testing.T) {
			mock, store := mocked(t, mysqlstore.Options{AfterCreate: nothing})
			mock.ExpectPrepare("")
			mock.ExpectBegin().WillReturnError(c.err)
			assertFails(t, signUp(store), c.err, c.unavailable)
		})
		t.Run("insert", func(t *testing.T) {
			mock, store := mocked(t, mysqlstore.Options{AfterCreate: func(context.Context, *sql.Tx, auth.UserID) error {
				t.Error("the hook runs although there is no user")
				return nil
			}})
			prepared := mock.ExpectPrepare("")
			mock.ExpectBegin()
			prepared.ExpectExec().WillReturnError(c.err)
			mock.ExpectRollback()
			assertFails(t, signUp(store), c.err, c.unavailable)
		})
		t.Run("hook", func(t *testing.T) {
			mock, store := mocked(t, mysqlstore.Options{AfterCreate: func(context.Context, *sql.Tx, auth.UserID) error { return c.err }})
			prepared := mock.ExpectPrepare("")
			mock.ExpectBegin()
			prepared.ExpectExec().WillReturnResult(sqlmock.NewResult(7, 1))
			mock.ExpectRollback()
			assertFails(t, signUp(store), c.err, c.unavailable)
		})
		t.Run("commit", func(t *testing.T) {
			mock, store := mocked(t, mysqlstore.Options{AfterCreate: nothing})
			prepared := mock.ExpectPrepare("")
			mock.ExpectBegin()
			prepared.ExpectExec().WillReturnResult(sqlmock.NewResult(7, 1))
			mock.ExpectCommit().WillReturnError(c.err)
			assertFails(t, signUp(store), c.err, c.unavailable)
		})
	}
}

// After a conflict, at the insert or at the commit of a cluster, the sign-up starts anew
// in another transaction.
func TestSignUpStartsAnewAfterAConflict(t *testing.T) {
	for _, conflict := range conflicts() {
		hooks := 0
		mock, store := mocked(t, mysqlstore.Options{AfterCreate: func(context.Context, *sql.Tx, auth.UserID) error { hooks++; return nil }})
		prepared := mock.ExpectPrepare("")
		mock.ExpectBegin()
		prepared.ExpectExec().WillReturnError(conflict)
		mock.ExpectRollback()
		mock.ExpectBegin()
		prepared.ExpectExec().WillReturnResult(sqlmock.NewResult(7, 1))
		mock.ExpectCommit().WillReturnError(conflict)
		mock.ExpectBegin()
		prepared.ExpectExec().WillReturnResult(sqlmock.NewResult(8, 1))
		mock.ExpectCommit()
		id, err := store.Stores().Users.CreateUser(t.Context(), ann())
		require.NoError(t, err)
		assert.Equal(t, auth.UserID("8"), id)
		assert.Equal(t, 2, hooks)
	}
}

// The name of the index decides, however a server, a proxy or a language puts it.
func TestDuplicates(t *testing.T) {
	for message, taken := range map[string]bool{
		"Duplicate entry 'a@b.c' for key 'email_key'":                                     true,
		"Duplicate entry 'a@b.c' for key 'users.email_key'":                               true,
		"target: auth.0.primary: vttablet: Duplicate entry 'x' for key 'users.email_key'": true,
		"Doppelter Eintrag 'it''s 'so'' für Schlüssel 'auth.users.email_key'":             true,
		"Duplicate entry 'email_key' for key 'users.PRIMARY'":                             false,
		"Duplicate entry 'email_key' for key 'PRIMARY'":                                   false,
		"Duplicate entry 'x' for key 'users.other_email_key'":                             false,
		"email_key": false,
		"":          false,
	} {
		mock, store := mocked(t, mysqlstore.Options{})
		mock.ExpectPrepare("").ExpectExec().WillReturnError(&mysql.MySQLError{Number: 1062, Message: message})
		_, err := store.Stores().Users.CreateUser(t.Context(), ann())
		require.Error(t, err)
		assert.Equal(t, taken, errors.Is(err, auth.ErrEmailTaken), message)
		assert.False(t, errors.Is(err, auth.ErrUnavailable))
	}
}

// What the server wants prepared anew is prepared once more, and what it then has no
// room for is sent as text. Further failures are the caller's.
func TestPreparedAnewOnce(t *testing.T) {
	for _, number := range []uint16{1243, 1615} {
		mock, store := mocked(t, mysqlstore.Options{})
		expectSearch(mock)
		prepared := mock.ExpectPrepare("")
		prepared.ExpectExec().WillReturnError(serverError(number))
		mock.ExpectExec("").WithArgs(sqlmock.AnyArg(), sqlmock.AnyArg(), sqlmock.AnyArg()).WillReturnError(serverError(number))
		err := store.Stores().Refresh.RevokeSession(t.Context(), auth.SessionID{}, "1", "x")
		require.ErrorIs(t, err, serverError(number))

		prepared.ExpectExec().WillReturnError(serverError(number))
		mock.ExpectExec("").WithArgs(sqlmock.AnyArg(), sqlmock.AnyArg(), sqlmock.AnyArg()).WillReturnError(serverError(1461))
		mock.ExpectExec("").WithoutArgs().WillReturnResult(sqlmock.NewResult(0, 1))
		require.NoError(t, store.Stores().Refresh.RevokeSession(t.Context(), auth.SessionID{}, "1", "x"))
	}
}

// lost runs f on a store whose connections break when the reply to the first command of
// this kind, 0x17 for a prepared statement, is under way. The server has carried it out.
func lost(t *testing.T, dsn, command string, o mysqlstore.Options, f func(s *mysqlstore.Store) error) {
	t.Helper()
	db := loneConnection(t, dsn, func(_ int, packet []byte) fate {
		if strings.HasPrefix(string(packet), command) {
			return cutAnswered
		}
		return pass
	})
	err := f(mysqlstore.New(db, o))
	require.ErrorIs(t, err, auth.ErrUnavailable)
	require.ErrorIs(t, err, mysql.ErrInvalidConn)
}

// A lost reply is no proof that nothing was written, so nothing is sent twice.
func TestLostReplies(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		dsn := server.DSN(t)
		db := mysqltest.Open(t, dsn)
		store := mysqlstore.New(db, mysqlstore.Options{})
		require.NoError(t, store.Migrate(t.Context()))
		refresh := store.Stores().Refresh

		lost(t, dsn, "\x17", mysqlstore.Options{}, func(s *mysqlstore.Store) error {
			_, err := s.Stores().Users.CreateUser(t.Context(), ann())
			return err
		})
		assert.Equal(t, 1, count(t, db, "users"))

		bob := ann()
		bob.EmailKey = "bob"
		lost(t, dsn, "\x03COMMIT", mysqlstore.Options{AfterCreate: nothing}, func(s *mysqlstore.Store) error {
			_, err := s.Stores().Users.CreateUser(t.Context(), bob)
			return err
		})
		assert.Equal(t, 2, count(t, db, "users"))

		session := newSession(1, "1")
		lost(t, dsn, "\x17", mysqlstore.Options{}, func(s *mysqlstore.Store) error {
			return s.Stores().Refresh.CreateSession(t.Context(), session, 1)
		})
		require.NoError(t, refresh.CreateSession(t.Context(), session, 1), "it may be repeated")
		assert.Equal(t, 1, count(t, db, "refresh_tokens"))

		rotation := rotationOf(session, 1)
		lost(t, dsn, "\x17", mysqlstore.Options{}, func(s *mysqlstore.Store) error {
			_, err := s.Stores().Refresh.RotateSession(t.Context(), rotation)
			return err
		})
		rotated, err := refresh.RotateSession(t.Context(), rotation)
		require.NoError(t, err)
		assert.False(t, rotated)
		st, err := refresh.ReadSession(t.Context(), session.ID)
		require.NoError(t, err)
		assert.Equal(t, int64(2), st.Generation)
		assert.Equal(t, rotation.Attempt, st.RotatedBy, "the caller sees that it was its own")
	})
}

// Connections that died in the pool are replaced without an error.
func TestDeadConnections(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		dsn := server.DSN(t)
		admin, db := mysqltest.Open(t, dsn), quiet(t, dsn)
		store := mysqlstore.New(db, mysqlstore.Options{})
		require.NoError(t, store.Migrate(t.Context()))
		db.SetMaxOpenConns(1)
		for i := range 3 {
			u := ann()
			u.EmailKey = fmt.Sprint(i)
			_, err := store.Stores().Users.CreateUser(t.Context(), u)
			require.NoError(t, err)
			id := rowsOf(t, db, "SELECT CONNECTION_ID()")[0][0]
			mustExec(t, admin, "KILL "+id)
			require.Eventually(t, func() bool {
				_, err := admin.ExecContext(t.Context(), "KILL "+id)
				return err != nil // no such connection
			}, eventually, tick)
		}
		require.NoError(t, db.PingContext(t.Context()))
	})
}

// A server that is killed makes everything unavailable; when it is back, the same store
// goes on.
func TestServerKilled(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, server *mysqltest.Server) {
		private := server.Private(t)
		dsn := private.DSN(t)
		admin := mysqltest.Open(t, dsn)
		operations()[0].prepare(t, admin)
		require.NoError(t, admin.Close())
		store := mysqlstore.New(quiet(t, dsn), mysqlstore.Options{})
		user := func() error {
			_, err := store.Stores().Users.UserByID(t.Context(), "1")
			return err
		}
		require.NoError(t, user())
		private.Kill(t)
		for _, o := range operations() {
			require.ErrorIs(t, o.run(t.Context(), store), auth.ErrUnavailable, o.name)
		}
		private.Restart(t)
		require.NoError(t, user())
	})
}

func TestClosedPool(t *testing.T) {
	db, store := migrated(t, mysqltest.Default(t))
	require.NoError(t, db.Close())
	for _, o := range operations() {
		require.ErrorIs(t, o.run(t.Context(), store), auth.ErrUnavailable, o.name)
	}
	require.ErrorIs(t, store.Migrate(t.Context()), auth.ErrUnavailable)
	_, err := store.Check(t.Context(), auth.CheckInput{})
	require.ErrorIs(t, err, auth.ErrUnavailable)
}

// A context that is done before the call has nothing done.
func TestContextDone(t *testing.T) {
	for _, o := range operations() {
		db := mysqltest.Default(t).DB(t)
		o.prepare(t, db)
		before := dumpOf(t, db)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := o.run(ctx, mysqlstore.New(db, mysqlstore.Options{}))
		require.ErrorIs(t, err, auth.ErrUnavailable, o.name)
		require.ErrorIs(t, err, context.Canceled, o.name)
		assert.Equal(t, before, dumpOf(t, db), o.name)
	}
}
