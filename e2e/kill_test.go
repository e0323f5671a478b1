package e2e_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/e2e/client"
	"github.com/ostiary/auth/e2e/instance"
	"github.com/ostiary/auth/internal/faultproxy"
	"github.com/ostiary/auth/internal/mysqltest"
)

// story is a request at whose n-th statement something is killed, and what must be right
// afterwards.
type story struct {
	name string
	// before makes the tokens, the last of which is the newest, by an instance without
	// faults.
	before func(t *testing.T, w *world) (tokens []string)
	// during is the request.
	during func(t *testing.T, c client.Client, tokens []string) (client.Answer, error)
	// after looks at it, by an instance without faults.
	after func(t *testing.T, w *world, tokens []string)
}

func stories() []story {
	return []story{
		{"rotation", logsIn, refreshes, goesOn},
		{"retry", rotates, refreshes, goesOn},
		{"reuse", isRobbed, refreshes, hasEnded},
		{"login", hasNothing, logsInAgain, goesOn},
	}
}

func hasNothing(*testing.T, *world) []string { return nil }

func logsIn(t *testing.T, w *world) []string {
	t.Helper()
	return []string{logIn(t, w.at[0])}
}

func rotates(t *testing.T, w *world) []string {
	t.Helper()
	first := logIn(t, w.at[0])
	return []string{first, refresh(t, w.at[0], first)}
}

func isRobbed(t *testing.T, w *world) []string {
	t.Helper()
	tokens := rotates(t, w)
	mysqltest.Advance(t, w.db, defaultGrace+time.Second)
	return tokens
}

func refreshes(t *testing.T, c client.Client, tokens []string) (client.Answer, error) {
	t.Helper()
	return c.Refresh(t.Context(), tokens[0])
}

func logsInAgain(t *testing.T, c client.Client, _ []string) (client.Answer, error) {
	t.Helper()
	return c.LogIn(t.Context(), ann, password)
}

// goesOn says that the client goes on with the token that it had, and then with the one
// that it gets.
func goesOn(t *testing.T, w *world, tokens []string) {
	t.Helper()
	if len(tokens) == 0 {
		tokens = logsIn(t, w)
	}
	a := persistently(t, w.at[0], tokens[0])
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	require.Equal(t, int64(2), claims(t, a.RefreshToken).Generation)
	for _, token := range tokens[1:] {
		require.Equal(t, token, a.RefreshToken)
	}
	require.Equal(t, int64(3), claims(t, refresh(t, w.at[0], a.RefreshToken)).Generation)
}

func hasEnded(t *testing.T, w *world, tokens []string) {
	t.Helper()
	for _, token := range tokens {
		a := persistently(t, w.at[0], token)
		require.Equal(t, http.StatusUnauthorized, a.Status, a.Body)
	}
	require.Equal(t, auth.ReasonReuse, w.row(t, tokens[0]).Reason)
}

// forgetTries fills the budgets of logins: a try that was cut off counts as one that failed
// if nothing was left to give it back.
func (w *world) forgetTries(t *testing.T) {
	t.Helper()
	_, err := w.db.ExecContext(t.Context(), "DELETE FROM rate_limits")
	require.NoError(t, err)
}

// killedAt plays the story on a new instance, kills at its n-th statement, which the
// server has carried out or may be about to, and says whether there was an n-th.
func (s story) killedAt(t *testing.T, w *world, n int32, cut faultproxy.Cut, kill func(p *instance.Process), mend func()) bool {
	t.Helper()
	const quit, closeStatement = 0x01, 0x19 // have no reply
	var seen atomic.Int32
	keep := 0 // of the reply; of a command, all
	if cut == faultproxy.CutCommand {
		keep = faultproxy.Whole
	}
	victim := make(chan *instance.Process, 1)
	proxy, proxied := through(t, w.dsn, func(c faultproxy.Command) faultproxy.Fault {
		if c.Code == quit || c.Code == closeStatement || seen.Add(1) != n {
			return faultproxy.Fault{}
		}
		return faultproxy.Fault{Cut: cut, Keep: keep, Then: func() { kill(<-victim) }}
	})
	defer proxy.Close()
	tokens := s.before(t, w)
	p := start(t, proxied)
	defer p.Kill()
	victim <- p
	a, err := s.during(t, to(p), tokens)
	if stats := proxy.Stats(); stats.CutCommands+stats.CutReplies == 0 {
		require.NoError(t, err)
		require.NotEqual(t, http.StatusServiceUnavailable, a.Status)
		return false
	}
	if err == nil {
		require.NotEqual(t, http.StatusUnauthorized, a.Status, "statement %d: an outage is nobody's end", n)
	}
	mend()
	w.forgetTries(t)
	s.after(t, w, tokens)
	return true
}

// kill -9 of the server between any two statements: a client that retries within the
// grace goes on.
func TestInvariant09ServerKilled(t *testing.T) {
	s := mysqltest.Private(t)
	everyStatement(t, s.DSN(t), func(*instance.Process) { s.Kill(t) }, func() { s.Restart(t) })
}

// The same of the process: the client goes on by another.
func TestInvariant09ProcessKilled(t *testing.T) {
	dsn := mysqltest.Default(t).DSN(t)
	everyStatement(t, dsn, func(p *instance.Process) { p.Kill() }, func() {})
}

func everyStatement(t *testing.T, dsn string, kill func(p *instance.Process), mend func()) {
	t.Helper()
	w := newWorld(t, dsn, nil)
	for _, s := range stories() {
		t.Run(s.name, func(t *testing.T) {
			for _, cut := range []faultproxy.Cut{faultproxy.CutReply, faultproxy.CutCommand} {
				n := int32(1)
				for s.killedAt(t, w, n, cut, kill, mend) {
					n++
				}
				require.Greater(t, n, int32(2), "there are two statements at least: to prepare and to execute")
			}
		})
	}
}
