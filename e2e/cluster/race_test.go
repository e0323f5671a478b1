//go:build cluster

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// newHash stands for the hash of a new password.
const newHash = "$2a$04$AAAAAAAAAAAAAAAAAAAAAOxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

// holding keeps a session from being stored until it is let go.
type holding struct {
	auth.RefreshStore

	arrived, letGo chan struct{}
}

func (s holding) CreateSession(ctx context.Context, session auth.Session, authVersion int64) error {
	s.arrived <- struct{}{}
	<-s.letGo
	return s.RefreshStore.CreateSession(ctx, session, authVersion)
}

// A login that is held between its hash and its insert, while the user changes at another
// node, yields nothing.
func TestLoginHeldWhilePasswordChanges(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cluster) {
		w := on(t, c)
		w.prepareLag(t)
		h := holding{w.at[1].stores.Refresh, make(chan struct{}), make(chan struct{})}
		stores := w.at[1].stores
		stores.Refresh = h
		held := newMember(t, w.at[1].db, stores)
		changes := map[string]func(id auth.UserID) error{
			"password": func(id auth.UserID) error { return w.at[0].stores.Accounts.SetPassword(t.Context(), id, newHash) },
			"disabled": func(id auth.UserID) error { return w.at[0].stores.Accounts.SetDisabled(t.Context(), id, true) },
			"deleted":  func(id auth.UserID) error { return w.at[0].stores.Accounts.DeleteUser(t.Context(), id) },
		}
		for name, change := range changes {
			for round := range 40 {
				address := fmt.Sprintf("%s%d@example.com", name, round)
				id := w.signUp(t, address)
				answer := make(chan error, 1)
				go func() {
					_, err := held.Login(context.WithoutCancel(t.Context()), auth.LoginInput{Email: address, Password: password})
					answer <- err
				}()
				<-h.arrived
				if round%10 == 0 {
					w.lag(t)
				}
				err := change(id)
				h.letGo <- struct{}{}
				require.NoError(t, err)
				assert.ErrorIs(t, <-answer, auth.ErrInvalidCredentials, "%s, round %d", name, round)
			}
		}
		var sessions int
		require.NoError(t, w.at[1].db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM refresh_tokens").Scan(&sessions))
		assert.Zero(t, sessions)
	})
}

// A login at one node and a change of the user at another, at the same time: once the
// change is acknowledged, no node accepts what the login may have yielded.
func TestLoginRacesPasswordChange(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cluster) {
		w := on(t, c)
		yielded, refused := 0, 0
		const rounds = 200
		for round := range rounds {
			address := fmt.Sprintf("user%d@example.com", round)
			id := w.signUp(t, address)
			user, err := w.at[1].stores.Users.UserByID(t.Context(), id)
			require.NoError(t, err)
			here, there := w.at[0], w.at[1]
			var (
				wg       sync.WaitGroup
				tokens   auth.Tokens
				loginErr error
				start    = make(chan struct{})
			)
			wg.Go(func() {
				<-start
				// The check of the password is over: what races is the insert.
				tokens, loginErr = there.StartSession(t.Context(), user.ID, auth.Client{})
			})
			close(start)
			err = here.stores.Accounts.SetPassword(t.Context(), id, newHash)
			if err != nil {
				require.ErrorIs(t, err, auth.ErrUnavailable, "round %d", round)
				refused++
				err = retried(func() error { return here.stores.Accounts.SetPassword(t.Context(), id, newHash) })
			}
			require.NoError(t, err)
			wg.Wait()
			if loginErr != nil {
				require.ErrorIs(t, loginErr, auth.ErrUserChanged, "round %d", round)
				continue
			}
			session, err := here.stores.Refresh.SessionByID(t.Context(), sessionID(t, tokens))
			require.NoError(t, err)
			if session.AuthVersion > 1 {
				continue // StartSession had read the changed user: a login with the new password
			}
			yielded++
			w.assertOver(t, tokens)
		}
		t.Logf("%d rounds: %d logins came before the change, and ended with it; %d changes had to be repeated", rounds, yielded, refused)
	})
}

// retried calls op until it is not refused by the cluster.
func retried(op func() error) error {
	for {
		if err := op(); !errors.Is(err, auth.ErrUnavailable) {
			return err
		}
	}
}

func sessionID(t *testing.T, tokens auth.Tokens) auth.SessionID {
	t.Helper()
	id, err := auth.ParseSessionID(claimsOf(t, tokens.RefreshToken).Session)
	require.NoError(t, err)
	return id
}

// assertOver looks at each node: none accepts the tokens where it is asked for a live
// session.
func (w *world) assertOver(t *testing.T, tokens auth.Tokens) {
	t.Helper()
	for i, in := range w.at {
		_, err := in.Refresh(t.Context(), tokens.RefreshToken, auth.Client{})
		assert.ErrorIs(t, err, auth.ErrSessionEnded, "node %d", i+1)
		assert.Equal(t, 401, in.liveStatus(t.Context(), tokens.AccessToken), "node %d", i+1)
	}
}

// tab refreshes at one node after the other until the session is over, and keeps the
// tokens that it got last.
type tab struct {
	last    auth.Tokens
	ended   error
	refused int
}

func (w *world) startTab(t *testing.T, wg *sync.WaitGroup, first auth.Tokens, from int) *tab {
	t.Helper()
	b := &tab{last: first}
	wg.Go(func() {
		for i := from; ; i++ {
			next, err := w.at[i%size].Refresh(t.Context(), b.last.RefreshToken, auth.Client{})
			switch {
			case err == nil:
				b.last = next
			case errors.Is(err, auth.ErrUnavailable):
				b.refused++
			default:
				b.ended = err
				return
			}
		}
	})
	return b
}

// Logout, at one node, of a session that is being refreshed at all of them: after its
// answer no node accepts any token of it. LogoutAll likewise, of all sessions.
func TestLogoutRacesRefresh(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cluster) {
		for _, all := range []bool{false, true} {
			t.Run(fmt.Sprintf("all=%t", all), func(t *testing.T) {
				w := on(t, c)
				refused, unavailable := 0, 0
				const rounds = 60
				for round := range rounds {
					address := fmt.Sprintf("user%d@example.com", round)
					id := w.signUp(t, address)
					var (
						wg   sync.WaitGroup
						tabs []*tab
					)
					sessions := 1
					if all {
						sessions = 3
					}
					first := make([]auth.Tokens, sessions)
					for s := range sessions {
						// A user's other sessions may keep a login out for longer than it tries.
						require.NoError(t, retried(func() (err error) {
							first[s], err = w.at[s%size].Login(t.Context(), auth.LoginInput{Email: address, Password: password})
							return err
						}))
						tabs = append(tabs, w.startTab(t, &wg, first[s], s), w.startTab(t, &wg, first[s], s+1))
					}
					for i := range round % 4 { // let the tabs go on for a while
						_, err := w.at[i%size].Refresh(t.Context(), first[0].RefreshToken, auth.Client{})
						if err != nil {
							require.ErrorIs(t, err, auth.ErrUnavailable)
						}
					}
					end := func() error { return w.at[round%size].Logout(t.Context(), first[0].RefreshToken) }
					if all {
						end = func() error { return w.at[round%size].LogoutAll(t.Context(), id, auth.SessionID{}) }
					}
					err := end()
					if err != nil {
						require.ErrorIs(t, err, auth.ErrUnavailable)
						unavailable++
						require.NoError(t, retried(end))
					}
					for s := range sessions {
						w.assertOver(t, first[s])
					}
					wg.Wait()
					for _, b := range tabs {
						assert.ErrorIs(t, b.ended, auth.ErrSessionEnded)
						w.assertOver(t, b.last)
						refused += b.refused
					}
				}
				t.Logf("%d rounds: %d refreshes and %d logouts were answered as unavailable, and repeated", rounds, refused, unavailable)
			})
		}
	})
}
