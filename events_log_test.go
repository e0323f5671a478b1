package auth_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// records is a slog.Handler that keeps what it gets.
type records struct {
	mu  sync.Mutex
	all []slog.Record
}

func (*records) Enabled(context.Context, slog.Level) bool { return true }
func (r *records) WithAttrs([]slog.Attr) slog.Handler     { return r }
func (r *records) WithGroup(string) slog.Handler          { return r }
func (r *records) Handle(_ context.Context, record slog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, record.Clone())
	return nil
}

// Each event is one record, at its level, with the fields that the event has.
//
// ASVS: 16.2.1, 16.2.4, 16.3.1.
func TestEventsAreLogged(t *testing.T) {
	levels := map[auth.EventKind]slog.Level{
		auth.EventSignedUp: slog.LevelInfo, auth.EventLoggedIn: slog.LevelInfo, auth.EventReauthenticated: slog.LevelInfo,
		auth.EventLoggedOut: slog.LevelInfo, auth.EventRevoked: slog.LevelInfo,
		auth.EventRefreshed: slog.LevelDebug, auth.EventRefreshRetried: slog.LevelDebug,
		auth.EventLoginFailed: slog.LevelWarn, auth.EventLimited: slog.LevelWarn, auth.EventReuse: slog.LevelWarn,
		auth.EventStateLost: slog.LevelError,
	}
	texts := map[auth.EventKind]string{}
	eachFlow(t, func(t *testing.T, c eventCase, w *world) {
		t.Helper()
		log := &records{}
		f := newFlow(t, w, noLimits, func(cfg *auth.Config) { cfg.Logger = slog.New(log) })
		if c.before != nil {
			c.before(t, f)
		}
		c.before, log.all = nil, nil
		events := c.run(t, f)
		require.Len(t, log.all, 1)
		record, e := log.all[0], events[0]
		assert.Equal(t, levels[e.Kind], record.Level)
		assert.True(t, strings.HasPrefix(record.Message, "auth: "), record.Message)
		if text, ok := texts[e.Kind]; ok {
			assert.Equal(t, text, record.Message)
		}
		texts[e.Kind] = record.Message
		want := map[string]any{"event": string(e.Kind)}
		for key, value := range map[string]string{"user": string(e.UserID), "user_agent": e.Client.UserAgent, "reason": e.Reason} {
			if value != "" {
				want[key] = value
			}
		}
		if e.SessionID != (auth.SessionID{}) {
			want["session"] = e.SessionID.String()
		}
		if e.Client.IP.IsValid() {
			want["ip"] = e.Client.IP.String()
		}
		if e.Kind == auth.EventReuse || e.Kind == auth.EventRefreshRetried {
			want["behind"], want["age"] = e.Behind, e.Age
		}
		got := map[string]any{}
		record.Attrs(func(attr slog.Attr) bool {
			assert.NotContains(t, got, attr.Key)
			got[attr.Key] = attr.Value.Any()
			return true
		})
		assert.Equal(t, want, got)
	})
	distinct := map[string]bool{}
	for _, text := range texts {
		distinct[text] = true
	}
	assert.Len(t, texts, len(levels), "every kind was raised")
	assert.Len(t, distinct, len(levels), "each has a text of its own")
}

// Without a hook the log is all there is.
func TestEventsWithoutAHook(t *testing.T) {
	w := onMemory(t)
	w.signUp(t, ann)
	assert.Contains(t, w.log.String(), "event=signed_up")
}

// What a client says of itself makes no line of the log, and no other field of an event.
//
// ASVS: 16.4.1.
func TestEventsOfAHostileClient(t *testing.T) {
	const forged = "agent\r\nlevel=ERROR msg=\"forged\" \x00\x1b[2J\u0085\u009b\tuser=1"
	f := newFlow(t, onMemory(t))
	for _, send := range []func(){
		func() {
			r := newRequest(t, http.MethodPost, "/login", loginBody(t, ann))
			r.Header["User-Agent"] = []string{forged}
			r.RemoteAddr = "[::ffff:192.0.2.1%eth0\n]:1"
			direct(t, f.Handler(""), r)
		},
		func() {
			_, _ = f.Login(t.Context(), auth.LoginInput{Email: ann, Password: password, Client: auth.Client{
				IP: netip.MustParseAddr("fe80::1").WithZone("eth0\nlevel=ERROR"), UserAgent: forged + strings.Repeat("x", 1000) + "\xff",
			}})
		},
	} {
		before := strings.Count(f.log.String(), "\n")
		send()
		assert.Equal(t, before+1, strings.Count(f.log.String(), "\n"), "one line")
		for line := range strings.Lines(f.log.String()) {
			assert.True(t, strings.HasPrefix(line, "time="), "%q", line)
		}
		events := f.recorder.take()
		require.Len(t, events, 1)
		agent := events[0].Client.UserAgent
		assert.True(t, strings.HasPrefix(agent, `agentlevel=ERROR msg="forged" [2Juser=1`), "%q", agent)
		assert.LessOrEqual(t, len([]rune(agent)), 255)
		assert.Empty(t, events[0].Client.IP.Zone())
		assert.False(t, events[0].Client.IP.Is4In6())
		assert.NotContains(t, encoded(t, events[0]), "\\n")
	}
}
