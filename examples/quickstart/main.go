// Command quickstart serves the API from memory, with random keys, and prints the lines
// to try it with. Its users end with the process.
package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/examples/internal/app"
	"github.com/ostiary/auth/memstore"
)

const toTry = `Server is running on %[1]s
Users are in memory and end with this process. In another terminal:

curl -s %[1]s/api/signup -H 'Content-Type: application/json' \
  -d '{"name":"Ann Lee","email":"ann@example.com","password":"correct horse"}'; echo

LOGIN=$(curl -s %[1]s/api/login -H 'Content-Type: application/json' \
  -d '{"email":"ann@example.com","password":"correct horse"}'); echo "$LOGIN"
ACCESS_TOKEN=$(echo "$LOGIN" | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
REFRESH_TOKEN=$(echo "$LOGIN" | sed 's/.*"refresh_token":"\([^"]*\)".*/\1/')

curl -s %[1]s/api/profile -H "Authorization: Bearer $ACCESS_TOKEN"; echo

curl -s -X POST %[1]s/api/refresh -H "Authorization: Bearer $REFRESH_TOKEN"; echo

curl -s %[1]s/api/sessions -H "Authorization: Bearer $ACCESS_TOKEN"; echo

curl -s -X POST %[1]s/api/logout -H "Authorization: Bearer $REFRESH_TOKEN"; echo

`

func main() {
	flags := app.DefineFlags()
	app.Main(func(ctx context.Context, logger *slog.Logger) error {
		return run(ctx, flags, logger)
	})
}

func run(ctx context.Context, flags *app.Flags, logger *slog.Logger) error {
	store := memstore.New(memstore.Options{})
	a, err := auth.New(store.Stores(), flags.Config(app.RandomKeys(logger), logger))
	if err != nil {
		return err
	}
	if err := app.Check(ctx, a, logger); err != nil {
		return err
	}
	l, err := app.Listen(ctx, flags.Addr)
	if err != nil {
		return err
	}
	fmt.Printf(toTry, app.URL(l))
	return app.Serve(ctx, l, a.Handler("/api"), logger)
}
