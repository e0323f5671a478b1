// Command chi serves the API and a route of the host's by the router chi.
package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/examples/internal/app"
	"github.com/ostiary/auth/memstore"
)

func routes(a *auth.Authenticator) http.Handler {
	r := chi.NewRouter()
	r.Handle("/api/*", a.Handler("/api")) // Mount does as well
	r.With(a.Require).Get("/orders", orders)
	return r
}

func orders(w http.ResponseWriter, r *http.Request) {
	user, _ := auth.UserIDFromContext(r.Context())
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"user": user, "orders": []string{}})
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
