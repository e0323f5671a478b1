package storetest

import (
	"context"
	"errors"

	"github.com/ostiary/auth"
)

// change is one of the operations of an AccountStore.
type change struct {
	name   string
	reason string // of the revocations; "" where the user is deleted
	call   func(s auth.AccountStore, ctx context.Context, u auth.UserRecord) error
}

func changes() []change { return []change{setDisabled(), setPassword(), deleteUser()} }

// setDisabled disables a user who is not disabled, and enables one who is.
func setDisabled() change {
	return change{"SetDisabled", auth.ReasonDisabled, func(s auth.AccountStore, ctx context.Context, u auth.UserRecord) error {
		return s.SetDisabled(ctx, u.ID, !u.Disabled)
	}}
}

// setPassword sets the hash that the record has: what counts is that it was set.
func setPassword() change {
	return change{"SetPassword", auth.ReasonPassword, func(s auth.AccountStore, ctx context.Context, u auth.UserRecord) error {
		return s.SetPassword(ctx, u.ID, u.PasswordHash)
	}}
}

func deleteUser() change {
	return change{"DeleteUser", "", func(s auth.AccountStore, ctx context.Context, u auth.UserRecord) error {
		return s.DeleteUser(ctx, u.ID)
	}}
}

func (c change) deletes() bool { return c.reason == "" }

// try makes the change. It is repeated while the store is unavailable, and a user who is
// gone then was deleted by a try whose reply was lost.
func (c change) try(e *env, u auth.UserRecord) error {
	lost := false
	_, err := retried(func() (struct{}, error) {
		err := c.call(e.stores.Accounts, e.Context(), u)
		lost = lost || errors.Is(err, auth.ErrUnavailable)
		return struct{}{}, err
	})
	if lost && c.deletes() && errors.Is(err, auth.ErrUserNotFound) {
		return nil
	}
	return err
}

// must makes the change of a user who is there and returns the record after it: the zero
// one if the user was deleted.
func (c change) must(e *env, u auth.UserRecord) auth.UserRecord {
	e.Helper()
	if err := c.try(e, u); err != nil {
		e.Fatalf("%s of user %q: %v; want nil", c.name, u.ID, err)
	}
	if c.deletes() {
		return auth.UserRecord{}
	}
	return e.userByID(u.ID)
}

// ended checks that the change ended a session that was live, just now: the row is gone, or
// revoked for this reason, and can be neither rotated nor recovered.
func (c change) ended(e *env, st auth.SessionState) {
	e.Helper()
	got, err := e.tryRead(st.ID)
	switch {
	case errors.Is(err, auth.ErrSessionNotFound):
		e.gone(st.ID, c.name)
		got = st
	case err != nil:
		e.Fatalf("ReadSession after %s: %v", c.name, err)
	case got.RevokedAt.IsZero() || !c.deletes() && got.Reason != c.reason:
		e.Errorf("a session of before %s is not gone and has RevokedAt %v, reason %q; want it revoked, reason %q, or gone", c.name, got.RevokedAt, got.Reason, c.reason)
	default:
		e.aged("RevokedAt after "+c.name, got.RevokedAt, got, 0)
	}
	if c.deletes() && !e.stores.SharedUsers {
		return // who has no user is not asked for
	}
	for _, k := range []kind{rotation(), recovery()} {
		if k.do(e, k.of(e, got)) {
			e.Errorf("%s of a session of before %s: true; want false", k.name, c.name)
		}
	}
}
