package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/ostiary/auth"
)

func contextCases() []testCase {
	return []testCase{
		{"Context/Canceled", contextCanceled},
		{"Context/DeadlineExceeded", contextDeadlineExceeded},
	}
}

func contextCanceled(e *env) {
	stopped(e, func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		return ctx, cancel
	}, func(err error) bool {
		return errors.Is(err, auth.ErrUnavailable) || errors.Is(err, context.Canceled)
	}, "an error that Is ErrUnavailable or context.Canceled")
}

func contextDeadlineExceeded(e *env) {
	stopped(e, func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithDeadline(ctx, time.Unix(1, 0))
	}, func(err error) bool {
		return errors.Is(err, auth.ErrUnavailable)
	}, "an error that Is ErrUnavailable")
}

// stopped calls every operation with a context that is done, on rows on which it would
// else succeed, and checks that each fails as it must and nothing was done.
func stopped(e *env, stop func(context.Context) (context.Context, context.CancelFunc), right func(error) bool, want string) {
	e.Helper()
	ctx, cancel := stop(e.Context())
	defer cancel()
	n := e.newUser()
	u := e.signUp(n)
	st := e.begin(session(u.ID), u.AuthVersion)
	other, late := e.newUser(), session(u.ID)
	rotate, regain := rotation().of(e, st), recovery().of(e, st)
	users, refresh := e.stores.Users, e.stores.Refresh
	type operation struct {
		name string
		call func() error
	}
	operations := []operation{
		{"CreateUser", func() error { _, err := users.CreateUser(ctx, other); return err }},
		{"UserByEmail", func() error { _, err := users.UserByEmail(ctx, u.EmailKey); return err }},
		{"UserByID", func() error { _, err := users.UserByID(ctx, u.ID); return err }},
		{"UpdatePassword", func() error { _, err := users.UpdatePassword(ctx, u.ID, n.PasswordHash, "late"); return err }},
		{"CreateSession", func() error { return refresh.CreateSession(ctx, late, u.AuthVersion) }},
		{"RotateSession", func() error { _, err := refresh.RotateSession(ctx, rotate); return err }},
		{"RecoverSession", func() error { _, err := refresh.RecoverSession(ctx, regain); return err }},
		{"SessionByID", func() error { _, err := refresh.SessionByID(ctx, st.ID); return err }},
		{"ReadSession", func() error { _, err := refresh.ReadSession(ctx, st.ID); return err }},
		{"RevokeSession", func() error { return refresh.RevokeSession(ctx, st.ID, u.ID, auth.ReasonLogout) }},
		{"RevokeUserSessions", func() error { return refresh.RevokeUserSessions(ctx, u.ID, auth.SessionID{}, auth.ReasonLogoutAll) }},
		{"RevokeAllSessions", func() error {
			_, err := refresh.RevokeAllSessions(ctx, st.ReadAt.Add(time.Hour), auth.ReasonAll)
			return err
		}},
		{"SessionsByUser", func() error { _, err := refresh.SessionsByUser(ctx, u.ID, now(), 10); return err }},
		{"PurgeSessions", func() error { _, err := refresh.PurgeSessions(ctx, st.ExpiresAt.Add(time.Hour), 10); return err }},
	}
	if accounts := e.stores.Accounts; accounts != nil {
		for _, c := range changes() {
			operations = append(operations, operation{c.name, func() error { return c.call(accounts, ctx, u) }})
		}
	}
	for _, o := range operations {
		if err := o.call(); err == nil || !right(err) {
			e.Errorf("%s with a context that is done (%v): error %v; want %s", o.name, ctx.Err(), err, want)
		}
		e.unchanged(st, o.name+" with a context that was done before")
		if d := userDifference(u, e.userByID(u.ID)); d != "" {
			e.Errorf("%s with a context that was done before changed the user: %s", o.name, d)
		}
	}
	if _, err := e.userByEmail(other.EmailKey); !errors.Is(err, auth.ErrUserNotFound) {
		e.Errorf("UserByEmail after CreateUser with a context that was done before: error %v; want ErrUserNotFound", err)
	}
	if _, err := e.tryRead(late.ID); !errors.Is(err, auth.ErrSessionNotFound) {
		e.Errorf("ReadSession after CreateSession with a context that was done before: error %v; want ErrSessionNotFound", err)
	}
}
