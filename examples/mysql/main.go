// Command mysql is the Node tutorial's app: its routes under /api, its .env, and its
// database, which -upgrade-tutorial takes over.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/examples/internal/app"
	"github.com/ostiary/auth/mysqlstore"
)

func main() {
	flags := app.DefineFlags()
	env := flag.String("env", "", "`file` of settings (default ./.env, if there is one)")
	dsn := flag.String("dsn", "", "data source `name` of the database, in place of DB_HOST, DB_PORT, DB_NAME, DB_USER and DB_PASSWORD")
	upgrade := flag.Bool("upgrade-tutorial", false, "first take over the Node tutorial's database, in place: stop its app and make a backup before")
	pool := flag.Int("pool", 50, "how many connections to the database may be open, a `number`; 0: any")
	purge := flag.Duration("purge", time.Hour, "how often the sessions are deleted that are long over, an `interval`; 0: never")
	newKeys := flag.Bool("new-keys", false, "print new secrets for the end of a .env, and do nothing else")
	app.Main(func(ctx context.Context, logger *slog.Logger) error {
		if *newKeys {
			printNewKeys(os.Stdout)
			return nil
		}
		s, err := readSettings(*env, *dsn)
		if err != nil {
			return err
		}
		return run(ctx, flags, s, *pool, *upgrade, *purge, logger)
	})
}

func run(ctx context.Context, flags *app.Flags, s settings, pool int, upgrade bool, purge time.Duration, logger *slog.Logger) error {
	db, err := openDatabase(s.database, pool, logger)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	store := mysqlstore.New(db, mysqlstore.Options{})

	if s.tokens.AccessKeys == nil {
		random := app.RandomKeys(logger)
		s.tokens.AccessKeys, s.tokens.RefreshKeys = random.AccessKeys, random.RefreshKeys
	}
	a, err := auth.New(store.Stores(), flags.Config(s.tokens, logger))
	if err != nil {
		return fmt.Errorf("%w\n%s", err, keysHint)
	}

	if err := waitForDatabase(ctx, db, logger); err != nil {
		return err
	}
	if err := migrate(ctx, store, upgrade); err != nil {
		return err
	}
	if err := app.Check(ctx, a, logger); err != nil {
		return err
	}

	if purge > 0 {
		var background sync.WaitGroup
		defer background.Wait() // before the pool is closed
		purging, stop := context.WithCancel(ctx)
		defer stop()
		background.Go(func() { purgeSessions(purging, a, purge, logger) })
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "Hello World!")
	})
	mux.Handle("/api/", a.Handler("/api"))

	return app.ListenAndServe(ctx, s.addr(flags), mux, logger)
}

func migrate(ctx context.Context, store *mysqlstore.Store, upgrade bool) error {
	if upgrade {
		if err := store.UpgradeTutorial(ctx); err != nil {
			return err
		}
	}
	if err := store.Migrate(ctx); err != nil {
		return fmt.Errorf("%w\n(the database of the Node tutorial is taken over by -upgrade-tutorial)", err)
	}
	return nil
}
