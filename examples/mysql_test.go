package examples_test

import (
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/mysqltest"
)

// keys are variables with secrets of the test's own.
var keys = []string{
	"ACCESS_TOKEN_SECRET=an access secret of tests, 32 bytes and more",
	"REF_TOKEN_SECRET=a refresh secret of tests, 32 bytes and more",
}

// database is a data source name as the variables of the tutorial's .env.
func database(t *testing.T, dsn string) []string {
	t.Helper()
	cfg, err := mysql.ParseDSN(dsn)
	require.NoError(t, err)
	host, port, err := net.SplitHostPort(cfg.Addr)
	require.NoError(t, err)
	return []string{"DB_HOST=" + host, "DB_PORT=" + port, "DB_USER=" + cfg.User, "DB_PASSWORD=" + cfg.Passwd, "DB_NAME=" + cfg.DBName}
}

// TestParallelRefreshes has two processes on one database answer 50 uses of one token at
// once, five times over, each time with the same successor.
func TestParallelRefreshes(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		dsn := s.DSN(t)
		_, one := serve(t, keys, "mysql", "-cost", "10", "-dsn", dsn)
		_, two := serve(t, append(database(t, dsn), keys...), "mysql", "-cost", "10")

		do(t, http.StatusCreated, "POST", one+"/api/signup", "", ann)
		token := do(t, http.StatusOK, "POST", two+"/api/login", "", annLogin).str("refresh_token")
		require.Equal(t, 1, claims(t, token).Gen)
		for round := range 5 {
			answers := make([]answer, 50)
			errs := make([]error, len(answers))
			var wg sync.WaitGroup
			for i := range answers {
				wg.Go(func() {
					url := []string{one, two}[i%2]
					answers[i], errs[i] = try(t.Context(), "POST", url+"/api/refresh", token, "")
				})
			}
			wg.Wait()
			successors := map[string]bool{}
			for i, a := range answers {
				require.NoError(t, errs[i])
				require.Equal(t, http.StatusOK, a.status, a.text)
				successors[a.str("refresh_token")] = true
				do(t, http.StatusOK, "GET", one+"/api/profile", a.str("access_token"), "")
			}
			require.Len(t, successors, 1)
			for successor := range successors {
				token = successor
			}
			require.Equal(t, round+2, claims(t, token).Gen)
		}
		var rows, generation int
		db := mysqltest.Open(t, dsn)
		require.NoError(t, db.QueryRowContext(t.Context(), "SELECT COUNT(*), MAX(generation) FROM refresh_tokens").Scan(&rows, &generation))
		assert.Equal(t, []int{1, 6}, []int{rows, generation})
	})
}

func TestFourLoginsInOneSecond(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		_, url := serve(t, keys, "mysql", "-cost", "10", "-dsn", s.DSN(t))
		do(t, http.StatusCreated, "POST", url+"/api/signup", "", ann)
		sessions, tokens := map[string]bool{}, map[string]bool{}
		for try := 1; ; try++ {
			seconds := map[int64]bool{}
			for range 4 {
				token := do(t, http.StatusOK, "POST", url+"/api/login", "", annLogin).str("refresh_token")
				c := claims(t, token)
				tokens[token], sessions[c.SID], seconds[c.AuthTime] = true, true, true
			}
			require.Len(t, sessions, 4*try)
			if len(seconds) == 1 {
				break
			}
			require.Less(t, try, 20, "four logins never fell into one second")
		}
		for token := range tokens {
			next := do(t, http.StatusOK, "POST", url+"/api/refresh", token, "").str("refresh_token")
			assert.Equal(t, 2, claims(t, next).Gen)
		}
	})
}

func TestMySQLDrains(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			p, url := serve(t, keys, "mysql", "-cost", "13", "-dsn", mysqltest.Default(t).DSN(t))
			drains(t, p, url, sig)
		})
	}
}

// TestDotEnv starts the tutorial's .env, changed as its comments say, and then as a person
// may mend it.
func TestDotEnv(t *testing.T) {
	dsn := mysqltest.Default(t).DSN(t)
	published, err := os.ReadFile(filepath.Join("mysql", "testdata", "tutorial.env"))
	require.NoError(t, err)
	cfg, err := mysql.ParseDSN(dsn)
	require.NoError(t, err)
	host, port, err := net.SplitHostPort(cfg.Addr)
	require.NoError(t, err)
	text := strings.NewReplacer("localhost", host, "node_api", cfg.DBName).Replace(string(published))
	text = strings.TrimSuffix(text, "\n")
	require.True(t, strings.HasSuffix(text, "DB_PASSWORD= #add your DB password here"))
	portOnly := []string{"DB_PORT=" + port}
	if cfg.User != "root" || cfg.Passwd != "" {
		portOnly = append(portOnly, "DB_USER="+cfg.User, "DB_PASSWORD="+cfg.Passwd) // a server of someone else's
	}
	file := filepath.Join(t.TempDir(), "settings")
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }

	write(text)
	code, out := finish(t, command(t, portOnly, "mysql", "-env", file))
	assert.Equal(t, 1, code)
	assert.Contains(t, out, "a secret that the tutorial published")
	assert.NotContains(t, out, "avSjekkd4526")
	const hint = "go run -C examples ./mysql -new-keys"
	assert.Contains(t, out, hint)
	db := mysqltest.Open(t, dsn)
	var tables int
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()").Scan(&tables))
	assert.Zero(t, tables, "it refused, and had migrated before")

	_, fresh := finish(t, command(t, nil, "mysql", "-new-keys"))
	write(text + fresh)
	p, url := serve(t, portOnly, "mysql", "-env", file)
	assert.NotContains(t, p.stderr.String(), "not set up well", "the printed keys are random")
	assert.Equal(t, "Hello World!", do(t, http.StatusOK, "GET", url+"/", "", "").text)
	assert.NotContains(t, p.stderr.String(), "random")
	do(t, http.StatusNotFound, "GET", url+"/nothing", "", "")
	do(t, http.StatusCreated, "POST", url+"/api/signup", "", ann)
	login := do(t, http.StatusOK, "POST", url+"/api/login", "", annLogin)
	assert.EqualValues(t, 1200, login.body["expires_in"])
	assertLifetimes(t, login, 1200, 86400, 30*86400)
	assert.Zero(t, p.end(t, syscall.SIGTERM))

	// From the working directory, with CRLF; the environment wins; and sessions may last
	// longer than the library's own default.
	cmd := command(t, append(portOnly, "ACCESS_TOKEN_EXPIRY=60"), "mysql", "-addr", "127.0.0.1:0")
	crlf := strings.ReplaceAll(text+fresh+"export REF_TOKEN_EXPIRY=\"5184000\" # 60 days\n", "\n", "\r\n")
	require.NoError(t, os.WriteFile(filepath.Join(cmd.Dir, ".env"), []byte(crlf), 0o600))
	p = start(t, cmd)
	login = do(t, http.StatusOK, "POST", p.url(t)+"/api/login", "", annLogin)
	assertLifetimes(t, login, 60, 5184000, 5184000)
}

// assertLifetimes compares what tokens say with seconds.
func assertLifetimes(t *testing.T, login answer, access, idle, most int64) {
	t.Helper()
	a, r := claims(t, login.str("access_token")), claims(t, login.str("refresh_token"))
	assert.Equal(t, []int64{access, idle, most}, []int64{a.Exp - a.AuthTime, r.Exp - r.AuthTime, r.Max - r.AuthTime})
}

func TestRefusedSettings(t *testing.T) {
	dsn := mysqltest.Default(t).DSN(t)
	for _, c := range []struct {
		name string
		env  []string
		args []string
		says string
	}{
		{"no database", nil, nil, "DB_NAME"},
		{"no file", keys, []string{"-env", "missing.env", "-dsn", dsn}, "missing.env: no such file"},
		{"a folder", keys, []string{"-env", ".", "-dsn", dsn}, "is a directory"},
		{"a bad dsn", keys, []string{"-dsn", "nonsense"}, "-dsn: "},
		{"a key of 31 bytes", []string{"ACCESS_TOKEN_SECRET=" + strings.Repeat("a", 31), keys[1]}, []string{"-dsn", dsn}, "31 bytes, fewer than 32"},
		{"one key missing", keys[:1], []string{"-dsn", dsn}, "0 bytes, fewer than 32"},
		{"equal keys", []string{"ACCESS_TOKEN_SECRET=" + strings.Repeat("a", 32), "REF_TOKEN_SECRET=" + strings.Repeat("a", 32)}, []string{"-dsn", dsn}, "AccessKeys[0] equals RefreshKeys[0]"},
		{"an expiry in words", append(keys, "ACCESS_TOKEN_EXPIRY=20m"), []string{"-dsn", dsn}, `ACCESS_TOKEN_EXPIRY is "20m"`},
		{"an expiry of nothing", append(keys, "REF_TOKEN_EXPIRY=0"), []string{"-dsn", dsn}, `REF_TOKEN_EXPIRY is "0"`},
		{"an endless expiry", append(keys, "REF_TOKEN_EXPIRY=99999999999999"), []string{"-dsn", dsn}, "REF_TOKEN_EXPIRY"},
		{"a bad port", append(keys, "PORT=many"), []string{"-dsn", dsn}, "many"},
		{"no such database", append(append(database(t, dsn), keys...), "DB_NAME=auth_test_not_there"), nil, "Unknown database 'auth_test_not_there'"},
		{"a wrong password", append(append(database(t, dsn), keys...), "DB_PASSWORD=wrong$ecret#1"), nil, "Access denied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			begun := time.Now()
			code, out := finish(t, command(t, c.env, "mysql", c.args...))
			assert.Equal(t, 1, code)
			assert.Contains(t, out, c.says)
			assert.Less(t, time.Since(begun), 30*time.Second, "it waited for what no time mends")
			for _, secret := range []string{"secret of tests", "wrong$ecret", "aaaa"} {
				assert.NotContains(t, out, secret)
			}
			assert.NotContains(t, out, "goroutine")
		})
	}
}

// TestPasswordsMayHoldAnything logs in to the database with a password that a data source
// name, an address and a .env all read otherwise.
func TestPasswordsMayHoldAnything(t *testing.T) {
	dsn := mysqltest.Private(t).DSN(t)
	db := mysqltest.Open(t, dsn)
	const password = `a$HOME:b@c/d?e#f"g\h%41&i`
	cfg, err := mysql.ParseDSN(dsn)
	require.NoError(t, err)
	for _, query := range []string{
		fmt.Sprintf("CREATE USER app IDENTIFIED BY '%s'", strings.ReplaceAll(password, `\`, `\\`)),
		"GRANT ALL ON " + cfg.DBName + ".* TO app",
	} {
		_, err := db.ExecContext(t.Context(), query)
		require.NoError(t, err)
	}
	host, port, err := net.SplitHostPort(cfg.Addr)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "env")
	text := fmt.Sprintf("DB_HOST=%s\nDB_PORT=%s\nDB_NAME=%s\nDB_USER=app\nDB_PASSWORD='%s'\n", host, port, cfg.DBName, password)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	_, url := serve(t, keys, "mysql", "-cost=10", "-env", file)
	do(t, http.StatusCreated, "POST", url+"/api/signup", "", ann)
}

// TestDSNWins gives wrong DB_* beside a right -dsn, and -addr beside PORT.
func TestDSNWins(t *testing.T) {
	env := append([]string{"DB_NAME=not_there", "DB_PORT=1", "PORT=none"}, keys...)
	_, url := serve(t, env, "mysql", "-dsn", mysqltest.Default(t).DSN(t))
	do(t, http.StatusOK, "GET", url+"/", "", "")
}

func TestPort(t *testing.T) {
	p := start(t, command(t, append([]string{"PORT=0"}, keys...), "mysql", "-dsn", mysqltest.Default(t).DSN(t)))
	url := p.url(t)
	assert.Regexp(t, `^http://127\.0\.0\.1:\d+$`, url)
	assert.NotEqual(t, "http://127.0.0.1:3000", url)
}

func TestMySQLSaysThatItsKeysAreRandom(t *testing.T) {
	dsn := mysqltest.Default(t).DSN(t)
	p, one := serve(t, nil, "mysql", "-cost=10", "-dsn", dsn)
	assert.Contains(t, p.stderr.String(), "a second instance cannot read this one's tokens")
	_, two := serve(t, nil, "mysql", "-cost=10", "-dsn", dsn)
	do(t, http.StatusCreated, "POST", one+"/api/signup", "", ann)
	token := do(t, http.StatusOK, "POST", one+"/api/login", "", annLogin).str("access_token")
	do(t, http.StatusOK, "GET", one+"/api/profile", token, "")
	do(t, http.StatusUnauthorized, "GET", two+"/api/profile", token, "")
}

// TestFindings starts on a server whose settings a host should mend.
func TestFindings(t *testing.T) {
	dsn := mysqltest.Default(t).DSN(t, "sql_mode=%27%27")
	p, _ := serve(t, keys, "mysql", "-dsn", dsn)
	log := p.stderr.String()
	assert.Contains(t, log, "sql_mode is not strict")
	assert.Contains(t, log, "Config.Tokens.AccessKeys[0] does not look like 32 random bytes", "the secrets are the test's own")
	assert.NotContains(t, log, "access secret of tests")
}

func TestWaitsForTheDatabase(t *testing.T) {
	server := mysqltest.Private(t)
	dsn := server.DSN(t)
	server.Kill(t)
	p := start(t, command(t, keys, "mysql", "-addr=127.0.0.1:0", "-cost=10", "-dsn", dsn))
	waits := func() bool { return strings.Contains(p.stderr.String(), "waiting for the database") }
	p.until(t, "the log", waits)
	server.Restart(t)
	do(t, http.StatusCreated, "POST", p.url(t)+"/api/signup", "", ann)
	assert.Zero(t, p.end(t, syscall.SIGTERM))

	server.Kill(t)
	p = start(t, command(t, keys, "mysql", "-dsn", dsn))
	p.until(t, "the log", waits)
	begun := time.Now()
	assert.Zero(t, p.end(t, syscall.SIGINT))
	assert.Less(t, time.Since(begun), 30*time.Second)
}

// count is the number of a table's rows.
func count(t *testing.T, db *sql.DB, table string) int {
	t.Helper()
	var n int
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n))
	return n
}
