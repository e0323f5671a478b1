// Command server serves the library's routes over mysqlstore, for tests that start it
// several times on one database. It prints its address when it is ready, and ends on
// SIGTERM or when its standard input does, lest it outlive the test that started it. Its
// keys are known to everyone.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/e2e/instance"
	"github.com/ostiary/auth/mysqlstore"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

// settings are the flags.
type settings struct {
	dsn, addr string
	migrate   bool
	maxConns  int
	skew      time.Duration
	config    auth.Config
}

func parseFlags() settings {
	s := settings{config: instance.Config()}
	t := &s.config.Tokens
	flag.StringVar(&s.dsn, "dsn", "", "data source `name` of the database")
	flag.StringVar(&s.addr, "addr", "127.0.0.1:0", "`address` to listen on")
	flag.BoolVar(&s.migrate, "migrate", false, "make or complete the tables first")
	flag.IntVar(&s.maxConns, "max-conns", 20, "`number` of connections to the database")
	flag.DurationVar(&s.skew, "clock-skew", 0, "by how much Config.Now is ahead")
	flag.DurationVar(&t.Grace, "grace", 0, "Tokens.Grace; 0 is the default")
	flag.BoolVar(&t.StrictRotation, "strict", false, "Tokens.StrictRotation")
	flag.DurationVar(&t.AccessTTL, "access-ttl", 0, "Tokens.AccessTTL; 0 is the default")
	flag.DurationVar(&t.IdleTTL, "idle-ttl", 0, "Tokens.IdleTTL; 0 is the default")
	flag.DurationVar(&t.MaxTTL, "max-ttl", 0, "Tokens.MaxTTL; 0 is the default")
	flag.BoolVar(&s.config.InsecureNoLimits, "no-limits", false, "InsecureNoLimits")
	flag.Parse()
	return s
}

func run() error {
	s := parseFlags()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	db, err := open(s)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	store := mysqlstore.New(db, mysqlstore.Options{})
	if s.migrate {
		if err := store.Migrate(ctx); err != nil {
			return err
		}
	}
	s.config.Now = func() time.Time { return time.Now().Add(s.skew) }
	s.config.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	a, err := auth.New(store.Stores(), s.config)
	if err != nil {
		return err
	}
	return serve(ctx, s.addr, handler(a))
}

// open returns a pool whose driver keeps lost connections, of which there are many, to
// itself.
func open(s settings) (*sql.DB, error) {
	cfg, err := mysql.ParseDSN(s.dsn)
	if err != nil {
		return nil, err
	}
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(s.maxConns)
	db.SetMaxIdleConns(s.maxConns)
	return db, nil
}

// handler is the library's routes, and GET /live, which asks whether the session of an
// access token goes on.
func handler(a *auth.Authenticator) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", a.Handler(""))
	mux.Handle("GET /live", a.RequireWith(auth.Requirement{Live: true})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
	})))
	return mux
}

func serve(ctx context.Context, addr string, h http.Handler) error {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	fmt.Println(instance.Ready + "http://" + listener.Addr().String())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}
