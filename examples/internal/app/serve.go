package app

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// drainLimit is how long the requests that are under way may take when a signal came.
const drainLimit = 30 * time.Second

// Main reads the command line, calls run and ends the process: with status 0 if run
// returns nil, or an error because SIGINT or SIGTERM ended its context; with 1 if it
// fails; with 2 if the command line is wrong. A second signal ends the process at once.
func Main(run func(ctx context.Context, logger *slog.Logger) error) {
	flag.Parse()
	if flag.NArg() > 0 {
		_, _ = fmt.Fprintf(flag.CommandLine.Output(), "unexpected argument: %q\n", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Reset(os.Interrupt, syscall.SIGTERM) // before anybody can tell that the first one came
		cancel()
	}()
	err := run(ctx, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err == nil {
		return
	}
	_, _ = fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(os.Args[0]), err)
	if ctx.Err() == nil || !errors.Is(err, context.Canceled) {
		os.Exit(1)
	}
}

// Listen opens the address.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp", addr)
}

// ListenAndServe opens the address, says so on standard output, and serves there.
func ListenAndServe(ctx context.Context, addr string, h http.Handler, logger *slog.Logger) error {
	l, err := Listen(ctx, addr)
	if err != nil {
		return err
	}
	fmt.Printf("Server is running on %s\n", URL(l))
	return Serve(ctx, l, h, logger)
}

// Serve answers what the listener gets until ctx ends. Then it refuses new connections,
// lets the requests that are under way finish, and returns nil when they have, or an
// error if that takes longer than 30 seconds.
func Serve(ctx context.Context, l net.Listener, h http.Handler, logger *slog.Logger) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainLimit)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return errors.Join(err, server.Close())
	}
	return nil
}

// URL is where a browser on this machine finds the listener.
func URL(l net.Listener) string {
	host, port, _ := net.SplitHostPort(l.Addr().String())
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}
