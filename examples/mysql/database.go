package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-sql-driver/mysql"
)

const (
	// startLimit is how long a database that is still starting is waited for.
	startLimit = time.Minute

	startPause = 500 * time.Millisecond
)

// openDatabase makes the pool, of at most that many connections; 0 means any number. It
// does not connect yet.
func openDatabase(cfg *mysql.Config, connections int, logger *slog.Logger) (*sql.DB, error) {
	cfg.Logger = slog.NewLogLogger(logger.Handler(), slog.LevelWarn)
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second // for connecting
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(50) // prepared statements are kept as long as their connection
	db.SetConnMaxLifetime(5 * time.Minute)
	return db, nil
}

// waitForDatabase returns nil when the database answers. What waiting cannot mend, such
// as a wrong password, is an error at once.
func waitForDatabase(ctx context.Context, db *sql.DB, logger *slog.Logger) error {
	limited, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for try := 1; ; try++ {
		err := db.PingContext(limited)
		if err == nil {
			return nil
		}
		if isRefusal(err) {
			return fmt.Errorf("the database: %w", err)
		}
		if try == 1 {
			logger.InfoContext(ctx, "waiting for the database", slog.Duration("limit", startLimit), slog.Any("error", err))
		}
		select {
		case <-limited.Done():
			return fmt.Errorf("the database did not answer: %w, %w", limited.Err(), err)
		case <-time.After(startPause):
		}
	}
}

// isRefusal says whether the server is there and refuses: no such user, password or
// database.
func isRefusal(err error) bool {
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		return false
	}
	switch e.Number {
	case 1044, 1045, 1049, 1698: // access denied, twice; unknown database; access denied
		return true
	}
	return false
}
