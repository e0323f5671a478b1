// Command echo serves the API and a route of the host's by the framework echo.
package main

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v5"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/examples/internal/app"
	"github.com/ostiary/auth/memstore"
)

func routes(a *auth.Authenticator) http.Handler {
	e := echo.New()
	e.Any("/api/*", echo.WrapHandler(a.Handler("/api")))
	e.GET("/orders", orders, echo.WrapMiddleware(a.Require))
	return e
}

func orders(c *echo.Context) error {
	user, _ := auth.UserIDFromContext(c.Request().Context())
	return c.JSON(http.StatusOK, map[string]any{"user": user, "orders": []string{}})
}

func main() {
	flags := app.DefineFlags()
	app.Main(func(ctx context.Context, logger *slog.Logger) error {
		store := memstore.New(memstore.Options{})
		a, err := auth.New(store.Stores(), flags.Config(app.RandomKeys(logger), logger))
		if err != nil {
			return err
		}
		if err := app.Check(ctx, a, logger); err != nil {
			return err
		}
		return app.ListenAndServe(ctx, flags.Addr, routes(a), logger)
	})
}
