package mysqlstore_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/mysqltest"
)

// dates gives every user the same dates, so that dumps can be compared.
const dates = "UPDATE users SET created_at = '2026-01-02 03:04:05', updated_at = '2026-02-03 04:05:06'"

// someone is a user whose name would change if it were converted twice.
func someone() string {
	return user(8, "&amp;lt;b&amp;gt;", "eight@example.com", someHash) + ";\n" + dates
}

// crowd is as many users as make two batches.
func crowd() string {
	var rows []string
	for i := range 700 {
		rows = append(rows, fmt.Sprintf("(%d, 'P &amp;amp; %d', 'P%d@Example.com', '%s')", 100+i, i, i, someHash))
	}
	return "INSERT INTO users (id, name, email, password) VALUES " + strings.Join(rows, ", ") + ";\n" + someone()
}

// quiet opens a pool whose driver does not log lost connections.
func quiet(tb testing.TB, dsn string) *sql.DB {
	tb.Helper()
	cfg, err := mysql.ParseDSN(dsn)
	require.NoError(tb, err)
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	require.NoError(tb, err)
	db := sql.OpenDB(connector)
	tb.Cleanup(func() { assert.NoError(tb, db.Close()) })
	return db
}

// changes is a command that changes something.
var changes = regexp.MustCompile("^\x03(ALTER|CREATE|INSERT|UPDATE) ")

// undisturbed returns the dump after a whole upgrade of the rows, how many commands it
// took, and which of them change something.
func undisturbed(t *testing.T, s *mysqltest.Server, rows string) (dump string, commands int, changing []int) {
	t.Helper()
	dsn := tutorialDSN(t, s, rows)
	var (
		mu   sync.Mutex
		seen [][]byte
	)
	through := newRelay(t, dsn, func(_ int, packet []byte) fate {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, slices.Clone(packet))
		return pass
	}, nil)
	require.NoError(t, upgrade(t.Context(), quiet(t, through)))
	mu.Lock()
	defer mu.Unlock()
	for i, packet := range seen {
		if changes.Match(packet) {
			changing = append(changing, i+1)
		}
	}
	dump = dumpOf(t, mysqltest.Open(t, dsn))
	require.Contains(t, dump, `"&lt;b&gt;"`)
	return dump, len(seen), changing
}

// at returns what a relay does with the n-th command, and lets all others pass.
func at(n int, f fate) func(int, []byte) fate {
	return func(i int, _ []byte) fate {
		if i == n {
			return f
		}
		return pass
	}
}

// completes calls UpgradeTutorial again, and compares the end with an undisturbed one.
func completes(t *testing.T, dsn, want string, where ...any) {
	t.Helper()
	db := mysqltest.Open(t, dsn)
	require.NoError(t, upgrade(t.Context(), db), where...)
	require.Equal(t, want, dumpOf(t, db), where...)
}

// Wherever an upgrade is interrupted, the same call completes it, and the end is that of
// an undisturbed one. The server's time zone is not UTC, so that even a date which is
// converted twice shows.
func TestUpgradeTutorialInterrupted(t *testing.T) {
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		s = s.Private(t, "--default-time-zone=+09:00")
		t.Run("cut off", func(t *testing.T) { cutOff(t, s) })
		t.Run("process killed", func(t *testing.T) { processKilled(t, s) })
		t.Run("twice", func(t *testing.T) { twice(t, s) })
		t.Run("twice, unseen", func(t *testing.T) { twiceUnseen(t, s) })
		t.Run("server killed", func(t *testing.T) { serverKilled(t, s) })
	})
}

// cutOff breaks the connection at each change: its reply is lost, or it is still under
// way when the same call comes again.
func cutOff(t *testing.T, s *mysqltest.Server) {
	t.Helper()
	want, _, changing := undisturbed(t, s, crowd())
	require.Len(t, changing, 9)
	for _, f := range []fate{cutAnswered, cutInFlight} {
		for _, n := range changing {
			dsn := tutorialDSN(t, s, crowd())
			through := newRelay(t, dsn, at(n, f), func() {})
			require.ErrorIs(t, upgrade(t.Context(), quiet(t, through)), auth.ErrUnavailable, "command %d", n)
			completes(t, dsn, want, "command %d", n)
		}
	}
}

// buildUpgrade builds the program that calls UpgradeTutorial, without the race detector.
func buildUpgrade(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "upgrade")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./testdata/upgrade").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return program
}

// processKilled kills the process with -9 after each statement, those that only read
// included.
func processKilled(t *testing.T, s *mysqltest.Server) {
	t.Helper()
	program := buildUpgrade(t)
	want, commands, _ := undisturbed(t, s, someone())
	for n := 1; n <= commands; n++ {
		dsn := tutorialDSN(t, s, someone())
		child := make(chan *exec.Cmd, 1)
		through := newRelay(t, dsn, at(n, cutAnswered), func() { assert.NoError(t, (<-child).Process.Kill()) })
		cmd := exec.CommandContext(t.Context(), program, through)
		require.NoError(t, cmd.Start())
		child <- cmd
		var exit *exec.ExitError
		require.ErrorAs(t, cmd.Wait(), &exit, "command %d", n)
		require.Equal(t, "signal: killed", exit.String(), "command %d", n)
		completes(t, dsn, want, "command %d", n)
	}
}

// serverKilled kills the server with -9 after each change.
func serverKilled(t *testing.T, s *mysqltest.Server) {
	t.Helper()
	want, _, changing := undisturbed(t, s, someone())
	for _, n := range changing {
		dsn := tutorialDSN(t, s, someone())
		through := newRelay(t, dsn, at(n, cutAnswered), func() { s.Kill(t) })
		require.ErrorIs(t, upgrade(t.Context(), quiet(t, through)), auth.ErrUnavailable, "command %d", n)
		s.Restart(t)
		completes(t, dsn, want, "command %d", n)
	}
}

// twice has several instances at once: all but one wait, and find the work done.
func twice(t *testing.T, s *mysqltest.Server) {
	t.Helper()
	want, _, _ := undisturbed(t, s, crowd())
	dsn := tutorialDSN(t, s, crowd())
	var wg sync.WaitGroup
	for range 3 {
		db := mysqltest.Open(t, dsn)
		wg.Go(func() { assert.NoError(t, upgrade(t.Context(), db)) })
	}
	wg.Wait()
	assert.Equal(t, want, dumpOf(t, mysqltest.Open(t, dsn)))
}

// twiceUnseen has two instances that do not see each other's lock, as on two nodes of a
// cluster, and that begin with the tutorial's tables or with half an upgrade. Whichever
// change of one comes after whichever of the other: either may fail, and no row is
// converted twice.
func twiceUnseen(t *testing.T, s *mysqltest.Server) {
	t.Helper()
	want, _, changing := undisturbed(t, s, someone())
	const widening, changesAfterIt = 3, 5 // of the changes; collecting counts again
	for begun, n := range map[bool]int{false: len(changing), true: changesAfterIt} {
		for i := range n {
			for j := range n {
				dsn := tutorialDSN(t, s, someone())
				if begun {
					through := newRelay(t, dsn, at(changing[widening], cutAnswered), func() {})
					require.Error(t, upgrade(t.Context(), quiet(t, through)))
				}
				interleave(t, dsn, i, j)
				completes(t, dsn, want, "begun %t, change %d after %d", begun, i, j)
			}
		}
	}
}

// interleave has one instance stop before its change i until another has made its
// change j, which then waits until the first has ended.
func interleave(t *testing.T, dsn string, i, j int) {
	t.Helper()
	secondStopped, firstEnded := make(chan struct{}), make(chan struct{})
	stopped := sync.OnceFunc(func() { close(secondStopped) })
	var a, b int // changes that were sent; each is used by one goroutine of a relay's
	first := newRelay(t, dsn, func(_ int, packet []byte) fate {
		overwrite(t, packet, "'auth_tutorial_'", "'other_tutorial'")
		if changes.Match(packet) {
			if a == i {
				<-secondStopped
			}
			a++
		}
		return pass
	}, nil)
	second := newRelay(t, dsn, func(_ int, packet []byte) fate {
		if changes.Match(packet) {
			if b == j+1 {
				stopped()
				<-firstEnded
			}
			b++
		}
		return pass
	}, nil)
	var wg sync.WaitGroup
	dbs := [2]*sql.DB{quiet(t, first), quiet(t, second)}
	wg.Go(func() {
		defer close(firstEnded)
		acceptable(t, upgrade(t.Context(), dbs[0]))
	})
	wg.Go(func() {
		defer stopped()
		acceptable(t, upgrade(t.Context(), dbs[1]))
	})
	wg.Wait()
}

// acceptable takes only errors after which the same call is to be made again. MariaDB
// does not list a table while another connection's ALTER puts the new one in its place.
func acceptable(t *testing.T, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, auth.ErrUnavailable) {
		assert.Regexp(t, "there is no table users|columns of users are not", err.Error())
	}
}
