package main

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/examples/internal/app"
	"github.com/ostiary/auth/examples/internal/dotenv"
)

// Names of the tutorial's settings.
const (
	accessSecret  = "ACCESS_TOKEN_SECRET"
	accessExpiry  = "ACCESS_TOKEN_EXPIRY"
	refreshSecret = "REF_TOKEN_SECRET" //nolint:gosec // the name of a secret, not one
	refreshExpiry = "REF_TOKEN_EXPIRY"
)

const keysHint = "the keys are " + accessSecret + " and " + refreshSecret + "; " +
	"this prints new ones, for the end of the .env: go run -C examples ./mysql -new-keys"

// settings is what the environment and the .env say.
type settings struct {
	tokens   auth.TokenOptions // without keys if none are set
	database *mysql.Config
	port     string
}

// readSettings reads the file, or ./.env if there is one, behind the environment. A dsn
// that is not empty wins over both.
func readSettings(file, dsn string) (settings, error) {
	env, err := dotenv.Read(cmp.Or(file, ".env"))
	if err != nil && (file != "" || !errors.Is(err, os.ErrNotExist)) {
		return settings{}, err
	}
	tokens, err := readTokens(env)
	if err != nil {
		return settings{}, err
	}
	database, err := readDatabase(env, dsn)
	if err != nil {
		return settings{}, err
	}
	return settings{tokens: tokens, database: database, port: env.Get("PORT")}, nil
}

// addr is -addr if it is given, or else PORT on this machine alone.
func (s settings) addr(flags *app.Flags) string {
	if s.port == "" || app.IsGiven("addr") {
		return flags.Addr
	}
	return net.JoinHostPort("127.0.0.1", s.port)
}

func readTokens(env dotenv.Env) (auth.TokenOptions, error) {
	var o auth.TokenOptions
	access, refresh := env.Get(accessSecret), env.Get(refreshSecret)
	if access != "" || refresh != "" {
		o.AccessKeys = []auth.Key{auth.HMACKey([]byte(access))}
		o.RefreshKeys = []auth.Key{auth.HMACKey([]byte(refresh))}
	}
	var err, err2 error
	o.AccessTTL, err = readSeconds(env, accessExpiry)
	o.IdleTTL, err2 = readSeconds(env, refreshExpiry)
	// The tutorial's sessions have no end but this one.
	o.MaxTTL = max(30*24*time.Hour, o.AccessTTL, o.IdleTTL)
	return o, errors.Join(err, err2)
}

// readSeconds is 0 if the variable is not set or empty.
func readSeconds(env dotenv.Env, name string) (time.Duration, error) {
	const most = 10 * 365 * 24 * 60 * 60
	text := env.Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, fmt.Errorf("%s is %q: it must be a number of seconds, from 1 to %d", name, text, most)
	}
	return time.Duration(n) * time.Second, nil
}

// readDatabase builds the data source's configuration. It never joins strings to one, so
// that a password may hold anything.
func readDatabase(env dotenv.Env, dsn string) (*mysql.Config, error) {
	if dsn != "" {
		cfg, err := mysql.ParseDSN(dsn)
		if err != nil {
			return nil, fmt.Errorf("-dsn: %w", err)
		}
		return cfg, nil
	}
	cfg := mysql.NewConfig()
	cfg.Net = "tcp"
	cfg.Addr = net.JoinHostPort(cmp.Or(env.Get("DB_HOST"), "localhost"), cmp.Or(env.Get("DB_PORT"), "3306"))
	cfg.User = env.Get("DB_USER")
	cfg.Passwd = env.Get("DB_PASSWORD")
	cfg.DBName = env.Get("DB_NAME")
	if cfg.DBName == "" {
		return nil, errors.New("no database is named: set DB_NAME, in the environment or in the .env, or -dsn")
	}
	return cfg, nil
}

// printNewKeys begins with an empty line, since a file's last line may have no end. Of
// lines with one name the last one counts.
func printNewKeys(w io.Writer) {
	for _, name := range []string{"\n" + accessSecret, refreshSecret} {
		secret := make([]byte, 48)
		_, _ = rand.Read(secret) // it never fails
		_, _ = fmt.Fprintf(w, "%s=%s\n", name, base64.StdEncoding.EncodeToString(secret))
	}
}
