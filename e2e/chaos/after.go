package chaos

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/ostiary/auth/e2e/chaos/model"
	"github.com/ostiary/auth/e2e/client"
)

// settle brings every session to a token that was received and never sent, carries out
// the thefts that are due, and counts the sessions in doubt.
func (u *user) settle(ctx context.Context) {
	for len(u.aside) > 0 && ctx.Err() == nil {
		u.aside[0].until = minTime(u.aside[0].until, time.Now().Add(u.o.Grace+u.o.slack()))
		sleep(ctx, time.Until(u.aside[0].until))
		u.comeBack(ctx)
	}
	for _, s := range u.active {
		u.untilAnswered(ctx, s)
	}
	u.sort()
	for _, s := range slices.Concat(u.active, u.over) {
		if !s.InDoubt() {
			continue
		}
		u.report.add(Doubtful)
		if s.Lost() {
			u.report.add(DoubtfulEnded)
		}
	}
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// untilAnswered refreshes until the newest token is one that was never sent, or the
// session has ended.
func (u *user) untilAnswered(ctx context.Context, s *model.Session) {
	for ctx.Err() == nil {
		sleep(ctx, time.Until(s.NotBefore()))
		before := s.Newest()
		u.tab(ctx, s, before)
		if s.Ended() || s.Newest() > before {
			return
		}
	}
}

// inspect looks whether all that was acknowledged is there: the users, the sessions, and
// the sessions' ends.
func (u *user) inspect(ctx context.Context) {
	for _, s := range u.active {
		if !s.MustGoOn() {
			continue
		}
		before := s.Newest()
		u.untilAnswered(ctx, s)
		switch after := s.Newest(); {
		case s.Ended():
			u.report.violate("session " + s.ID() + ": gone afterwards")
		case after != before+1:
			u.report.violate(fmt.Sprintf("session %s: afterwards: generation %d was followed by %d", s.ID(), before, after))
		default:
			u.report.add(Kept)
		}
	}
	for _, s := range u.over {
		u.tab(ctx, s, s.Newest())
		u.report.add(StayedEnded)
	}
	for _, address := range u.addresses {
		a, _, ok := u.doLimited(ctx, func(ctx context.Context, c client.Client) (client.Answer, error) {
			return c.LogIn(ctx, address, password)
		})
		if !ok {
			return
		}
		if a.Status != http.StatusOK {
			u.report.violate(fmt.Sprintf("login of %s, afterwards: status %d: %s", address, a.Status, a.Body))
			continue
		}
		u.report.add(LogInsAfter)
	}
}
