// Command browser serves the API with both tokens in cookies, and a page that uses it.
// Users are in memory and end with the process.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"strings"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/examples/internal/app"
	"github.com/ostiary/auth/memstore"
)

func main() {
	flags := app.DefineFlags()
	cert := flag.String("cert", "", "serve https with the certificate in this `file`")
	key := flag.String("key", "", "the certificate's key is in this `file`")
	app.Main(func(ctx context.Context, logger *slog.Logger) error {
		return run(ctx, flags, *cert, *key, logger)
	})
}

func run(ctx context.Context, flags *app.Flags, cert, key string, logger *slog.Logger) error {
	if (cert == "") != (key == "") {
		return errors.New("-cert and -key go together")
	}
	config := flags.Config(app.RandomKeys(logger), logger)
	config.Cookies = &auth.CookieOptions{}
	config.InsecureCookies = cert == "" // of use on this machine alone
	a, err := auth.New(memstore.New(memstore.Options{}).Stores(), config)
	if err != nil {
		return err
	}
	if err := app.Check(ctx, a, logger); err != nil {
		return err
	}
	handler, err := Handler(a)
	if err != nil {
		return err
	}
	if cert == "" {
		return app.ListenAndServe(ctx, flags.Addr, handler, logger)
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return err
	}
	l, err := app.Listen(ctx, flags.Addr)
	if err != nil {
		return err
	}
	fmt.Printf("Server is running on %s\n", strings.Replace(app.URL(l), "http:", "https:", 1))
	return app.Serve(ctx, tls.NewListener(l, &tls.Config{
		Certificates: []tls.Certificate{pair},
		NextProtos:   []string{"h2", "http/1.1"},
		MinVersion:   tls.VersionTLS12,
	}), handler, logger)
}
