package e2e_test

import (
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/e2e/client"
	"github.com/ostiary/auth/internal/faultproxy"
	"github.com/ostiary/auth/internal/mysqltest"
)

// Parallel uses of one token, spread over two processes, all succeed with one successor,
// and the row changes once.
//
// ASVS: 2.3.4.
// Advisory: CVE-2026-1035.
func TestInvariant02TwoProcesses(t *testing.T) {
	const uses, rounds = 40, 5
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		w := newWorld(t, s.DSN(t), nil, nil)
		current := logIn(t, w.at[0])
		for round := range int64(rounds) {
			answers := make([]client.Answer, uses)
			begin := make(chan struct{})
			var wg sync.WaitGroup
			for i := range answers {
				wg.Go(func() {
					<-begin
					var err error
					answers[i], err = w.at[i%len(w.at)].Refresh(t.Context(), current)
					assert.NoError(t, err)
				})
			}
			close(begin)
			wg.Wait()
			for _, a := range answers {
				require.Equal(t, http.StatusOK, a.Status, a.Body)
				require.Equal(t, answers[0].RefreshToken, a.RefreshToken)
			}
			current = answers[0].RefreshToken
			row := w.row(t, current)
			require.Equal(t, round+2, claims(t, current).Generation)
			require.Equal(t, round+2, row.Generation)
			require.Len(t, row.Retired, int(round)+1)
		}
	})
}

// The reply to the client lost at any byte: a retry by another process gets the same
// successor, and moves nothing.
//
// Advisory: Zitadel #9631.
func TestInvariant03ReplyToTheClientLost(t *testing.T) {
	w := newWorld(t, mysqltest.Default(t).DSN(t), []string{"-no-limits"}, []string{"-no-limits"})
	target, err := url.Parse(w.at[0].URL)
	require.NoError(t, err)
	var keep atomic.Int64
	p := proxyTo(t, faultproxy.Plain, target.Host, func(faultproxy.Command) faultproxy.Fault {
		return faultproxy.Fault{Cut: faultproxy.CutReply, Keep: int(keep.Load())}
	})
	lossy := client.Client{URL: "http://" + p.Addr(), HTTP: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	current := logIn(t, w.at[1])
	for ; ; keep.Add(7) {
		a, err := lossy.Refresh(t.Context(), current)
		if err == nil {
			require.Equal(t, http.StatusOK, a.Status)
			break
		}
		row := w.row(t, current)
		next := refresh(t, w.at[1], current)
		require.Equal(t, claims(t, current).Generation+1, claims(t, next).Generation, "byte %d", keep.Load())
		require.Equal(t, row.ExpiresAt.Unix(), claims(t, next).ExpiresAt)
		require.Equal(t, row, w.row(t, current))
		current = next
	}
	require.Greater(t, keep.Load(), int64(500))
}

// Reuse is recognized after a restart of the process and of the server, and after a
// purge; and so is that it was.
//
// ASVS: 10.4.5.
// Advisory: CVE-2026-9802.
func TestInvariant07ReuseRecognizedLater(t *testing.T) {
	s := mysqltest.Private(t)
	w := newWorld(t, s.DSN(t))
	purge := func() {
		_, err := w.authenticator(t).PurgeSessions(t.Context(), 1000)
		require.NoError(t, err)
	}
	for name, between := range map[string]func(){
		"process":    func() {},
		"server":     func() { s.Restart(t) },
		"purge":      purge,
		"everything": func() { s.Restart(t); purge(); s.Restart(t) },
	} {
		t.Run(name, func(t *testing.T) {
			first := start(t, w.dsn)
			tokens := []string{logIn(t, to(first))}
			for range 3 {
				tokens = append(tokens, refresh(t, to(first), tokens[len(tokens)-1]))
			}
			other := logIn(t, to(first))
			otherNext := refresh(t, to(first), other)
			require.NoError(t, first.Stop())
			mysqltest.Advance(t, w.db, defaultGrace+time.Second)
			between()

			second := start(t, w.dsn)
			otherRow := w.row(t, other)
			refused(t, to(second), tokens[1])
			row := w.row(t, tokens[0])
			require.Equal(t, auth.ReasonReuse, row.Reason)
			require.False(t, row.RevokedAt.IsZero())
			second.Kill()
			between()

			third := start(t, w.dsn)
			for _, token := range tokens {
				refused(t, to(third), token)
			}
			require.Equal(t, row, w.row(t, tokens[0]))
			require.Equal(t, otherRow, w.row(t, other))
			refresh(t, to(third), otherNext)
		})
	}
}

// Instances whose clocks differ by a minute judge grace and reuse alike. Expiries differ
// by the skew and by nothing else.
func TestInvariant11SkewedClocks(t *testing.T) {
	skews := []time.Duration{0, time.Minute, -time.Minute}
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		w := newWorld(t, s.DSN(t), []string{}, []string{"-clock-skew=1m"}, []string{"-clock-skew=-1m"})
		for i := range skews {
			for j := range skews {
				first := logIn(t, w.at[i])
				second := refresh(t, w.at[j], first)
				wantExpiry := time.Now().Add(24*time.Hour + skews[j]).Unix()
				assert.InDelta(t, wantExpiry, claims(t, second).ExpiresAt, 10)
				for k := range skews {
					require.Equal(t, second, refresh(t, w.at[k], first), "%d's answer within the grace", k)
				}
				third := refresh(t, w.at[i], second)
				mysqltest.Advance(t, w.db, defaultGrace-10*time.Second)
				for k := range skews {
					require.Equal(t, third, refresh(t, w.at[k], first))
				}
				require.Zero(t, w.row(t, first).RevokedAt)

				mysqltest.Advance(t, w.db, 11*time.Second)
				refused(t, w.at[j], first)
				require.Equal(t, auth.ReasonReuse, w.row(t, first).Reason)
				for k := range skews {
					refused(t, w.at[k], third)
				}
			}
		}
	})
}

// At the end of a session the fast clock refuses earlier, and revokes nothing for it.
func TestInvariant11SkewedExpiry(t *testing.T) {
	w := newWorld(t, mysqltest.Default(t).DSN(t), slices.Repeat([]string{"-idle-ttl=5m"}, 1),
		[]string{"-idle-ttl=5m", "-clock-skew=4m30s"}, []string{"-idle-ttl=5m", "-clock-skew=5m30s"})
	now, slow, fast := w.at[0], w.at[1], w.at[2]
	first := logIn(t, now)
	second := refresh(t, now, first)
	before := w.row(t, first)
	refused(t, fast, second)
	refused(t, fast, first)
	require.Equal(t, before, w.row(t, first))
	require.Equal(t, second, refresh(t, slow, first))
	refresh(t, slow, second)
}
