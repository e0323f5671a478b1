// Command gin serves the API and a route of the host's by the framework gin.
package main

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/examples/internal/app"
	"github.com/ostiary/auth/memstore"
)

func routes(a *auth.Authenticator) http.Handler {
	r := gin.New()
	r.Any("/api/*route", gin.WrapH(a.Handler("/api")))
	r.GET("/orders", Require(a), orders)
	return r
}

// Require is a.Require as gin's middleware.
func Require(a *auth.Authenticator) gin.HandlerFunc {
	return func(c *gin.Context) {
		passed := false
		guard := a.Require(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			passed = true
			c.Request = r // its context holds the claims
			c.Next()
		}))
		guard.ServeHTTP(c.Writer, c.Request)
		if !passed {
			c.Abort()
		}
	}
}

func orders(c *gin.Context) {
	user, _ := auth.UserIDFromContext(c.Request.Context())
	c.JSON(http.StatusOK, gin.H{"user": user, "orders": []string{}})
}

func main() {
	flags := app.DefineFlags()
	app.Main(func(ctx context.Context, logger *slog.Logger) error {
		gin.SetMode(gin.ReleaseMode)
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
