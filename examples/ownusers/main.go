// Command ownusers is a host that keeps its own table of users, with UUIDs and columns of
// its own, and leaves the sessions to mysqlstore.
package main

import (
	"context"
	"database/sql"
	_ "embed"
	"flag"
	"log/slog"
	"net/http"

	"github.com/go-sql-driver/mysql"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/examples/internal/app"
	"github.com/ostiary/auth/mysqlstore"
)

//go:embed schema.sql
var schema string

func main() {
	flags := app.DefineFlags()
	dsn := flag.String("dsn", "", "data source `name` of a MySQL database")
	app.Main(func(ctx context.Context, logger *slog.Logger) error {
		db, err := Open(*dsn)
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }()
		stores, err := Stores(ctx, db)
		if err != nil {
			return err
		}
		a, err := auth.New(stores, flags.Config(app.RandomKeys(logger), logger))
		if err != nil {
			return err
		}
		if err := app.Check(ctx, a, logger); err != nil {
			return err
		}
		return app.ListenAndServe(ctx, flags.Addr, routes(a, db), logger)
	})
}

// Open makes the pool with the options that Accounts needs.
func Open(dsn string) (*sql.DB, error) {
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	cfg.ParseTime, cfg.ClientFoundRows = true, true
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// Stores makes the tables where they are missing: the host's users, and our sessions,
// which refer to a user by the text of its ID, without a foreign key.
func Stores(ctx context.Context, db *sql.DB) (auth.Stores, error) {
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return auth.Stores{}, err
	}
	sessions := mysqlstore.New(db, mysqlstore.Options{})
	if err := sessions.MigrateSessions(ctx); err != nil {
		return auth.Stores{}, err
	}
	return auth.Stores{
		Users:   Accounts{DB: db},
		Refresh: sessions.Sessions(),
		Check:   sessions.CheckSessions,
	}, nil
}

func routes(a *auth.Authenticator, db *sql.DB) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/", a.Handler("/api"))
	live := a.RequireWith(auth.Requirement{Live: true})
	mux.Handle("POST /sign-out-everywhere", live(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := auth.UserIDFromContext(r.Context())
		if err := EndSessions(r.Context(), db, user); err != nil {
			auth.WriteError(w, r, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})))
	return mux
}

// EndSessions ends every session of the user, and every login that is under way. A
// change of the password, or whatever else must end sessions, raises the version in its
// own statement.
func EndSessions(ctx context.Context, db *sql.DB, id auth.UserID) error {
	_, err := db.ExecContext(ctx, "UPDATE accounts SET version = version + 1 WHERE account_id = ?", key(id))
	return translate(err)
}
