package app

import (
	"context"
	"log/slog"

	"github.com/ostiary/auth"
)

// Check logs what is set up wrongly, in the Config or in the stores, and how to mend it. The
// server may start all the same.
func Check(ctx context.Context, a *auth.Authenticator, logger *slog.Logger) error {
	findings, err := a.Check(ctx)
	for _, f := range findings {
		logger.WarnContext(ctx, "something is not set up well", slog.String("problem", f.Problem), slog.String("mend", f.Mend))
	}
	return err
}
