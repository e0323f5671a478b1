package main

import (
	"context"
	"log/slog"
	"math/rand/v2" //nolint:depguard // when an instance purges is no secret
	"time"

	"github.com/ostiary/auth"
)

// purgeSessions deletes the sessions that are long over, once in every interval, until
// ctx ends. Its first time is at a random point of the first interval, so that instances
// which start together do not purge together. What fails is left for the next time.
func purgeSessions(ctx context.Context, a *auth.Authenticator, every time.Duration, logger *slog.Logger) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(rand.N(every)): //nolint:gosec // it is no secret
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		purged, err := a.PurgeSessions(ctx, 0)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			logger.WarnContext(ctx, "the sessions were not purged", slog.Int64("purged", purged), slog.Any("error", err))
		case purged > 0:
			logger.InfoContext(ctx, "sessions were purged", slog.Int64("purged", purged))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
