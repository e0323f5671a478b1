package auth

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// EventKind says what happened.
type EventKind string

// The kinds of Event.
const (
	EventSignedUp        EventKind = "signed_up"
	EventLoggedIn        EventKind = "logged_in"       // by Login or StartSession
	EventLoginFailed     EventKind = "login_failed"    // by Login or Reauthenticate; Reason says why
	EventLimited         EventKind = "limited"         // a call was refused for a limit; Reason is the limit's name
	EventReauthenticated EventKind = "reauthenticated" // and the session's refresh token replaced
	EventRefreshed       EventKind = "refreshed"
	EventRefreshRetried  EventKind = "refresh_retried" // an old refresh token, within Grace
	EventReuse           EventKind = "reuse"           // an old refresh token, after Grace: the session is revoked
	EventStateLost       EventKind = "state_lost"      // the store had lost rotations, and this refresh has mended it
	EventLoggedOut       EventKind = "logged_out"      // by the session's refresh token, also where it was over before
	EventRevoked         EventKind = "revoked"         // one session, a user's or everybody's, likewise; Reason says why
)

// Reasons of EventLoginFailed, beside ReasonDisabled and ReasonUserChanged. Those of
// EventRevoked are ReasonRevoked, ReasonLogoutAll, ReasonDisabled and ReasonAll.
const (
	ReasonUnknownUser   = "unknown_user"
	ReasonWrongPassword = "wrong_password"
)

// Event is something that happened to a user or a session. It holds no secret, no token,
// key or password, and no e-mail address. Fields that its kind says nothing of are zero.
type Event struct {
	Kind      EventKind
	Time      time.Time // by Config.Now
	UserID    UserID    // "": no user is known, or everybody
	SessionID SessionID // zero: none is known, or all of the user's
	Client    Client    // the request's; zero where the call had none
	Reason    string

	// Behind is by how many generations the token of EventReuse or EventRefreshRetried was
	// old, and Age for how long it had been replaced, by the store's clock. Of a token
	// older than the RetiredKept last, Age is that of the oldest of those.
	Behind int64
	Age    time.Duration
}

// eventRecords are the events as the log tells them.
var eventRecords = map[EventKind]struct { //nolint:gochecknoglobals // a table of constants
	level slog.Level
	text  string
}{
	EventSignedUp:        {slog.LevelInfo, "auth: a user has signed up"},
	EventLoggedIn:        {slog.LevelInfo, "auth: a user has logged in"},
	EventLoginFailed:     {slog.LevelWarn, "auth: a login has failed"},
	EventLimited:         {slog.LevelWarn, "auth: a limit was reached"},
	EventReauthenticated: {slog.LevelInfo, "auth: a user has authenticated again"},
	EventRefreshed:       {slog.LevelDebug, "auth: a session was refreshed"},
	EventRefreshRetried:  {slog.LevelDebug, "auth: a replaced refresh token was used again within the grace"},
	EventReuse:           {slog.LevelWarn, "auth: an old refresh token was used again: its session is revoked"},
	EventStateLost:       {slog.LevelError, "auth: the store had lost rotations of a session: recovered"},
	EventLoggedOut:       {slog.LevelInfo, "auth: a session was logged out"},
	EventRevoked:         {slog.LevelInfo, "auth: sessions were revoked"},
}

// emit logs an event and hands it to Config.OnEvent. The event has happened, so neither
// the end of ctx nor a panic of the hook changes anything.
func (a *Authenticator) emit(ctx context.Context, e Event) {
	e.Time = a.cfg.Now().UTC()
	e.Client = e.Client.clean()
	record := eventRecords[e.Kind]
	a.cfg.Logger.LogAttrs(ctx, record.level, record.text, e.attrs()...) //nolint:sloglint // its texts are the constants above
	if a.cfg.OnEvent == nil {
		return
	}
	ctx = context.WithoutCancel(ctx)
	defer func() {
		if p := recover(); p != nil {
			a.cfg.Logger.ErrorContext(ctx, "auth: Config.OnEvent panicked",
				slog.String("event", string(e.Kind)), slog.String("panic", fmt.Sprint(p)))
		}
	}()
	a.cfg.OnEvent(ctx, e)
}

// attrs are the event's fields that are set.
func (e Event) attrs() []slog.Attr {
	attrs := []slog.Attr{slog.String("event", string(e.Kind))}
	text := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	text("user", string(e.UserID))
	if e.SessionID != (SessionID{}) {
		text("session", e.SessionID.String())
	}
	if e.Client.IP.IsValid() {
		text("ip", e.Client.IP.String())
	}
	text("user_agent", e.Client.UserAgent)
	text("reason", e.Reason)
	if e.Behind > 0 {
		attrs = append(attrs, slog.Int64("behind", e.Behind), slog.Duration("age", e.Age))
	}
	return attrs
}
