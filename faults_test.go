package auth_test

import (
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/DATA-DOG/go-sqlmock"
	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/mysqlstore"
)

// statement is one that a request sends: first prepared, then run.
type statement struct {
	sql      string         // a part of it
	columns  []driver.Value // of the row that it returns
	affected int64          // rows, where it returns none
	prepared bool           // by a statement before
	rereads  []driver.Value // the row that is read again if this one fails

	// instead is the status if this statement fails with a fault; 0: 500.
	instead int
}

func (s statement) isQuery() bool { return s.columns != nil }

// route is a request and what it sends to the database.
type route struct {
	name       string
	method     string
	path       string // {id} is the session's
	body       func(t *testing.T) string
	bearer     func(tokens auth.Tokens) string
	statements func(tokens auth.Tokens) []statement
	status     int // if nothing fails
}

// userRow is the user of a token, with a hash that wants a rehash.
func userRow() []driver.Value {
	const hash = "$2a$04$BKvIZDrOsOzOOQz7VlYb.evOCHucuW4vpDAfKlTo2efRkMDAgbCGy" // of the password
	return []driver.Value{"1", "Ann Lee", ann, ann, hash, int64(1), false, int64(0)}
}

// sessionRow is the session of a token at a generation, whose generations before it all
// retired an hour ago.
func sessionRow(tokens auth.Tokens, generation int64) []driver.Value {
	retired := binary.BigEndian.AppendUint64(nil, uint64(noon.Add(-time.Hour).UnixMicro()))
	end := noon.Add(24 * time.Hour).UnixMicro()
	return []driver.Value{ // in the order of the statement
		"0", "0", true,
		string(tokens.UserID), int64(1), generation, make([]byte, 16), slices.Repeat(retired, int(generation-1)),
		int64(0), int64(0), end, end, nil,
		"",
		[]byte{},
		"", noon.UnixMicro(), true,
	}
}

const (
	rotateSQL = "generation = s.generation + 1"
	readSQL   = "SELECT @@global.read_only"
	revokeSQL = "SET revoked_at"
)

func refreshToken(tokens auth.Tokens) string { return tokens.RefreshToken }
func accessToken(tokens auth.Tokens) string  { return tokens.AccessToken }

func routes() []route {
	return []route{
		{
			name: "signup", method: http.MethodPost, path: "/signup", status: http.StatusCreated,
			body: func(t *testing.T) string { t.Helper(); return signupBody(t, ann) },
			statements: func(auth.Tokens) []statement {
				return []statement{{sql: "INSERT INTO users", affected: 1}}
			},
		},
		{
			name: "login", method: http.MethodPost, path: "/login", status: http.StatusOK,
			body: func(t *testing.T) string { t.Helper(); return loginBody(t, ann) },
			statements: func(auth.Tokens) []statement {
				return []statement{
					{sql: "WHERE email_key = ?", columns: userRow()},
					{sql: "SET password", affected: 1, instead: http.StatusOK},
					{sql: "INSERT INTO refresh_tokens", affected: 1},
				}
			},
		},
		{
			name: "profile", method: http.MethodGet, path: "/profile", status: http.StatusOK, bearer: accessToken,
			statements: func(auth.Tokens) []statement {
				return []statement{{sql: "WHERE id = ?", columns: userRow()}}
			},
		},
		{
			name: "live", method: http.MethodGet, path: "/live", status: http.StatusOK, bearer: accessToken,
			statements: func(tokens auth.Tokens) []statement {
				return []statement{{sql: readSQL, columns: sessionRow(tokens, 2)}}
			},
		},
		{
			name: "refresh", method: http.MethodPost, path: "/refresh", status: http.StatusOK, bearer: refreshToken,
			statements: func(auth.Tokens) []statement {
				return []statement{{sql: rotateSQL, affected: 1}}
			},
		},
		{
			name: "refresh by GET", method: http.MethodGet, path: "/refresh", status: http.StatusOK, bearer: refreshToken,
			statements: func(auth.Tokens) []statement {
				return []statement{{sql: rotateSQL, affected: 1}}
			},
		},
		{
			name: "reuse", method: http.MethodPost, path: "/refresh", status: http.StatusUnauthorized, bearer: refreshToken,
			statements: func(tokens auth.Tokens) []statement {
				return []statement{
					{sql: rotateSQL},
					{sql: readSQL, columns: sessionRow(tokens, 3)},
					{sql: revokeSQL, affected: 1, instead: http.StatusServiceUnavailable},
				}
			},
		},
		{
			name: "recovery", method: http.MethodPost, path: "/refresh", status: http.StatusOK, bearer: refreshToken,
			statements: func(tokens auth.Tokens) []statement {
				return []statement{
					{sql: rotateSQL},
					{sql: readSQL, columns: sessionRow(tokens, 1)},
					{sql: "s.generation < ?", affected: 1},
				}
			},
		},
		{
			name: "logout", method: http.MethodPost, path: "/logout", status: http.StatusOK, bearer: refreshToken,
			statements: func(auth.Tokens) []statement {
				return []statement{{sql: revokeSQL, affected: 1, instead: http.StatusServiceUnavailable}}
			},
		},
		{
			name: "logout everywhere", method: http.MethodPost, path: "/logout/all", status: http.StatusOK, bearer: accessToken,
			statements: func(tokens auth.Tokens) []statement {
				return []statement{
					{sql: readSQL, columns: sessionRow(tokens, 2)},
					{sql: revokeSQL, affected: 1, instead: http.StatusServiceUnavailable},
				}
			},
		},
		{
			name: "sessions", method: http.MethodGet, path: "/sessions", status: http.StatusOK, bearer: accessToken,
			statements: func(tokens auth.Tokens) []statement {
				return []statement{
					{sql: readSQL, columns: sessionRow(tokens, 2)},
					{sql: "ORDER BY s.created_at DESC", columns: sessionRow(tokens, 2)},
				}
			},
		},
		{
			name: "revoke session", method: http.MethodDelete, path: "/sessions/{id}", status: http.StatusOK, bearer: accessToken,
			statements: func(tokens auth.Tokens) []statement {
				return []statement{
					{sql: readSQL, columns: sessionRow(tokens, 2)},
					{sql: readSQL, columns: sessionRow(tokens, 2), prepared: true},
					{sql: revokeSQL, affected: 1, instead: http.StatusServiceUnavailable},
				}
			},
		},
		{
			name: "reauthentication", method: http.MethodPost, path: "/reauth", status: http.StatusOK, bearer: accessToken,
			body: func(t *testing.T) string { t.Helper(); return object(t, "password", password) },
			statements: func(tokens auth.Tokens) []statement {
				return []statement{
					{sql: readSQL, columns: sessionRow(tokens, 2)},
					{sql: "WHERE id = ?", columns: userRow()},
					{sql: "SET password", affected: 1, instead: http.StatusOK},
					{sql: readSQL, columns: sessionRow(tokens, 2)},
					{sql: rotateSQL, affected: 1, rereads: sessionRow(tokens, 2)},
				}
			},
		},
	}
}

// expect has the mock carry the statement out, up to the stage that is to fail.
func (s statement) expect(mock sqlmock.Sqlmock, failing stage, fault error) {
	often := 30 // more than anything is repeated
	if s.instead == http.StatusOK {
		often = 1
	}
	if failing != nothing && s.rereads != nil {
		mock.MatchExpectationsInOrder(false)
		defer func() {
			for range often {
				mock.ExpectQuery(readSQL).WillReturnRows(statement{columns: s.rereads}.rows())
			}
		}()
	}
	switch failing {
	case preparing:
		for range often {
			mock.ExpectPrepare(s.sql).WillReturnError(fault)
		}
		return
	case running:
		s.expectPrepare(mock)
		for range often {
			if s.isQuery() {
				mock.ExpectQuery(s.sql).WillReturnError(fault)
			} else {
				mock.ExpectExec(s.sql).WillReturnError(fault)
			}
		}
		return
	case reading:
		s.expectPrepare(mock)
		for range often {
			mock.ExpectQuery(s.sql).WillReturnRows(s.rows().RowError(0, fault))
		}
		return
	case nothing:
	}
	s.expectPrepare(mock)
	if s.isQuery() {
		mock.ExpectQuery(s.sql).WillReturnRows(s.rows())
	} else {
		mock.ExpectExec(s.sql).WillReturnResult(sqlmock.NewResult(1, s.affected))
	}
}

func (s statement) expectPrepare(mock sqlmock.Sqlmock) {
	if !s.prepared {
		mock.ExpectPrepare(s.sql)
	}
}

func (s statement) rows() *sqlmock.Rows {
	return sqlmock.NewRows(make([]string, len(s.columns))).AddRow(s.columns...)
}

// stage is of a statement's life.
type stage string

const (
	nothing   stage = "nothing"
	preparing stage = "preparing"
	running   stage = "running"
	reading   stage = "reading the row"
)

var faults = []struct {
	name   string
	err    error
	status int
}{
	{"unknown column", &mysql.MySQLError{Number: 1054, Message: "Unknown column 'x' in 'field list': the cause"}, http.StatusInternalServerError},
	{"no such table", &mysql.MySQLError{Number: 1146, Message: "Table 'db.users' doesn't exist: the cause"}, http.StatusInternalServerError},
	{"deadlock", &mysql.MySQLError{Number: 1213, Message: "Deadlock found when trying to get lock: the cause"}, http.StatusServiceUnavailable},
	{"read-only", &mysql.MySQLError{Number: 1290, Message: "The MariaDB server is running with --read-only: the cause"}, http.StatusServiceUnavailable},
	{"lost connection", fmt.Errorf("the cause: %w", mysql.ErrInvalidConn), http.StatusServiceUnavailable},
}

// Each statement of each route fails, at each of its stages: the answer is 500 or 503
// without a word of SQL, the cause is in the log, and no other statement is sent.
//
// ASVS: 16.3.4, 16.5.1.
// Advisory: CVE-2020-15223.
func TestEachStatementFails(t *testing.T) {
	for _, r := range routes() {
		t.Run(r.name, func(t *testing.T) {
			w := onMemory(t)
			w.signUp(t, ann)
			tokens := w.refresh(t, w.logIn(t, ann).RefreshToken) // generation 2
			statements := r.statements(tokens)
			for _, edit := range []func(*auth.Config){cost(5), tutorialMode} {
				r.run(t, tokens, len(statements), nothing, nil, r.status, edit)
				for i, s := range statements {
					stages := []stage{running}
					if !s.prepared {
						stages = append(stages, preparing)
					}
					if s.isQuery() {
						stages = append(stages, reading)
					}
					for _, p := range stages {
						for _, f := range faults {
							status := f.status
							if s.instead != 0 {
								status = s.instead
							}
							r.run(t, tokens, i, p, f.err, status, edit)
						}
					}
				}
			}
		})
	}
}

var faultCodes = map[int]string{http.StatusInternalServerError: "internal", http.StatusServiceUnavailable: "unavailable"}

// run sends the request; of its statements the one with this number fails.
func (r route) run(t *testing.T, tokens auth.Tokens, number int, p stage, fault error, status int, edit func(*auth.Config)) {
	t.Helper()
	contains := sqlmock.QueryMatcherFunc(func(expected, actual string) error {
		if !strings.Contains(actual, expected) {
			return fmt.Errorf("another statement was expected than %s", actual)
		}
		return nil
	})
	db, mock, err := sqlmock.New(sqlmock.QueryMatcherOption(contains))
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	if r.name != "signup" { // every other route asks first what cluster there is
		mock.ExpectQuery("wsrep_sync_wait").WillReturnRows(sqlmock.NewRows([]string{"wait"}).AddRow("0"))
	}
	statements := r.statements(tokens)
	for i, s := range statements {
		if i != number {
			s.expect(mock, nothing, nil)
			continue
		}
		s.expect(mock, p, fault)
		if s.instead != http.StatusOK {
			break // what is sent after it is not expected
		}
	}
	log := &safeBuffer{}
	a, err := auth.New(mysqlstore.New(db, mysqlstore.Options{}).Stores(), config(&clock{frozen: noon}, log, cost(5), noLimits, edit))
	require.NoError(t, err)
	at := fmt.Sprintf("%s: statement %d, %s, %v", r.name, number, p, fault)
	got := r.send(t, a, tokens)
	assert.Equal(t, status, got.status, at)
	assert.NotContains(t, log.String(), "expected", at)
	assert.Equal(t, fault != nil, strings.Contains(log.String(), "the cause"), at)
	if status < http.StatusInternalServerError {
		return
	}
	assert.NotContains(t, got.body, "cause", at)
	assert.Contains(t, []string{
		fmt.Sprintf(`{"status":%d,"code":%q,"message":%q}`, status, faultCodes[status], http.StatusText(status)),
		fmt.Sprintf(`{"status":%d,"message":%q}`, status, http.StatusText(status)),
	}, got.body, at)
	assert.Contains(t, log.String(), "level=ERROR", at)
}

func (r route) send(t *testing.T, a *auth.Authenticator, tokens auth.Tokens) reply {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/", a.Handler(""))
	mux.Handle("GET /live", a.RequireWith(auth.Requirement{Live: true})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(fromHost, "yes")
	})))
	body := ""
	if r.body != nil {
		body = r.body(t)
	}
	request := newRequest(t, r.method, "http://example.com"+strings.Replace(r.path, "{id}", tokens.SessionID.String(), 1), body)
	if r.bearer != nil {
		request.Header.Set("Authorization", "Bearer "+r.bearer(tokens))
	}
	return direct(t, mux, request)
}
