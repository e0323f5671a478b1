//go:build cluster

package cluster_test

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// staleRead writes something at one node, and reads it at another by the store. It says
// whether that node was behind, as a plain read has it, and whether the store found it.
type staleRead func(t *testing.T, n byte) (behind bool, err error)

// Each of the store's reads sees what another node has acknowledged, whatever came before
// it.
func TestStaleNodeReads(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cluster) {
		w := on(t, c)
		ann := w.signUp(t, "ann@example.com")
		w.prepareLag(t)
		refresh, users := w.at[1].stores.Refresh, w.at[1].stores.Users
		reads := map[string]staleRead{
			"ReadSession": w.staleSession(ann, refresh.ReadSession),
			"SessionByID": w.staleSession(ann, refresh.SessionByID),
			"UserByEmail": w.staleUser(func(ctx context.Context, _ auth.UserID, key string) (auth.UserRecord, error) {
				return users.UserByEmail(ctx, key)
			}),
			"UserByID": w.staleUser(func(ctx context.Context, id auth.UserID, _ string) (auth.UserRecord, error) {
				return users.UserByID(ctx, id)
			}),
		}
		n := byte(0)
		for name, read := range reads {
			t.Run(name, func(t *testing.T) {
				for stale := 0; stale < 2; {
					require.Less(t, n, byte(100), "the other node is never behind: nothing is tested")
					w.lag(t)
					n++
					behind, err := read(t, n)
					require.NoError(t, err)
					if behind {
						stale++
					}
				}
			})
		}
	})
}

func (w *world) staleSession(user auth.UserID, read func(ctx context.Context, id auth.SessionID) (auth.SessionState, error)) staleRead {
	return func(t *testing.T, n byte) (bool, error) {
		t.Helper()
		expires := time.Now().Add(time.Hour)
		s := auth.Session{ID: auth.SessionID{n}, UserID: user, ExpiresAt: expires, MaxExpiresAt: expires}
		require.NoError(t, w.at[0].stores.Refresh.CreateSession(t.Context(), s, 1))
		behind := !w.at[1].sees(t, "SELECT 1 FROM refresh_tokens WHERE id = ?", s.ID[:])
		_, err := read(t.Context(), s.ID)
		return behind, err
	}
}

func (w *world) staleUser(read func(ctx context.Context, id auth.UserID, key string) (auth.UserRecord, error)) staleRead {
	return func(t *testing.T, _ byte) (bool, error) {
		t.Helper()
		key := strings.ToLower(rand.Text()) + "@example.com"
		id, err := w.at[0].stores.Users.CreateUser(t.Context(), auth.NewUser{Name: "Bob Lee", Email: key, EmailKey: key})
		require.NoError(t, err)
		behind := !w.at[1].sees(t, "SELECT 1 FROM users WHERE email_key = ?", key)
		_, err = read(t.Context(), id, key)
		return behind, err
	}
}
