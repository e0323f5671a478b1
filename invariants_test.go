package auth_test

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/internal/mysqltest"
)

const ann = "ann@example.com"

func noLimits(c *auth.Config) { c.InsecureNoLimits = true }

// The distinct (session, generation) pairs that were ever answered are at most the
// row's changes plus one, and each pair is one set of claims.
func TestInvariant01PairsAnswered(t *testing.T) {
	const sessions, tabs, uses = 3, 4, 15
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, ann)
		var ids []auth.SessionID
		var answered [][]auth.Tokens // by each tab
		var wg sync.WaitGroup
		for range sessions {
			first := w.logIn(t, ann)
			ids = append(ids, first.SessionID)
			for range tabs {
				answered = append(answered, []auth.Tokens{first})
			}
		}
		for i := range answered {
			wg.Go(func() {
				for range uses {
					// Mostly the newest token that this tab has, now and then an older one.
					held := answered[i]
					use := held[len(held)-1-int(rand.ExpFloat64())%len(held)]
					next, err := w.Refresh(t.Context(), use.RefreshToken, auth.Client{})
					if !assert.NoError(t, err) {
						return
					}
					answered[i] = append(held, next)
					w.clock.add(time.Second)
				}
			})
		}
		wg.Wait()
		type pair struct {
			session    auth.SessionID
			generation int64
		}
		pairs := map[pair]map[refreshClaims]bool{}
		for _, tokens := range slices.Concat(answered...) {
			claims := claimsOf(t, tokens.RefreshToken)
			p := pair{tokens.SessionID, claims.Generation}
			if pairs[p] == nil {
				pairs[p] = map[refreshClaims]bool{}
			}
			pairs[p][claims] = true
		}
		perSession := map[auth.SessionID]int64{}
		for p, claims := range pairs {
			assert.Len(t, claims, 1, "generation %d was answered with different claims", p.generation)
			perSession[p.session]++
		}
		for _, id := range ids {
			changes := w.state(t, id).Generation - 1
			assert.LessOrEqual(t, perSession[id], changes+1)
			assert.Greater(t, changes, int64(uses/2), "the session was refreshed")
		}
		assert.NotContains(t, w.log.String(), "lost")
	}, noLimits)
}

// Parallel uses of one token, by two instances, all succeed with one successor, and the
// row changes once.
//
// ASVS: 2.3.4, 15.4.2.
// Advisory: CVE-2026-1035, gin-jwt refresh.
func TestInvariant02ParallelUses(t *testing.T) {
	t.Run("memstore", func(t *testing.T) {
		w := onMemory(t)
		parallelUses(t, w, w.Authenticator, w.another(t))
	})
	mysqltest.Legs(t, func(t *testing.T, s *mysqltest.Server) {
		dsn := s.DSN(t)
		w, other := onDSN(t, dsn), onDSN(t, dsn)
		parallelUses(t, w, w.Authenticator, other.Authenticator)
	})
}

func parallelUses(t *testing.T, w *world, instances ...*auth.Authenticator) {
	t.Helper()
	const uses, rounds = 50, 5
	w.signUp(t, ann)
	current := w.logIn(t, ann)
	for round := range int64(rounds) {
		type result struct {
			tokens auth.Tokens
			err    error
		}
		results := make([]result, uses)
		start := make(chan struct{})
		var wg sync.WaitGroup
		for i := range results {
			wg.Go(func() {
				<-start
				r := &results[i]
				r.tokens, r.err = instances[i%len(instances)].Refresh(t.Context(), current.RefreshToken, auth.Client{})
			})
		}
		close(start)
		wg.Wait()
		access := map[string]bool{}
		for _, r := range results {
			require.NoError(t, r.err)
			require.Equal(t, results[0].tokens.RefreshToken, r.tokens.RefreshToken)
			access[r.tokens.AccessToken] = true
		}
		require.Len(t, access, uses, "each has an access token of its own")
		current = results[0].tokens
		require.Equal(t, round+2, generationOf(t, current))
		row := w.row(t, current.SessionID)
		require.Equal(t, round+2, row.Generation)
		require.Len(t, row.Retired, int(round)+1)
	}
}

// A retry moves no date: the whole row stays as it was.
func TestInvariant04RetryMovesNoDate(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, ann)
		first := w.logIn(t, ann)
		w.advance(time.Hour)
		second, err := w.Refresh(t.Context(), first.RefreshToken, auth.Client{UserAgent: "winner"})
		require.NoError(t, err)
		w.advance(30 * time.Second)
		row, raw := w.row(t, first.SessionID), w.dump(t)
		for range 3 {
			retried, err := w.Refresh(t.Context(), first.RefreshToken, auth.Client{UserAgent: "retry"})
			require.NoError(t, err)
			assert.Equal(t, second.RefreshToken, retried.RefreshToken)
			assert.NotEqual(t, second.AccessToken, retried.AccessToken)
			claims, err := w.Verify(retried.AccessToken)
			require.NoError(t, err)
			assert.WithinDuration(t, w.clock.Now(), claims.IssuedAt, 10*time.Second)
			assert.Equal(t, row, w.row(t, first.SessionID))
			assert.Equal(t, raw, w.dump(t))
		}
	})
}

// Reuse ends its session and no other, neither the user's nor another user's.
//
// ASVS: 10.4.5.
// Advisory: better-auth GHSA-392p.
func TestInvariant05ReuseEndsThatSession(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, ann)
		w.signUp(t, bob)
		robbed := w.logIn(t, ann)
		others := []auth.Tokens{w.logIn(t, ann), w.logIn(t, bob), w.logIn(t, ann)}
		current := w.refresh(t, robbed.RefreshToken)
		for i := range others {
			others[i] = w.refresh(t, others[i].RefreshToken)
		}
		w.advance(time.Minute + time.Second)
		var rows []auth.SessionState
		for _, other := range others {
			rows = append(rows, w.row(t, other.SessionID))
		}

		require.ErrorIs(t, w.refreshError(t, robbed.RefreshToken), auth.ErrSessionEnded)
		row := w.row(t, robbed.SessionID)
		assert.Equal(t, auth.ReasonReuse, row.Reason)
		assert.False(t, row.RevokedAt.IsZero())
		require.ErrorIs(t, w.refreshError(t, current.RefreshToken), auth.ErrSessionEnded)
		require.ErrorIs(t, w.refreshError(t, robbed.RefreshToken), auth.ErrSessionEnded)
		assert.Equal(t, row, w.row(t, robbed.SessionID), "the first revocation stays")
		for i, other := range others {
			assert.Equal(t, rows[i], w.row(t, other.SessionID))
			w.refresh(t, other.RefreshToken)
		}
	})
}

// Five rotations in one second: each older token answers with the current generation,
// and after Grace each ends the session.
//
// ASVS: 10.4.5.
// Advisory: Keycloak #50999.
func TestInvariant08FiveRotationsInASecond(t *testing.T) {
	const rotations = 5
	everywhere(t, func(t *testing.T, w *world) {
		w.freeze()
		w.signUp(t, ann)
		var chains [rotations][]auth.Tokens
		for i := range chains {
			chains[i] = []auth.Tokens{w.logIn(t, ann)}
			for n := range rotations {
				chains[i] = append(chains[i], w.refresh(t, chains[i][n].RefreshToken))
			}
			for _, older := range chains[i][:rotations] {
				assert.Equal(t, chains[i][rotations].RefreshToken, w.refresh(t, older.RefreshToken).RefreshToken)
			}
			assert.Equal(t, int64(rotations+1), w.state(t, chains[i][0].SessionID).Generation)
		}
		w.advance(time.Minute + time.Second)
		for i, chain := range chains {
			require.ErrorIs(t, w.refreshError(t, chain[i].RefreshToken), auth.ErrSessionEnded, "generation %d", i+1)
			assert.Equal(t, auth.ReasonReuse, w.state(t, chain[0].SessionID).Reason)
			require.ErrorIs(t, w.refreshError(t, chain[rotations].RefreshToken), auth.ErrSessionEnded)
		}
	})
}

// No exp passes the session's MaxTTL, no access token's either. Require accepts that one
// until exp plus leeway, refresh nothing.
//
// ASVS: 7.3.2, 10.4.8.
func TestInvariant13NothingPassesMaxTTL(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.freeze()
		w.signUp(t, ann)
		start := w.clock.Now()
		end := start.Add(time.Hour)
		first := w.logIn(t, ann)
		assert.Equal(t, start.Add(40*time.Minute).Unix(), claimsOf(t, first.RefreshToken).ExpiresAt)
		assert.Equal(t, 20*time.Minute, first.ExpiresIn)

		last := first
		for _, step := range []struct{ at, expiresIn time.Duration }{
			{39 * time.Minute, 20 * time.Minute},
			{50 * time.Minute, 10 * time.Minute},
			{59*time.Minute + 59*time.Second, time.Second},
		} {
			w.advance(start.Add(step.at).Sub(w.clock.Now()))
			last = w.refresh(t, last.RefreshToken)
			claims := claimsOf(t, last.RefreshToken)
			assert.Equal(t, end.Unix(), claims.ExpiresAt)
			assert.Equal(t, end.Unix(), claims.Max)
			assert.Equal(t, start.Unix(), claims.AuthTime)
			assert.Equal(t, step.expiresIn, last.ExpiresIn)
			access, err := w.Verify(last.AccessToken)
			require.NoError(t, err)
			assert.Equal(t, w.clock.Now().Add(step.expiresIn).Unix(), access.ExpiresAt.Unix())
			assert.False(t, w.state(t, last.SessionID).ExpiresAt.After(end))
		}

		w.advance(time.Second)
		require.ErrorIs(t, w.refreshError(t, last.RefreshToken), auth.ErrInvalidToken)
		assert.Equal(t, http.StatusOK, w.required(last.AccessToken))
		w.advance(30*time.Second - time.Second)
		assert.Equal(t, http.StatusOK, w.required(last.AccessToken))
		w.advance(time.Second)
		assert.Equal(t, http.StatusUnauthorized, w.required(last.AccessToken))
		require.ErrorIs(t, w.refreshError(t, last.RefreshToken), auth.ErrInvalidToken)
		assert.True(t, w.state(t, last.SessionID).RevokedAt.IsZero())
	}, func(c *auth.Config) { c.Tokens.MaxTTL, c.Tokens.IdleTTL = time.Hour, 40*time.Minute })
}

// required is the status with which Require answers the access token.
func (w *world) required(accessToken string) int {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+accessToken)
	rec := httptest.NewRecorder()
	w.Require(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(rec, r)
	return rec.Code
}

// 100 logins of one user in one second of Config.Now are 100 sessions, and each ends
// alone.
//
// ASVS: 7.2.2.
func TestInvariant14HundredLoginsInASecond(t *testing.T) {
	const logins = 100
	everywhere(t, func(t *testing.T, w *world) {
		w.freeze()
		w.signUp(t, ann)
		all := make([]auth.Tokens, logins)
		distinct := map[string]bool{}
		for i := range all {
			all[i] = w.logIn(t, ann)
			distinct[all[i].SessionID.String()] = true
			distinct[all[i].AccessToken] = true
			distinct[all[i].RefreshToken] = true
		}
		require.Len(t, distinct, 3*logins)

		ended := map[auth.SessionID]bool{}
		for n, i := range rand.Perm(logins) {
			require.NoError(t, w.Logout(t.Context(), all[i].RefreshToken))
			ended[all[i].SessionID] = true
			if n%10 != 0 {
				continue
			}
			require.ErrorIs(t, w.refreshError(t, all[i].RefreshToken), auth.ErrSessionEnded)
			for _, tokens := range all {
				revoked := !w.state(t, tokens.SessionID).RevokedAt.IsZero()
				require.Equal(t, ended[tokens.SessionID], revoked)
				if n == logins/2 && !revoked {
					w.refresh(t, tokens.RefreshToken)
				}
			}
		}
	})
}

// A purge takes what has expired, and leaves what tells a reuse, before it and after.
func TestInvariant07AfterAPurge(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, ann)
		gone := w.logIn(t, ann)
		w.advance(26 * time.Hour)
		stale, current := w.robbed(t)
		purge := func(want int64) {
			t.Helper()
			n, err := w.PurgeSessions(t.Context(), 0)
			require.NoError(t, err)
			require.Equal(t, want, n)
		}
		purge(1)
		require.ErrorIs(t, w.refreshError(t, gone.RefreshToken), auth.ErrInvalidToken)
		require.ErrorIs(t, w.refreshError(t, stale.RefreshToken), auth.ErrSessionEnded)
		purge(0)
		w.assertReuseKept(t, stale, current)
	})
}

// Instances whose clocks differ by a minute judge grace and reuse alike.
func TestInvariant11SkewedClocks(t *testing.T) {
	skewed := func(d time.Duration) func(*auth.Config) {
		return func(c *auth.Config) {
			now := c.Now
			c.Now = func() time.Time { return now().Add(d) }
		}
	}
	everywhere(t, func(t *testing.T, w *world) {
		w.signUp(t, ann)
		at := []*auth.Authenticator{w.Authenticator, w.another(t, skewed(time.Minute)), w.another(t, skewed(-time.Minute))}
		for _, judge := range at {
			first := w.logIn(t, ann)
			second := w.refresh(t, first.RefreshToken)
			w.advance(grace - 10*time.Second)
			for _, a := range at {
				again, err := a.Refresh(t.Context(), first.RefreshToken, auth.Client{})
				require.NoError(t, err)
				require.Equal(t, claimsOf(t, second.RefreshToken), claimsOf(t, again.RefreshToken))
			}
			w.advance(20 * time.Second)
			_, err := judge.Refresh(t.Context(), first.RefreshToken, auth.Client{})
			require.ErrorIs(t, err, auth.ErrSessionEnded)
			w.assertReuseKept(t, first, second)
		}
	})
}
